"""Clock: the only place that asks the machine for the time, so that a test can stop it.

Everything that needs time takes a `Clock`. `now` is wall time, for people and for rows; `monotonic` is for ages,
deadlines and back-off, and never goes backwards.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time, as the parts of the gateway see it."""

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes backwards."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.time()  # noqa: TID251  the one place

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()  # noqa: TID251  the one place

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)  # noqa: TID251  the one place
