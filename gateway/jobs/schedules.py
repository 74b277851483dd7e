"""Schedules: copies that are due, each of whose times becomes one job, on however many nodes one looks.

Whoever finds a schedule due moves it on and makes the job in one transaction, and only if it is as it was found. So of
two that look at the same time one does both, and the other nothing. Moments are of the database's clock.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import insert, select, update

from gateway.catalog.database import Database, Transaction
from gateway.catalog.tables import jobs, schedules
from gateway.core.clock import Clock
from gateway.jobs.models import Job, NewJob, Status
from gateway.jobs.rows import job_of, row_of_new
from gateway.schema.cron import last_time, next_time

_OPEN: Final = (Status.WAITING, Status.WORKING, Status.CANCELLING)
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule whose time has come; `at`, Unix seconds: the last of its times, if several went by."""

    pipe_id: str
    workspace_id: str
    cron: str
    next_at: float
    at: float


class ScheduleStore:
    """The schedules in the database. All methods raise `Unavailable` if it does not answer."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Use `database`, which is prepared and somebody else's to close."""
        self._database = database
        self._clock = clock

    async def due(self) -> list[Due]:
        """Return schedules that are due, the longest ago first; some of them, if they are many."""
        now = self._database.now().label("now")
        query = (
            select(schedules, now)
            .where(schedules.c.status == "running", schedules.c.next_at <= self._database.now())
            .order_by(schedules.c.next_at)
            .limit(_AT_ONCE)
        )
        async with self._database.reading() as transaction:
            return [
                Due(
                    row.pipe_id, row.workspace_id, row.cron, row.next_at, max(row.next_at, last_time(row.cron, row.now))
                )
                for row in await transaction.all(query)
            ]

    async def begin(self, due: Due, job: NewJob | None) -> tuple[bool, Job | None]:
        """Move a schedule on; make its job, unless one of its pipe has not ended.

        Args:
            due: as `due` found it.
            job: to be made; None for none.

        Returns:
            Whether it was as found, so that nobody else has moved it on; and the job, None if there is none.
        """
        its = schedules.c.pipe_id == due.pipe_id
        as_found = (schedules.c.next_at == due.next_at, schedules.c.status == "running", schedules.c.cron == due.cron)
        async with self._database.writing_uncounted() as transaction:
            if await transaction.first(select(schedules).where(its, *as_found).with_for_update()) is None:
                return False, None
            moved: dict[str, object] = {"next_at": next_time(due.cron, due.at)}
            made = None
            if job is not None and not await _is_open(transaction, due.pipe_id, job.kind):
                row = row_of_new(job, self._clock.now()) | {"due_at": self._database.now()}
                made = job_of(await transaction.first(insert(jobs).values(**row).returning(jobs)))
                moved["job_id"] = made.id
            await transaction.execute(update(schedules).where(its).values(**moved))
            return True, made


async def _is_open(transaction: Transaction, pipe_id: str, kind: str) -> bool:
    mine = (jobs.c.pipe_id == pipe_id, jobs.c.kind == kind, jobs.c.status.in_(_OPEN))
    return await transaction.first(select(jobs.c.id).where(*mine).limit(1)) is not None
