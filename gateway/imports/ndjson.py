"""NDJSON: a file of one JSON object per line → blocks of whole lines.

A block ends at the last newline within `BLOCK_BYTES`, or after `BLOCK_LINES` lines: that depends on the content alone,
not on how it arrives. A line that is not readable is a row in quarantine; of one longer than `LINE_BYTES_MAX` only the
beginning is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.imports.blocks import Block
from gateway.ingest.fit import CELLS_MAX, Fitted, Fitter
from gateway.ingest.lines import split
from gateway.ingest.quarantine import QuarantinedRow

BLOCK_BYTES: Final = 8 * 1024 * 1024
BLOCK_LINES: Final = 65_536
LINE_BYTES_MAX: Final = 16 * 1024 * 1024

_KEPT_BYTES: Final = 64 * 1024  # of a line that is too long
_READ_BYTES: Final = 1024 * 1024


class Content(Protocol):
    """What is read: a `Stream`."""

    @property
    def position(self) -> int:
        """How many bytes of the stored file were read."""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some whole lines of a file, or the beginning of one that is too long.

    Attributes:
        text: the lines, newlines included.
        position: how many bytes of the stored file were read for it.
        is_cut: it is the beginning of one line.
    """

    text: bytes
    position: int
    is_cut: bool = False


def ndjson_blocks(stream: Content, fitter: Fitter, now: float, import_id: str) -> Iterator[Block]:
    """Yield the blocks of a file of NDJSON.

    Args:
        stream: its content.
        fitter: of the data source.
        now: unix time of the job; the same for every run of it.
        import_id: shown with quarantined rows.

    Raises:
        InvalidRequest: what `stream` raises.
    """
    lines_max = max(1, min(BLOCK_LINES, CELLS_MAX // len(fitter.columns)))
    for number, part in enumerate(parts(stream, lines_max)):
        if part.is_cut:
            yield Block(number, _too_long(fitter, part.text, now, import_id), 1, 0, 1, part.position)
            continue
        lines = len(split(part.text))
        fitted = fitter.fit_part(part.text, now, import_id)
        empty = lines - fitted.rows - fitted.quarantined
        yield Block(number, fitted, lines, empty, fitted.unreadable, part.position)


def parts(stream: Content, lines_max: int) -> Iterator[Part]:
    """Yield the lines of `stream` in parts of at most `lines_max`; never an empty one.

    Raises:
        InvalidRequest: what `stream` raises.
    """
    held = b""
    while True:
        held += stream.read(max(0, BLOCK_BYTES - len(held)))
        if not held:
            return
        end = len(held) if len(held) < BLOCK_BYTES else held.rfind(b"\n", 0, BLOCK_BYTES) + 1
        if not end:
            held, end = _rest_of_line(stream, held)
            if not end:
                yield Part(held[:_KEPT_BYTES], stream.position, is_cut=True)
                held = _after_line(stream)
                continue
        if held.count(b"\n", 0, end) > lines_max:
            end -= len(held[:end].split(b"\n", lines_max)[-1])
        yield Part(held[:end], stream.position)
        held = held[end:]


def _rest_of_line(stream: Content, held: bytes) -> tuple[bytes, int]:
    """Read on to the end of the line that `held` begins with; return all that was read, and where the line ends.

    0 stands for the end of a line that is too long.
    """
    pieces = [held]
    size = len(held)
    while size <= LINE_BYTES_MAX:
        piece = stream.read(_READ_BYTES)
        pieces.append(piece)
        if (newline := piece.find(b"\n")) >= 0 or not piece:
            end = size + (newline + 1 if piece else 0)
            return b"".join(pieces), end
        size += len(piece)
    return held, 0


def _after_line(stream: Content) -> bytes:
    """Skip the rest of a line; return what was read behind it."""
    while piece := stream.read(_READ_BYTES):
        if (newline := piece.find(b"\n")) >= 0:
            return piece[newline + 1 :]
    return b""


def _too_long(fitter: Fitter, line: bytes, now: float, import_id: str) -> Fitted:
    reason = f"The line is longer than {LINE_BYTES_MAX} bytes, which is the limit; only its beginning is kept here"
    row = QuarantinedRow.unread(line, reason)
    return Fitted([], 0, 1, fitter.quarantine.columns([row], now, import_id), 1)
