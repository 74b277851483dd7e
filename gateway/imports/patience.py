"""Patience: what a job does when ClickHouse cannot take its work just now. It waits, says why, and tries again.

What a failure means is `flush.retry`'s to say, as for events; here as there no number of attempts ends anything. What
cannot get better by waiting is raised.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

from gateway.clickhouse.errors import ServerError
from gateway.core.clock import Clock
from gateway.flush.retry import Kind, classify, delay_seconds
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

_Result = TypeVar("_Result")

Say = Callable[[str], Awaitable[None]]
"""Shows why the job does not get further, "" when it does again; whatever it raises ends the waiting."""

_SLEEP_SECONDS_MAX: Final = 5.0  # a user who asks for a cancellation is heard within this


class Patience:
    """Tries again. One per job."""

    def __init__(self, say: Say, clock: Clock, random: Random) -> None:
        self._say = say
        self._clock = clock
        self._random = random

    def silent(self) -> "Patience":
        """Return one that shows nothing, so nothing but the end of this process ends its waiting."""

        async def say(_: str) -> None:
            return

        return Patience(say, self._clock, self._random)

    async def attempt(
        self, work: Callable[[], Awaitable[_Result]], *, holds: bool = True, refusal_is_data: bool = True
    ) -> _Result:
        """Return what `work` returns, when it does.

        Args:
            work: may be called again; what it did the first time must not be done twice.
            holds: wait also for what only a person can mend (a broken view, a missing table); else it is raised.
            refusal_is_data: raise when the rows are refused; else wait for that too.

        Raises:
            ServerError: waiting does not help.
        """
        attempts = 0
        while True:
            try:
                result = await work()
            except ServerError as error:
                kind = classify(error.code, str(error))
                if kind is Kind.DATA:
                    if refusal_is_data:
                        raise
                    kind = Kind.HOLD
                if kind is Kind.HOLD and not holds:
                    raise
                attempts += 1
                await self._pause(kind, attempts, str(error))
            else:
                if attempts:
                    await self._say("")
                return result

    async def until(self, is_so: Callable[[], Awaitable[bool]], reason: str) -> None:
        """Return when `is_so`, asking again and again; `reason` is shown meanwhile."""
        attempts = 0
        while not await self.attempt(is_so, holds=False):
            attempts += 1
            if attempts == 10:
                await self._say(reason)
            await self._clock.sleep(min(0.02 * 1.5**attempts, 1.0))
            if attempts % 10 == 0:
                await self._say(reason)
        if attempts >= 10:
            await self._say("")

    async def _pause(self, kind: Kind, attempts: int, reason: str) -> None:
        wait = delay_seconds(kind, attempts, self._random.random())
        _logger.warning("import.retry", kind=kind.value, attempts=attempts, wait=round(wait, 2), reason=reason)
        await self._say(f"Waiting for ClickHouse: {reason}")
        await self._clock.sleep(min(wait, _SLEEP_SECONDS_MAX))
