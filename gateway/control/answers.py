"""Answers: those that may be given again for a while, because the template of the endpoint says so.

What an answer is kept under is the SQL itself, with all row filters and names of tables in it, so whoever asks gets
what the token would have got. Bounded for each workspace and in all; the oldest go first.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from gateway.clickhouse.reader import Summary
from gateway.core.clock import Clock

ANSWER_BYTES_MAX: Final = 1024 * 1024
WORKSPACE_BYTES_MAX: Final = 8 * 1024 * 1024
BYTES_MAX: Final = 64 * 1024 * 1024

# Key and entry take memory as well.
_OVERHEAD_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer."""

    content_type: str
    body: bytes
    summary: Summary


class AnswerCache:
    """See the module. One per worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: OrderedDict[tuple[str, Any], tuple[float, int, Kept]] = OrderedDict()
        self._bytes: dict[str, int] = {}

    def get(self, workspace_id: str, key: tuple[Any, ...]) -> Kept | None:
        """Return the answer kept under `key`, if it is still young enough."""
        found = self._answers.get((workspace_id, key))
        if found is None:
            return None
        if found[0] <= self._clock.monotonic():
            self._drop((workspace_id, key))
            return None
        return found[2]

    def put(self, workspace_id: str, key: tuple[Any, ...], answer: Kept, seconds: float) -> None:
        """Keep `answer` for `seconds`, unless it is too large."""
        size = len(answer.body) + sum(len(part) for part in key) + _OVERHEAD_BYTES
        if size > ANSWER_BYTES_MAX:
            return
        if (workspace_id, key) in self._answers:
            self._drop((workspace_id, key))
        self._answers[workspace_id, key] = (self._clock.monotonic() + seconds, size, answer)
        self._bytes[workspace_id] = self._bytes.get(workspace_id, 0) + size
        while self._bytes[workspace_id] > WORKSPACE_BYTES_MAX:
            self._drop(next(each for each in self._answers if each[0] == workspace_id))
        while sum(self._bytes.values()) > BYTES_MAX:
            self._drop(next(iter(self._answers)))

    def _drop(self, which: tuple[str, Any]) -> None:
        _, size, _ = self._answers.pop(which)
        self._bytes[which[0]] -= size
        if not self._bytes[which[0]]:
            del self._bytes[which[0]]
