"""The list of films to be made: it outlives the page, the studio and the power.

``job`` (what one entry says), ``table`` (the list in SQLite, for any number of processes), ``queue`` (what people do with it), ``worker``
(the thread that works it off). How a film is made is in ``export.py``.
"""

from studio.jobs.job import ENDED, STATES, Job, JobError
from studio.jobs.queue import JobQueue

__all__ = ["ENDED", "STATES", "Job", "JobError", "JobQueue"]
