"""Turn: one time that a job is taken up, from the lease to its end, or to giving it back.

Beside the job's code run the heartbeat, which renews the lease, and a watch, which stops the code when the lease may
have run out: the database did not answer for so long that another may have the job.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.clock import Clock
from gateway.core.errors import Forbidden, GatewayError, InvalidRequest, NotFound, Unavailable
from gateway.jobs.context import JobCancelled, JobContext, JobFailed, JobHandler
from gateway.jobs.models import Job, Status
from gateway.jobs.store import JobLost, JobStore
from gateway.telemetry import metrics
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

# Workers that died of a job, or with it, without its having come further. A deploy may kill a few of them in a row.
ATTEMPTS_MAX: Final = 20
FAILURES_MAX: Final = 5
# While something else is down: the waits below add up to an hour.
OUTAGES_MAX: Final = 65
_WAIT_SECONDS_MIN: Final = 1.0
_WAIT_SECONDS_MAX: Final = 60.0

# The caller of the API can mend these; to try again would not.
_FOR_GOOD: Final = (JobFailed, InvalidRequest, NotFound, Forbidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a job is held, and how often that is said."""

    lease_seconds: float = 10.0
    heartbeat_seconds: float = 3.0
    cancel_seconds: float = 5.0  # what the code has to reach a checkpoint, when the user asked for it to stop


def wait_seconds(failures: int) -> float:
    """Return how long a job waits after its code failed for the `failures`th time in a row."""
    return float(min(_WAIT_SECONDS_MIN * 2 ** (failures - 1), _WAIT_SECONDS_MAX))


