"""Store: every way a job changes, each inside one transaction.

Whoever works on a job holds its lease: a text made when it was taken, and a moment until which nobody else takes it.
Writes about the work name the lease, and raise `JobLost` if the job has another by now. So of two workers that both
believe a job is theirs only one can say anything about it.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.sql.functions import coalesce

from gateway.catalog.database import Database, Transaction
from gateway.catalog.tables import jobs
from gateway.core import ids
from gateway.core.clock import Clock
from gateway.core.errors import Conflict, NotFound
from gateway.jobs.models import UNSEEN, Filters, Job, NewJob, Status
from gateway.jobs.rows import ERRORS_MAX, job_of, json, row_of_new, sentence

# How long ended jobs can be looked at, and how many of a workspace at least. Source: "Jobs API".
KEPT_SECONDS: Final = 48 * 3600.0
KEPT_JOBS: Final = 100

# Ours: a page of jobs that a client can take. The newest.
LISTED_MAX: Final = 1000

# Longer than any lease or back-off. A clock that was set back must not keep the job of a dead worker for hours.
LEASE_SECONDS_MAX: Final = 300.0

_COLUMNS: Final = jobs.c
_OPEN: Final = (Status.WAITING, Status.WORKING, Status.CANCELLING)


class JobLost(Exception):
    """The job is another worker's by now, or no more: stop at once, touch nothing."""


