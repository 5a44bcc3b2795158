"""A process that works a list of toy films off, to be killed: ``python film_worker.py HOME``."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]


def main(home):
    import torch
    from films import toy_engine

    from studio.jobs import JobQueue

    torch.set_num_threads(1)
    queue = JobQueue(home / "jobs", toy_engine(home / "models"), reserve_bytes=0)
    print("ready", flush=True)
    queue.start()
    for job in queue.list():
        queue.wait(job.id, 120)
    queue.close()
    print([job.state for job in queue.list()], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
