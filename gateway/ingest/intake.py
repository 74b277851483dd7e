"""Intake: a body of NDJSON that is fitted while it arrives.

Whole lines are fitted as soon as there are enough of them, so neither the body nor the objects it is read into are ever
in memory as a whole. What becomes of a body is the same wherever it was cut on its way; `Fitter.fit_ndjson` says what.
Nothing is kept before the end: if the rest is refused, or never comes, what was fitted is dropped.
"""

from typing import Final

from gateway.ingest.fit import Fitted, Fitter, not_understood
from gateway.ingest.lines import LINES_MAX, too_many_lines

PART_BYTES: Final = 256 * 1024
"""From so many bytes on whole lines are fitted. Others have their turn after each part."""


class Intake:
    """The lines of one body."""

    def __init__(self, fitter: Fitter, now: float, import_id: str) -> None:
        """Begin; see `Fitter.fit_ndjson`."""
        self._fitter = fitter
        self._now = now
        self._import_id = import_id
        self._rest = bytearray()  # what came and is not fitted yet
        self._has_end = False  # there is the end of a line in it
        self._lines = 0
        self._is_begun = False
        self._understood = False
        self._complaint = ""

    def take(self, piece: bytes) -> Fitted | None:
        """Take the next bytes; return what became of the lines that were fitted, None if none was.

        Raises:
            TooLarge: the body has too many lines, or too many cells.
        """
        self._rest += piece
        # Looked for in what is new only: a line may be long, and come in many pieces.
        self._has_end = self._has_end or b"\n" in piece
        if len(self._rest) < PART_BYTES or not self._has_end:
            return None
        end = self._rest.rfind(b"\n") + 1
        part = bytes(memoryview(self._rest)[:end])
        del self._rest[:end]
        self._has_end = False
        return self._fit(part)

    def finish(self) -> Fitted | None:
        """Take the end of the body; return what became of the last lines, None if all are fitted.

        Raises:
            TooLarge: as `take`.
            InvalidRequest: there was no JSON object in the body.
        """
        fitted = self._fit(bytes(self._rest)) if self._rest else None
        if not self._understood:
            raise not_understood(self._complaint)
        return fitted

    def _fit(self, part: bytes) -> Fitted:
        newlines = part.count(b"\n")
        self._lines += newlines
        if self._lines > LINES_MAX:
            raise too_many_lines()
        self._fitter.check_size(self._lines + (not part.endswith(b"\n")))
        fitted = self._fitter.fit_part(part, self._now, self._import_id, has_begin=not self._is_begun)
        self._is_begun = True
        self._understood = self._understood or fitted.understood
        self._complaint = self._complaint or fitted.complaint
        return fitted
