"""Run: a loop that takes jobs and does them, several at once; and a way to do one at once.

Idle, it looks for jobs a few times a second, which costs one small read each time. On `stop` it takes no more; those it
has go on to their next checkpoint and are given back, so that another worker has them at once.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.core.clock import Clock
from gateway.core.errors import Unavailable
from gateway.jobs.context import JobCancelled, JobContext, JobFailed, JobHandler
from gateway.jobs.models import Job, NewJob
from gateway.jobs.store import JobLost, JobStore
from gateway.jobs.turn import Timing, Turn
from gateway.telemetry import metrics
from gateway.telemetry.logs import get_logger

__all__ = ["JobCancelled", "JobContext", "JobFailed", "JobHandler", "JobLost", "JobRunner", "RunnerOptions"]

_logger = get_logger(__name__)

_POLL_SECONDS: Final = 0.2
_POLL_SECONDS_OUTAGE: Final = 1.0
_GAUGES_SECONDS: Final = 5.0
_PURGE_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """Who takes jobs, and how many.

    `owner` is a name that no other live process of this database has, and that the next one in its place has again: so
    it knows what the one before it left.
    """

    owner: str
    place: str = ""
    concurrency: int = 2
    timing: Timing = field(default_factory=Timing)


class JobRunner:
    """See the module. One per process."""

    def __init__(
        self,
        store: JobStore,
        handlers: Mapping[str, JobHandler],
        options: RunnerOptions,
        clock: Clock,
        is_outage: Callable[[BaseException], bool] = lambda _: False,
    ) -> None:
        """Do jobs of the kinds of `handlers`; `is_outage` tells errors that mean that something else is down."""
        self._store = store
        self._handlers = handlers
        self._options = options
        self._clock = clock
        self._is_outage = is_outage
        self._turns: dict[str, Turn] = {}
        self._tasks: dict[str, asyncio.Task[Job | None]] = {}
        self._wake = asyncio.Event()
        self._drain_seconds: float | None = None
        for kind in handlers:  # shown before the first: what begins with one has not increased, for Prometheus
            metrics.jobs_lost.labels(kind)
            metrics.job_retries.labels(kind)

    async def take_over(self) -> None:
        """Give back what a process of this name left when it was killed. Before anything else is done.

        Raises:
            Unavailable: the database does not answer.
        """
        left = await self._store.release_all(self._options.owner)
        if left:
            _logger.info("jobs.taken_over", jobs=left)

    async def run(self) -> None:
        """Take jobs and do them; return after `stop`. If cancelled, what is under way is given back.

        Raises:
            Unavailable: the database does not answer at the start.
        """
        await self.take_over()
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep_house())
            while self._drain_seconds is None:
                self._wake.clear()
                seconds = await self._take(group)
                if seconds:
                    await self._pause(seconds)
            keeping.cancel()
            await self._drain(self._drain_seconds)

    def stop(self, drain_seconds: float) -> None:
        """Take no more jobs. Those under way have `drain_seconds` to reach a checkpoint, then are stopped anyway."""
        self._drain_seconds = drain_seconds
        for turn in self._turns.values():
            turn.part()
        self._wake.set()

    async def run_now(self, new: NewJob) -> Job:
        """Do a job in this process, now; return it as it is then.

        It has ended; unless it failed in a way that may pass, or this process stops: then a worker goes on with it.

        Raises:
            Unavailable: the database does not answer. If it was recorded by then, a worker goes on with it.
        """
        job = await self._store.create_taken(new, self._options.owner, self._options.timing.lease_seconds)
        return await self._turn(job) or await self._store.get(job.workspace_id, job.id) or job

    async def _take(self, group: asyncio.TaskGroup) -> float:
        """Take a job and begin it; return how long to wait before the next is taken."""
        options = self._options
        if len(self._tasks) >= options.concurrency or not self._handlers:
            return _POLL_SECONDS
        try:
            job = await self._store.claim(
                options.owner, options.place, self._handlers.keys(), options.timing.lease_seconds
            )
        except Unavailable as error:
            _logger.warning("jobs.not_claimed", reason=str(error))
            return _POLL_SECONDS_OUTAGE
        if job is None:
            return _POLL_SECONDS
        before = self._tasks.pop(job.id, None)
        if job.id in self._turns:  # the lease ran out while this process was held up, and now it has it again
            self._turns[job.id].lose()
        task = group.create_task(self._do(job, before))
        self._tasks[job.id] = task
        task.add_done_callback(lambda ended: self._forget(job.id, ended))
        return 0

    async def _do(self, job: Job, before: asyncio.Task[Job | None] | None) -> Job | None:
        if before is not None:
            await asyncio.wait({before})
        try:
            return await self._turn(job)
        except Exception:
            # Its lease runs out, and it is tried again; so often, and no more.
            _logger.exception("jobs.failed", job=job.id, kind=job.kind)
            return None

    async def _turn(self, job: Job) -> Job | None:
        turn = Turn(self._store, self._handlers[job.kind], job, self._options.timing, self._clock, self._is_outage)
        self._turns[job.id] = turn
        running = metrics.jobs_running.labels(job.kind)
        running.inc()
        if self._drain_seconds is not None:
            turn.part()
        try:
            return await turn.run()
        finally:
            running.dec()
            if self._turns.get(job.id) is turn:
                del self._turns[job.id]

    def _forget(self, job_id: str, ended: asyncio.Task[Job | None]) -> None:
        if self._tasks.get(job_id) is ended:
            del self._tasks[job_id]
        self._wake.set()

    async def _pause(self, seconds: float) -> None:
        """Return after `seconds`, or when a job has ended, or at `stop`."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _drain(self, seconds: float) -> None:
        if not self._tasks:
            return
        _logger.info("jobs.draining", jobs=len(self._tasks), seconds=seconds)
        await asyncio.wait(list(self._tasks.values()), timeout=seconds)
        for turn in self._turns.values():
            turn.leave()

    async def _keep_house(self) -> None:
        """Show how many jobs there are, and forget old ones now and then."""
        shown: set[tuple[str, str]] = set()
        purge_at = self._clock.monotonic()
        while True:
            try:
                counts = await self._store.count_open()
                if self._clock.monotonic() >= purge_at:
                    purge_at = self._clock.monotonic() + _PURGE_SECONDS
                    await self._store.purge()
            except Unavailable:
                counts = {}
            for kind, status in shown | counts.keys():
                metrics.jobs_open.labels(kind, status).set(counts.get((kind, status), 0))
            shown |= counts.keys()
            await self._clock.sleep(_GAUGES_SECONDS)