class JobStore:
    """The jobs in the database. All methods raise `Unavailable` if it does not answer."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Use `database`, which is prepared and somebody else's to close."""
        self._database = database
        self._clock = clock

    # Jobs as people see them

    async def create(self, job: NewJob) -> Job:
        """Record a job for any worker to take."""
        return await self._insert(row_of_new(job, self._clock.now()) | {"due_at": self._database.now()})

    async def create_taken(self, job: NewJob, owner: str, lease_seconds: float) -> Job:
        """Record a job that the caller works on already; as if it had been taken by `claim`."""
        now = self._clock.now()
        return await self._insert(
            row_of_new(job, now)
            | {"status": Status.WORKING, "started_at": now, "attempts": 1}
            | {"lease": _new_lease(owner), "due_at": self._in(lease_seconds)}
        )

    async def get(self, workspace_id: str, job_id: str) -> Job | None:
        """Return a job, or None."""
        if "\0" in job_id:  # PostgreSQL refuses to look for it
            return None
        query = select(jobs).where(_COLUMNS.id == job_id, _COLUMNS.workspace_id == workspace_id)
        async with self._database.reading() as transaction:
            row = await transaction.first(query)
        return None if row is None else job_of(row)

    async def list(
        self, workspace_id: str, filters: Filters | None = None, *, token_id: str | None = None, limit: int = LISTED_MAX
    ) -> list[Job]:
        """Return jobs of a workspace, newest first; `token_id`: only those that this token started."""
        filters = filters or Filters()
        if any("\0" in (text or "") for text in (filters.kind, filters.status, filters.pipe_id, filters.pipe_name)):
            return []
        query = select(jobs).where(_COLUMNS.workspace_id == workspace_id, *_conditions(filters))
        if token_id is not None:
            query = query.where(_COLUMNS.token_id == token_id)
        query = query.order_by(_COLUMNS.created_at.desc(), _COLUMNS.id.desc()).limit(limit)
        async with self._database.reading() as transaction:
            return await transaction.each(query, job_of)

    async def count_open(self) -> Mapping[tuple[str, str], int]:
        """Return how many jobs have not ended, by kind and status."""
        query = select(_COLUMNS.kind, _COLUMNS.status, func.count().label("n")).where(_COLUMNS.status.in_(_OPEN))
        async with self._database.reading() as transaction:
            rows = await transaction.each(query.group_by(_COLUMNS.kind, _COLUMNS.status), tuple)
        return {(kind, status): count for kind, status, count in rows}

    async def cancel(self, workspace_id: str, job_id: str) -> Job:
        """Ask for a job to end: at once if it waits, else at its next checkpoint. Asking twice is fine.

        Raises:
            NotFound: there is no such job.
            Conflict: it has ended, or has come too far to be cancelled.
        """
        async with self._database.writing_uncounted() as transaction:
            job = await _locked(transaction, workspace_id, job_id)
            if job.status is Status.CANCELLING:
                return job
            if not job.is_cancellable:
                how = f"it is {job.status} already" if job.status.is_end else "it can not be stopped half-way"
                raise Conflict(f'Job "{job_id}" can not be cancelled: {how}')
            is_waiting = job.status is Status.WAITING
            values: dict[str, Any] = {"status": Status.CANCELLED if is_waiting else Status.CANCELLING}
            if not job.lease:  # nobody is there to notice it: the next to take it does, and clears up
                values |= {"due_at": self._database.now(), "attempts": 0}
            return await self._write(transaction, job_id, values)

    async def retry(self, workspace_id: str, job_id: str, *, token_id: str, request_id: str) -> Job:
        """Record a new job that does what one that failed or was cancelled should have done.

        Raises:
            NotFound: there is no such job.
            Conflict: it is not an import that failed or was cancelled, or what it read is gone.
        """
        async with self._database.writing_uncounted() as transaction:
            old = await _locked(transaction, workspace_id, job_id)
            if old.kind != "import" or old.status not in {Status.ERROR, Status.CANCELLED}:
                raise Conflict(
                    f'Job "{job_id}" can not be retried: only an import that ended in error or was cancelled can, '
                    f"and this is {_article(old.kind)} job, {old.status}"
                )
            if old.place:
                raise Conflict(
                    f'Job "{job_id}" can not be retried: its file came with the request, and is not kept; send it again'
                )
            first = await transaction.first(select(_COLUMNS.shown_first).where(_COLUMNS.id == job_id))
            assert first is not None
            new = NewJob(
                workspace_id=workspace_id,
                kind=old.kind,
                spec=old.spec,
                token_id=token_id,
                request_id=request_id,
                datasource_id=old.datasource_id,
                datasource_name=old.datasource_name,
                pipe_id=old.pipe_id,
                pipe_name=old.pipe_name,
            )
            row = row_of_new(new, self._clock.now()) | {"due_at": self._database.now()}
            row |= {"shown": first.shown_first, "shown_first": first.shown_first}
            return job_of(await transaction.first(insert(jobs).values(**row).returning(jobs)))

    async def purge(self) -> int:
        """Forget jobs that ended long ago, end those that nobody took for long; return how many were forgotten.

        Kept are the jobs of the last 48 hours, and the last 100 of each workspace.
        """
        oldest = self._clock.now() - KEPT_SECONDS
        place = func.row_number().over(
            partition_by=_COLUMNS.workspace_id, order_by=(_COLUMNS.created_at.desc(), _COLUMNS.id.desc())
        )
        ranked = select(_COLUMNS.id, place.label("n")).subquery()
        newest = select(ranked.c.id).where(ranked.c.n <= KEPT_JOBS)
        is_old = and_(_COLUMNS.due_at.is_(None), _COLUMNS.created_at < oldest, _COLUMNS.id.not_in(newest))
        async with self._database.writing_uncounted() as transaction:
            await transaction.execute(
                update(jobs)
                .where(_COLUMNS.due_at < self._database.now() - KEPT_SECONDS)
                .values(
                    status=case(
                        (_COLUMNS.status.in_((Status.WAITING, Status.WORKING)), Status.ERROR.value),
                        (_COLUMNS.status == Status.CANCELLING, Status.CANCELLED.value),
                        else_=_COLUMNS.status,
                    ),
                    error=case(
                        (_COLUMNS.status.in_((Status.WAITING, Status.WORKING)), _NOBODY_TOOK_IT), else_=_COLUMNS.error
                    ),
                    updated_at=self._clock.now(),
                    lease="",
                    due_at=None,
                )
            )
            return len(await transaction.all(delete(jobs).where(is_old).returning(_COLUMNS.id)))

    # Jobs as workers see them

    async def claim(self, owner: str, place: str, kinds: Collection[str], lease_seconds: float) -> Job | None:
        """Take the oldest job that may be taken, or return None. Costs a read if there is none.

        What is found may have ended, too: then only what it left is to be removed.

        Args:
            owner: a name no other live process has.
            place: the data directory, as jobs that need a file name it.
            kinds: those the caller knows.
            lease_seconds: how long nobody else takes it, unless it is renewed.
        """
        query = self._due(place, kinds)
        async with self._database.reading() as transaction:
            if await transaction.first(query) is None:
                return None
        status, now = _COLUMNS.status, self._clock.now()
        is_open = status.in_(_OPEN)
        async with self._database.writing_uncounted() as transaction:
            found = await transaction.first(query.with_for_update(skip_locked=True))
            if found is None:
                return None
            values = {
                "status": case((status == Status.WAITING, Status.WORKING.value), else_=status),
                "started_at": case((is_open, coalesce(_COLUMNS.started_at, now)), else_=_COLUMNS.started_at),
                "attempts": _COLUMNS.attempts + 1,
                "lease": _new_lease(owner),
                "due_at": self._in(lease_seconds),
            }
            values["updated_at"] = case((is_open, now), else_=_COLUMNS.updated_at)
            return await self._write(transaction, found.id, values, is_news=False)

    async def renew(self, lease: str, job_id: str, lease_seconds: float) -> Status:
        """Keep a job for `lease_seconds` from now; return its status: `cancelling` if the user asked for that.

        Raises:
            JobLost: see the module.
        """
        mine = and_(_COLUMNS.id == job_id, _COLUMNS.lease == lease)
        change = update(jobs).where(mine).values(due_at=self._in(lease_seconds))
        async with self._database.writing_uncounted() as transaction:
            row = await transaction.first(change.returning(_COLUMNS.status))
        if row is None or not lease:
            raise JobLost
        return Status(row.status)

    async def checkpoint(
        self,
        lease: str,
        job_id: str,
        state: Mapping[str, Any],
        *,
        shown: Mapping[str, Any] | None = None,
        progress: float | None = None,
    ) -> Job:
        """Keep how far a job has come. A state that differs from the last one is progress: attempts count anew.

        Raises:
            JobLost: see the module.
        """
        async with self._mine(lease, job_id) as (transaction, job):
            values: dict[str, Any] = _said(job, shown, progress)
            if state != job.state:
                values |= {"state": json(state), "attempts": 1, "failures": 0}
            return await self._write(transaction, job_id, values)

    async def finish(
        self, lease: str, job_id: str, status: Status, *, error: str = "", errors: tuple[str, ...] = ()
    ) -> Job:
        """End a job for good. The lease stays, until `tidied` says that what it left is removed.

        Raises:
            JobLost: see the module.
        """
        assert status.is_end
        async with self._mine(lease, job_id) as (transaction, _):
            values: dict[str, Any] = {
                "status": status,
                "error": sentence(error),
                "errors": json(tuple(map(sentence, errors[:ERRORS_MAX]))),
                "attempts": 1,
                "failures": 0,
            }
            if status is Status.DONE:
                values["progress"] = 100.0
            return await self._write(transaction, job_id, values)

    async def tidied(self, lease: str, job_id: str) -> None:
        """Say that nothing is left of a job that ended; nobody takes it any more.

        Raises:
            JobLost: see the module.
        """
        async with self._mine(lease, job_id) as (transaction, _):
            await self._write(transaction, job_id, {"lease": "", "due_at": None}, is_news=False)

    async def postpone(self, lease: str, job_id: str, seconds: float) -> Job:
        """Give a job back after its code failed, to be taken again in `seconds`.

        Raises:
            JobLost: see the module.
        """
        async with self._mine(lease, job_id) as (transaction, job):
            values = self._given_back(job) | {"due_at": self._in(seconds), "failures": job.failures + 1}
            return await self._write(transaction, job_id, values, is_news=False)

    async def release(self, lease: str, job_id: str) -> None:
        """Give a job back unharmed: another takes it at once.

        Raises:
            JobLost: see the module.
        """
        async with self._mine(lease, job_id) as (transaction, job):
            await self._write(transaction, job_id, self._given_back(job), is_news=False)

    async def release_all(self, owner: str) -> int:
        """Give back every job of `owner`, which is dead; return how many. Whoever has its name now asks for it."""
        theirs = _COLUMNS.lease.startswith(f"{owner}/", autoescape=True)
        change = update(jobs).where(theirs).values(lease="", due_at=self._database.now())
        async with self._database.writing_uncounted() as transaction:
            return len(await transaction.all(change.returning(_COLUMNS.id)))

    # What all of them stand on

    def _due(self, place: str, kinds: Collection[str]) -> Select[Any]:
        now = self._database.now()
        return (
            select(_COLUMNS.id)
            .where(
                or_(_COLUMNS.due_at <= now, _COLUMNS.due_at > now + LEASE_SECONDS_MAX),
                _COLUMNS.kind.in_(kinds),
                _COLUMNS.place.in_(("", place)),
            )
            .order_by(_COLUMNS.created_at, _COLUMNS.id)
            .limit(1)
        )

    async def _insert(self, row: dict[str, Any]) -> Job:
        async with self._database.writing_uncounted() as transaction:
            return job_of(await transaction.first(insert(jobs).values(**row).returning(jobs)))

    @asynccontextmanager
    async def _mine(self, lease: str, job_id: str) -> AsyncIterator[tuple[Transaction, Job]]:
        query = select(jobs).where(_COLUMNS.id == job_id, _COLUMNS.lease == lease).with_for_update()
        async with self._database.writing_uncounted() as transaction:
            row = await transaction.first(query)
            if row is None or not lease:
                raise JobLost
            yield transaction, job_of(row)

    async def _write(
        self, transaction: Transaction, job_id: str, values: Mapping[str, Any], *, is_news: bool = True
    ) -> Job:
        told = {"updated_at": self._clock.now()} if is_news else {}
        change = update(jobs).where(_COLUMNS.id == job_id).values(**values, **told)
        return job_of(await transaction.first(change.returning(jobs)))

    def _in(self, seconds: float) -> ColumnElement[float]:
        assert seconds <= LEASE_SECONDS_MAX, "a moment further away is taken for one of a clock that was set back"
        return self._database.now() + seconds

    def _given_back(self, job: Job) -> dict[str, Any]:
        return {"lease": "", "due_at": self._database.now(), "attempts": max(0, job.attempts - 1)}