class Turn:
    """See the module."""

    def __init__(
        self,
        store: JobStore,
        handler: JobHandler,
        job: Job,
        timing: Timing,
        clock: Clock,
        is_outage: Callable[[BaseException], bool],
    ) -> None:
        """Prepare for `job`, just taken; `is_outage` tells errors that mean that something else is down."""
        self.context = JobContext(store, job, timing.lease_seconds, clock)
        self._store = store
        self._handler = handler
        self._timing = timing
        self._clock = clock
        self._is_outage = is_outage
        self._code: asyncio.Task[None] | None = None
        self._is_parting = False
        self._is_late = False  # it was asked to stop by the user, and did not
        self._log = _logger.bind(job=job.id, kind=job.kind)

    async def run(self) -> Job | None:
        """Do what is left to do; return the job as it is then, None if it is not ours any more."""
        beside = [asyncio.create_task(self._beat()), asyncio.create_task(self._watch())]
        try:
            return await self._whole()
        except JobLost:
            self._log.warning("jobs.lost")
            metrics.jobs_lost.labels(self.context.job.kind).inc()
            return None
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def part(self) -> None:
        """Stop after the next checkpoint, and give the job back."""
        self.context.part_at_checkpoint(self.leave)

    def leave(self) -> None:
        """Stop now, and give the job back: it goes on from its last checkpoint."""
        self._is_parting = True
        self._stop_code()

    def lose(self) -> None:
        """Stop now, and say nothing about the job: it is another's."""
        self.context.is_lost = True
        self._stop_code()

    # The way of a job

    async def _whole(self) -> Job:
        if not self.context.job.status.is_end:
            await self._work()
        if self.context.job.status.is_end:
            await self._tidy()
        return self.context.job

    async def _work(self) -> None:
        job = self.context.job
        if job.status is Status.CANCELLING:
            return await self._end(Status.CANCELLED)
        if job.attempts > ATTEMPTS_MAX:
            return await self._end(
                Status.ERROR,
                f"The job was given up: {ATTEMPTS_MAX} workers ended while they had it, at the same point. "
                "Look at the log of the workers for how they ended; a smaller file may get through",
            )
        self._log.info("jobs.started", attempts=job.attempts, failures=job.failures)
        started = self._clock.monotonic()
        code = await self._run(self._handler.run(self.context))
        metrics.job_seconds.labels(job.kind).observe(self._clock.monotonic() - started)
        return await self._judge(code)

    async def _judge(self, code: asyncio.Task[None]) -> None:
        """Say what became of a job whose code has ended."""
        if self.context.is_lost:
            raise JobLost
        if self.context.is_cancelled or (code.cancelled() and self._is_late):
            return await self._end(Status.CANCELLED)
        if code.cancelled() and self._is_parting:
            return await self._give_back()
        error = asyncio.CancelledError() if code.cancelled() else _cause(code.exception())
        if error is None:
            return await self._end(Status.DONE)
        if isinstance(error, JobCancelled):
            return await self._end(Status.CANCELLED)
        if isinstance(error, _FOR_GOOD):
            errors = error.errors if isinstance(error, JobFailed) else (str(error),)
            return await self._end(Status.ERROR, str(error), errors)
        return await self._try_later(error)

    async def _try_later(self, error: BaseException) -> None:
        """Give a job back whose code failed, unless that happened too often."""
        job = self.context.job
        failures = job.failures + 1
        is_outage = isinstance(error, Unavailable) or self._is_outage(error)
        is_told = is_outage or isinstance(error, GatewayError)
        why = str(error) if is_told else "internal error, its id helps to find it in the log"
        if failures >= (OUTAGES_MAX if is_outage else FAILURES_MAX):
            trace = None if is_outage else error
            self._log.error("jobs.given_up", failures=failures, reason=str(error), exc_info=trace)
            return await self._end(Status.ERROR, f"The job was tried {failures} times and did not succeed: {why}")
        seconds = wait_seconds(failures)
        self._log.warning(
            "jobs.retried",
            failures=failures,
            again_in_seconds=seconds,
            reason=str(error),
            exc_info=None if is_outage else error,
        )
        metrics.job_retries.labels(job.kind).inc()
        note = {"note": f"It will be tried again: {why}"}
        await self._write(lambda lease, job_id: self._store.checkpoint(lease, job_id, job.state, shown=note))
        await self._write(lambda lease, job_id: self._store.postpone(lease, job_id, seconds))
        return None

    async def _end(self, status: Status, error: str = "", errors: tuple[str, ...] = ()) -> None:
        errors = errors or ((error,) if error else ())
        await self._write(lambda lease, job_id: self._store.finish(lease, job_id, status, error=error, errors=errors))
        self._log.info("jobs.ended", status=status.value, **({"reason": error} if error else {}))
        metrics.jobs_ended.labels(self.context.job.kind, status.value).inc()

    async def _give_back(self) -> None:
        job = self.context.job
        await self.context.hold(lambda: self._store.release(job.lease, job.id))
        self._log.info("jobs.released")

    async def _tidy(self) -> None:
        """Remove what an ended job left. One that cannot be tidied is left, in the end: somebody is told."""
        job = self.context.job
        if job.attempts <= ATTEMPTS_MAX:
            code = await self._run(self._handler.discard(self.context))
            if self.context.is_lost:
                raise JobLost
            if code.cancelled() and self._is_parting:
                return await self._give_back()
            error = asyncio.CancelledError() if code.cancelled() else code.exception()
            if error is not None and job.failures + 1 < FAILURES_MAX:
                self._log.warning("jobs.discard_retried", exc_info=error)
                seconds = wait_seconds(job.failures + 1)
                await self._write(lambda lease, job_id: self._store.postpone(lease, job_id, seconds))
                return None
            if error is not None:
                self._log.error("jobs.discard_failed", exc_info=error)
        return await self.context.hold(lambda: self._store.tidied(job.lease, job.id))

    async def _write(self, write: Callable[[str, str], Coroutine[Any, Any, Job]]) -> None:
        job = self.context.job
        self.context.job = await self.context.hold(lambda: write(job.lease, job.id))

    # The code, and who stops it

    async def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Return the task of `work` when it has ended, however. Cancelled meanwhile: gives the job back first."""
        self._code = code = asyncio.create_task(work)
        if self._is_parting or self.context.is_lost:  # asked before there was anything to stop
            code.cancel()
        try:
            await asyncio.wait({code})
        except asyncio.CancelledError:
            self.leave()
            await asyncio.wait({code})
            if not self.context.is_lost:
                await self._give_back()
            raise
        finally:
            self._code = None
            if code.done() and not code.cancelled():
                code.exception()  # looked at, so that nobody is told that nobody did
        return code

    def _stop_code(self) -> None:
        if self._code is not None:
            self._code.cancel()

    async def _beat(self) -> None:
        asked_at: float | None = None
        while True:
            await self._clock.sleep(self._timing.heartbeat_seconds)
            try:
                status = await self.context.renew()
            except JobLost:
                self._stop_code()
                return
            except Unavailable as error:
                self._log.warning("jobs.heartbeat_failed", reason=str(error), seconds_left=self.context.seconds_left)
                continue
            if status is Status.CANCELLING and not self._is_late:
                asked_at = asked_at or self._clock.monotonic()
                if self._clock.monotonic() - asked_at >= self._timing.cancel_seconds:
                    self._is_late = True
                    self._stop_code()

    async def _watch(self) -> None:
        while (seconds := self.context.seconds_left) > 0:
            await self._clock.sleep(seconds)
        self.lose()


def _cause(error: BaseException | None) -> BaseException | None:
    """Return the error that says most, of those that ended together."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if isinstance(each, _FOR_GOOD)), error.exceptions[0])
    return error
