"""Rate limit: so many requests in each second, for each key. Pure: the moment is passed in.

A key's window begins with its first request and lasts a second, so in no second are there more than twice as many as
allowed. Keys that were quiet for a window are forgotten when there are many.
"""

from dataclasses import dataclass
from typing import Final

from gateway.core.errors import RateLimited

WINDOW_SECONDS: Final = 1.0

# Beyond as many keys, those whose windows are over are cleared away.
_KEYS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a client is told of its limit; whole numbers, as clients read them."""

    limit: int
    remaining: int
    reset_seconds: int


class RateLimiter:
    """Counts requests by key."""

    def __init__(self, requests_per_second_max: int) -> None:
        """Let `requests_per_second_max` requests in, at least 1, for each key."""
        self._limit = requests_per_second_max
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, key: str, now: float) -> Allowance:
        """Count a request at the moment `now` (monotonic) and return what is left.

        Raises:
            RateLimited: the window is used up; come back when it is over.
        """
        began, used = self._windows.get(key, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, used = now, 0
        if used >= self._limit:
            raise RateLimited("Too many requests: retry after 1 seconds", 1, limit=self._limit)
        if len(self._windows) >= _KEYS_MAX and key not in self._windows:
            self._windows = {k: w for k, w in self._windows.items() if now - w[0] < WINDOW_SECONDS}
        self._windows[key] = (began, used + 1)
        return Allowance(self._limit, self._limit - used - 1, 1)
