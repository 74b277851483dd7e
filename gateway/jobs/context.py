"""Context: what the code of a job sees, and how it says what became of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from gateway.core.clock import Clock
from gateway.core.errors import GatewayError, Unavailable
from gateway.jobs.models import Job, Status
from gateway.jobs.store import JobLost, JobStore

_AGAIN_SECONDS: Final = 0.5

_Result = TypeVar("_Result")


class JobFailed(GatewayError):
    """The job cannot succeed, however often it is tried; the sentence is for the client, and says what to do."""

    def __init__(self, sentence: str, errors: tuple[str, ...] = ()) -> None:
        """End with `sentence`; `errors` are shown beside it, the sentence itself if there are none."""
        super().__init__(sentence)
        self.errors = errors or (sentence,)


class JobCancelled(Exception):
    """The user asked for it: clean up what cannot wait for `discard`, and stop."""


class JobContext:
    """The one way a job's code touches the record of the job. Made by the runner, one for each time it is taken up.

    `job` is the job as of the last save.
    """

    def __init__(self, store: JobStore, job: Job, lease_seconds: float, clock: Clock) -> None:
        self.job = job
        self.is_lost = False
        self.is_cancelled = False  # the user asked, and the code was told
        self._store = store
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._held_until = clock.monotonic() + lease_seconds
        self._is_parting = False
        self._on_checkpoint: Callable[[], None] = lambda: None

    async def save(
        self, state: Mapping[str, Any], *, shown: Mapping[str, Any] | None = None, progress: float | None = None
    ) -> None:
        """Make a checkpoint durable: after a kill the job goes on with `state`.

        Args:
            state: JSON; replaces the last one.
            shown: JSON; fields of the wire object to set; the others stay.
            progress: 0 to 100; None: as it was.

        Raises:
            JobLost: another worker has it: stop at once, touch nothing.
            JobCancelled: the user asked: clean up and stop. The checkpoint was kept.
        """
        lease = self.job.lease
        if self.job.failures and state != self.job.state:
            shown = {"note": "", **(shown or {})}  # why it failed before is no news any more
        self.job = await self.hold(
            lambda: self._store.checkpoint(lease, self.job.id, state, shown=shown, progress=progress)
        )
        if self.job.status is Status.CANCELLING:
            self.is_cancelled = True
            raise JobCancelled
        if self._is_parting:
            self._on_checkpoint()
            await asyncio.Future()  # until the cancellation that the line above asked for arrives

    async def renew(self) -> Status:
        """Keep the lease for its whole time from now; return the job's status.

        Raises:
            JobLost: another has it.
            Unavailable: the database does not answer.
        """
        asked_at = self._clock.monotonic()
        try:
            status = await self._store.renew(self.job.lease, self.job.id, self._lease_seconds)
        except JobLost:
            self.is_lost = True
            raise
        self._held_until = asked_at + self._lease_seconds
        return status

    @property
    def seconds_left(self) -> float:
        """How long nobody else takes the job; at 0 somebody may have."""
        return max(0.0, self._held_until - self._clock.monotonic())

    def part_at_checkpoint(self, stop: Callable[[], None]) -> None:
        """Have `stop` called after the next checkpoint; the code gets no further than that."""
        self._is_parting = True
        self._on_checkpoint = stop

    async def hold(self, write: Callable[[], Awaitable[_Result]]) -> _Result:
        """Return what `write` returns; while the database does not answer, try again as long as the job is ours.

        Raises:
            JobLost: another worker has it, or may have it by now.
        """
        while True:
            try:
                return await write()
            except JobLost:
                self.is_lost = True
                raise
            except Unavailable:
                if self.seconds_left == 0:
                    self.is_lost = True
                    raise JobLost from None
                await self._clock.sleep(_AGAIN_SECONDS)


class JobHandler(Protocol):
    """The code of one kind of job."""

    async def run(self, context: JobContext) -> None:
        """Do the job; it is done when this returns.

        May be run again from the last checkpoint after a kill at any point, and must then end with each row once. It
        may be cancelled at any `await` as well, which means the same.

        Raises:
            JobFailed, or another error the caller of the API can mend (InvalidRequest, NotFound, Forbidden): it ends in
                `error` with that sentence.
            Exception: whatever else; it is tried again later, a few times. Unavailable: more often.
        """

    async def discard(self, context: JobContext) -> None:
        """Remove what the job left, after it ended for good: staging tables, files. `context.job.status` says how.

        May be called again after a kill, and without `run` having been called.
        """