_NOBODY_TOOK_IT: Final = (
    "No worker took this job up within 48 hours: see that `sluice worker` runs, where its data directory is, "
    "and send the request again"
)


async def _locked(transaction: Transaction, workspace_id: str, job_id: str) -> Job:
    mine = and_(_COLUMNS.id == job_id, _COLUMNS.workspace_id == workspace_id)
    row = await transaction.first(select(jobs).where(mine).with_for_update())
    if row is None:
        raise NotFound(f'Job "{job_id}" does not exist')
    return job_of(row)


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    wanted = [_COLUMNS.kind != UNSEEN]
    wanted += [
        column == value
        for column, value in (
            (_COLUMNS.kind, filters.kind),
            (_COLUMNS.status, filters.status),
            (_COLUMNS.pipe_id, filters.pipe_id),
            (_COLUMNS.pipe_name, filters.pipe_name),
        )
        if value is not None
    ]
    if filters.created_after is not None:
        wanted.append(_COLUMNS.created_at >= filters.created_after)
    if filters.created_before is not None:
        wanted.append(_COLUMNS.created_at <= filters.created_before)
    return wanted


def _said(job: Job, shown: Mapping[str, Any] | None, progress: float | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if shown is not None:
        values["shown"] = json({**job.shown, **shown})
    if progress is not None:
        values["progress"] = min(max(progress, 0.0), 100.0)
    return values


def _new_lease(owner: str) -> str:
    return f"{owner}/{ids.new_uuid()}"


def _article(kind: str) -> str:
    return f"an {kind}" if kind.startswith(tuple("aeiou")) else f"a {kind}"
