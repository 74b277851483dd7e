"""Unfold: what undoes a Content-Encoding, at once or piece by piece, never beyond a limit."""

import sys
from collections.abc import Callable, Iterator
from typing import Final, Protocol, cast

from isal import igzip_lib

from gateway.core.errors import InvalidRequest, TooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_WINDOW_LOG_MAX: Final = 27  # 128 MiB: what `zstd --long` makes; more is for bombs
# A body of 10 000 tiny members costs more to open than to read.
_MEMBERS_MAX: Final = 1000
_MALFORMED: Final[tuple[type[Exception], ...]] = (cast("type[Exception]", igzip_lib.IsalError), zstd.ZstdError)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool:
        """Is the member whole?"""

    @property
    def needs_input(self) -> bool:
        """Is there nothing more to be had without more data?"""

    @property
    def unused_data(self) -> bytes:
        """What follows the member."""

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Return at most `max_length` bytes more; what of `data` is not needed yet is remembered."""


Member = Callable[[], _Decompressor]


class Unfolding:
    """Undoes an encoding: compressed bytes in, cut anywhere; pieces of the content of the members out."""

    def __init__(self, member: Member, limit: int, piece_bytes_max: int) -> None:
        self._member = member
        self._limit = limit
        self._piece_bytes_max = piece_bytes_max
        self._reader: _Decompressor | None = None  # of the member that is not whole yet
        self._members = 0
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` adds.

        Raises:
            TooLarge, InvalidRequest: see `read_body`.
        """
        while True:
            if self._reader is None:
                data = data.lstrip(b"\0") if self._members else data  # gzip may be padded with zeros
                if not data:
                    return
                self._members += 1
                if self._members > _MEMBERS_MAX:
                    raise too_large(self._limit)
                self._reader = self._member()
            reader = self._reader
            try:
                piece = reader.decompress(data, max_length=min(self._piece_bytes_max, self._limit - self._size + 1))
            except _MALFORMED as error:
                raise InvalidRequest("The body is not valid compressed data") from error
            self._size += len(piece)
            if self._size > self._limit:
                raise too_large(self._limit)
            yield piece
            data = b""
            if reader.eof:
                data, self._reader = reader.unused_data, None
            elif reader.needs_input:
                return

    def end(self) -> None:
        """Say that there is no more data.

        Raises:
            InvalidRequest: there should have been.
        """
        if self._reader is not None:
            raise InvalidRequest("The compressed body is cut short")


def _unfold(data: bytes, limit: int, member: Member) -> bytes:
    """Return the content of the members of `data`, one after the other."""
    unfolding = Unfolding(member, limit, limit + 1)
    found = list(unfolding.feed(data))
    unfolding.end()
    return found[0] if len(found) == 1 else b"".join(found)


def _igzip(flag: int) -> Member:
    return lambda: cast("_Decompressor", igzip_lib.IgzipDecompressor(flag=flag))


def _zstd() -> _Decompressor:
    return zstd.ZstdDecompressor(options={int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG_MAX})


_gzip: Final = _igzip(igzip_lib.DECOMP_GZIP)
MEMBERS: Final[dict[str, Member]] = {"gzip": _gzip, "x-gzip": _gzip, "zstd": _zstd}


def gunzip(data: bytes, limit: int) -> bytes:
    """Return the content of a gzip body, of one member or several.

    Raises:
        TooLarge, InvalidRequest: see `read_body`.
    """
    return _unfold(data, limit, _gzip)


def inflate(data: bytes, limit: int) -> bytes:
    """Return the content of a deflate body: in its zlib wrapper, or bare as some clients send it."""
    try:
        return _unfold(data, limit, _igzip(igzip_lib.DECOMP_ZLIB))
    except TooLarge:
        raise
    except InvalidRequest:
        return _unfold(data, limit, _igzip(igzip_lib.DECOMP_DEFLATE))


def unzstd(data: bytes, limit: int) -> bytes:
    """Return the content of a zstd body, of one frame or several.

    Raises:
        TooLarge, InvalidRequest: see `read_body`.
    """
    return _unfold(data, limit, _zstd)


def _same(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise too_large(limit)
    return data


DECODERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": gunzip,
    "x-gzip": gunzip,
    "zstd": unzstd,
    "deflate": inflate,
    "identity": _same,
    "": _same,
}


def too_large(limit: int) -> TooLarge:
    """Return the refusal of a body of more than `limit` bytes."""
    return TooLarge(f"The body is larger than {limit} bytes, send it in parts")
