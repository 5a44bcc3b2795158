"""The remote control of the studio's list of films: ``studio jobs list | pause | resume | cancel | remove | clear``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from studio.jobs import Job

jobs_app = typer.Typer(help="See and steer the films that the studio makes.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(jobs_app, name="jobs")


@jobs_app.command("list")
def list_jobs() -> None:
    """List the films: what is made, what waits, what is done."""
    from studio.jobs import JobQueue

    jobs = JobQueue().list()
    for job in jobs:
        typer.echo(_line(job))
    if not jobs:
        typer.echo("No films are being made. 'studio film MODEL --seeds 1,5,9 --queue' orders one.")


@jobs_app.command("pause")
def pause_job(id: Annotated[str, typer.Argument(help="The job, as 'studio jobs list' names it.")]) -> None:
    """Stop a film after the frame in hand; 'studio jobs resume' goes on."""
    _steer("pause", id)


@jobs_app.command("resume")
def resume_job(id: Annotated[str, typer.Argument(help="The job.")]) -> None:
    """Go on with a film that was paused or cancelled, or that failed."""
    _steer("resume", id)


@jobs_app.command("cancel")
def cancel_job(id: Annotated[str, typer.Argument(help="The job.")]) -> None:
    """End a film; its frames stay until it is removed."""
    _steer("cancel", id)


@jobs_app.command("remove")
def remove_job(id: Annotated[str, typer.Argument(help="The job.")]) -> None:
    """Forget a job and its frames; a finished film stays where it is."""
    from studio.jobs import JobQueue

    queue = JobQueue()
    queue.remove(_find(queue, id).id)


@jobs_app.command("clear")
def clear_jobs() -> None:
    """Forget the jobs that have ended; finished films stay where they are."""
    from studio.jobs import JobQueue

    count = JobQueue().clear()
    typer.echo(f"Forgot {count} {'job' if count == 1 else 'jobs'}.")


def _steer(what: str, id: str) -> None:
    from studio.jobs import JobQueue

    queue = JobQueue()
    typer.echo(_line(getattr(queue, what)(_find(queue, id).id)))


def _find(queue: Any, id: str) -> Job:
    """Find a job by the beginning of its name."""
    from studio.jobs import JobError

    found: list[Job] = [job for job in queue.list() if job.id.startswith(id)]
    if len(found) != 1:
        raise JobError(f"{id!r} names {'no job' if not found else 'several jobs'}. Use a name that 'studio jobs list' shows.")
    return found[0]


def _line(job: Job) -> str:
    more = job.error or job.note or (str(job.result) if job.result and job.state == "done" else "")
    return "  ".join(filter(None, (job.id, f"{job.label:<28}", job.title, more)))
