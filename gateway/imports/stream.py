"""Stream: the content of a stored file, gzip and zstd undone on the way, in constant memory.

What the bytes are is told by the bytes: a name or a header may lie. A Content-Encoding that was declared is undone
first; what comes out may be compressed once more, as a `.csv.gz` is that was sent with Content-Encoding.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self, cast

from isal import igzip_lib

from gateway.core.errors import InvalidRequest, TooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_READ_BYTES: Final = 256 * 1024
_PIECE_BYTES: Final = 1024 * 1024
_WINDOW_LOG_MAX: Final = 27  # 128 MiB: what `zstd --long` makes; more is for bombs
# Of one file. `bgzip` makes a member of every 64 KiB: enough for 64 GB of that.
_MEMBERS_MAX: Final = 1_000_000
_HEAD_BYTES: Final = 4


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool:
        """Is the member whole?"""

    @property
    def needs_input(self) -> bool:
        """Is there nothing more to give without new data?"""

    @property
    def unused_data(self) -> bytes:
        """What follows the member."""

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Return at most `max_length` bytes more."""


def _gzip() -> _Decompressor:
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def _zstd() -> _Decompressor:
    options = {int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG_MAX}
    return zstd.ZstdDecompressor(options=options)


_DECLARED: Final[dict[str, Callable[[], _Decompressor] | None]] = {
    "": None,
    "identity": None,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "zstd": _zstd,
}
_MALFORMED: Final[tuple[type[Exception], ...]] = (cast("type[Exception]", igzip_lib.IsalError), zstd.ZstdError)


class _Source(Protocol):
    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""


class Stream:
    """The content of a file; read it once, from the start. Close it, or use it in `with`."""

    def __init__(
        self, file: BinaryIO, encoding: str = "", *, unfolded_bytes_max: int, may_be_cut: bool = False
    ) -> None:
        """Read `file`, which is closed with the stream.

        Args:
            file: as stored.
            encoding: the Content-Encoding it came with.
            unfolded_bytes_max: of the content; reading beyond it raises.
            may_be_cut: it is only the beginning of a file: that compressed data breaks off is no error.

        Raises:
            InvalidRequest: the encoding is unknown, or the compressed data is broken.
        """
        self.is_broken_off = False
        """Whether compressed data broke off; seen when it was read to there."""
        self._file = file
        self._fed = 0
        source: _Source = _Counted(file, self._count)
        break_off = self._break_off if may_be_cut else _refuse_cut
        declared = encoding.strip().lower()
        if declared not in _DECLARED:
            raise InvalidRequest("The Content-Encoding must be gzip, zstd or identity")
        if (member := _DECLARED[declared]) is not None:
            source = _Unfolded(source, member, break_off)
        head = _read_exactly(source, _HEAD_BYTES)
        source = _Joined(head, source)
        if (member := _member_of(head)) is not None:
            source = _Unfolded(source, member, break_off)
        self.is_compressed = declared not in ("", "identity") or member is not None
        self._source = source
        self._left = unfolded_bytes_max
        self._limit = unfolded_bytes_max

    @property
    def position(self) -> int:
        """How many bytes of the stored file were read."""
        return self._fed

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end.

        Raises:
            TooLarge: there are more bytes than this stream may give.
            InvalidRequest: the compressed data is broken or cut short.
        """
        found = _read_exactly(self._source, size)
        self._left -= len(found)
        if self._left < 0:
            raise TooLarge(f"The file unfolds to more than {self._limit} bytes; send it in parts")
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _count(self, size: int) -> None:
        self._fed += size

    def _break_off(self) -> None:
        self.is_broken_off = True


def open_stream(path: Path, encoding: str = "", *, unfolded_bytes_max: int) -> Stream:
    """Return the content of the file at `path`; for the arguments see `Stream`.

    Raises:
        InvalidRequest: see `Stream`.
        OSError: the file cannot be opened.
    """
    file = path.open("rb")
    try:
        return Stream(file, encoding, unfolded_bytes_max=unfolded_bytes_max)
    except BaseException:
        file.close()
        raise


class _Counted:
    def __init__(self, file: BinaryIO, count: Callable[[int], None]) -> None:
        self._file = file
        self._count = count

    def read(self, size: int, /) -> bytes:
        found = self._file.read(size)
        self._count(len(found))
        return found


class _Joined:
    """What was read to look at, and then the rest."""

    def __init__(self, head: bytes, rest: _Source) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        if not self._head:
            return self._rest.read(size)
        found, self._head = self._head[:size], self._head[size:]
        return found


class _Unfolded:
    """The content of the members of compressed data, one after the other."""

    def __init__(self, source: _Source, member: Callable[[], _Decompressor], break_off: Callable[[], None]) -> None:
        self._source = source
        self._member = member
        self._break_off = break_off
        self._reader = member()
        self._members = 1
        self._data = b""  # read, and not yet given to a reader
        self._is_inside = False  # the reader has had some bytes of its member

    def read(self, size: int, /) -> bytes:
        while True:
            if self._reader.eof and not self._open_next():
                return b""
            if self._reader.needs_input and not self._data and not self._fill():
                return b""
            found = self._give(size)
            if found:
                return found

    def _give(self, size: int) -> bytes:
        data, self._data = self._data, b""
        self._is_inside = True
        try:
            return self._reader.decompress(data, max_length=size)
        except _MALFORMED as error:
            raise InvalidRequest(
                "The file is not valid compressed data; pack it again and send it once more"
            ) from error

    def _open_next(self) -> bool:
        """Begin with the next member, if there is one; padding of zeros between members is skipped."""
        data = self._reader.unused_data.lstrip(b"\0")
        while not data:
            data = self._source.read(_READ_BYTES)
            if not data:
                return False
            data = data.lstrip(b"\0")
        self._members += 1
        if self._members > _MEMBERS_MAX:
            raise TooLarge(f"The compressed file has more than {_MEMBERS_MAX} members; pack it as one")
        self._reader = self._member()
        self._data = data
        self._is_inside = False
        return True

    def _fill(self) -> bool:
        """Read on; say whether there was something."""
        self._data = self._source.read(_READ_BYTES)
        if not self._data and self._is_inside:
            self._break_off()
        return bool(self._data)


def _refuse_cut() -> None:
    raise InvalidRequest("The compressed file is cut short; send it once more, whole")


def _member_of(head: bytes) -> Callable[[], _Decompressor] | None:
    if head[:2] == b"\x1f\x8b":
        return _gzip
    # A zstd frame, or a skippable one before it.
    is_zstd = head == b"\x28\xb5\x2f\xfd" or (head[1:] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F)
    return _zstd if is_zstd else None


def _read_exactly(source: _Source, size: int) -> bytes:
    pieces = []
    while size > 0:
        piece = source.read(min(size, _PIECE_BYTES))
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
