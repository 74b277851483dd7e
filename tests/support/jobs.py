"""A clock that stands still, and a database of jobs whose time is moved along with it."""

import asyncio

from sqlalchemy import update

from gateway.catalog.database import Database
from gateway.catalog.tables import jobs


class StillClock:
    """Time that passes when the test says so; `sleep` passes it."""

    def __init__(self, now=1_767_600_000.0):
        self.seconds = now
        self.ran = 100.0

    def now(self):
        return self.seconds

    def monotonic(self):
        return self.ran

    async def sleep(self, seconds):
        self.seconds += seconds
        self.ran += seconds
        await asyncio.sleep(0)


async def pass_time(database: Database, clock: StillClock, seconds: float) -> None:
    """Let `seconds` pass: for this process, and for a server, whose own clock cannot be moved, in what it recorded."""
    clock.seconds += seconds
    clock.ran += seconds
    if not database._is_sqlite:
        async with database.writing_uncounted() as transaction:
            await transaction.execute(update(jobs).values(due_at=jobs.c.due_at - seconds))
