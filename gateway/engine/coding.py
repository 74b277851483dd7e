"""Coding: bodies compressed and not, in pieces of bounded size.

`Decoder` takes whatever arrives and gives at most `PIECE_BYTES` at a time, so a decompression bomb costs time, never
memory. Frames and members that follow one another are one body: clickhouse-connect sends a new one per block. A body
that ends inside a frame is refused, or half an INSERT would be committed.

`Encoder` makes one frame of the whole answer, because clients decode only one.

Pure: bytes in, bytes out.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Final, Protocol, cast

import lz4.frame
from isal import igzip_lib, isal_zlib

from gateway.engine.errors import CANNOT_DECOMPRESS, UNKNOWN_COMPRESSION_METHOD, EngineError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES: Final = 1024 * 1024

# In the order we prefer them: the engine listens on loopback, where time is dearer than bytes.
_CODINGS: Final = ("lz4", "zstd", "gzip", "deflate")

# Of lz4; of isal, whose stubs have the class as a value; of zstd.
_FAILURES: Final = (RuntimeError, EOFError, ValueError, cast("type[Exception]", igzip_lib.error), zstd.ZstdError)


class _Decompressor(Protocol):
    """The interface of `bz2.BZ2Decompressor`, which they all have."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def choose(accept: str) -> str:
    """Return the coding for an answer to `Accept-Encoding: accept`; empty for none."""
    offered = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return next((coding for coding in _CODINGS if coding in offered), "")


class Decoder:
    """Decodes one body with `Content-Encoding: coding`.

    Raises:
        EngineError: nobody here knows `coding`.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding.strip().lower()
        if self._coding not in {*_CODINGS, "", "identity"}:
            raise EngineError(UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method: {coding[:40]}")
        self._is_plain = self._coding in {"", "identity"}
        self._frame: _Decompressor | None = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` decodes to; to be read to its end before the next call.

        Raises:
            EngineError: `data` is damaged, or not in this coding at all.
        """
        if self._is_plain:
            yield data
            return
        try:
            while data or (self._frame is not None and not self._frame.needs_input):
                if self._frame is None:
                    self._frame = _decompressor(self._coding)
                piece = self._frame.decompress(data, PIECE_BYTES)
                data = b""
                if self._frame.eof:
                    data = self._frame.unused_data or b""
                    self._frame = None
                if piece:
                    yield piece
        except _FAILURES as error:
            raise self._error(str(error)) from error

    def finish(self) -> None:
        """Say that the body has ended.

        Raises:
            EngineError: it ended inside a frame.
        """
        if self._frame is not None:
            raise self._error("the body ends inside a compressed frame")

    def _error(self, reason: str) -> EngineError:
        return EngineError(CANNOT_DECOMPRESS, f"Cannot decompress the body as {self._coding}: {reason}")


class Encoder:
    """Encodes one answer; the fastest level of each coding."""

    def __init__(self, coding: str) -> None:
        self._begin = b""
        self._compress: Callable[[bytes], bytes] = bytes
        self._flush: Callable[[], bytes] = bytes
        if coding == "lz4":
            frame = lz4.frame.LZ4FrameCompressor(auto_flush=True)
            self._begin = frame.begin()
            self._compress, self._flush = frame.compress, frame.flush
        elif coding == "zstd":
            block = zstd.ZstdCompressor(level=1)
            self._compress, self._flush = block.compress, block.flush
        elif coding in {"gzip", "deflate"}:
            stream = isal_zlib.compressobj(level=1, wbits=31 if coding == "gzip" else 15)
            self._compress, self._flush = stream.compress, stream.flush

    def encode(self, data: bytes) -> bytes:
        """Return `data`, encoded; perhaps less than all of it, until `finish`."""
        begin, self._begin = self._begin, b""
        return begin + self._compress(data) if begin else self._compress(data)

    def finish(self) -> bytes:
        """Return the rest, and the end of the frame."""
        begin, self._begin = self._begin, b""
        return begin + self._flush()


def _decompressor(coding: str) -> _Decompressor:
    if coding == "lz4":
        return lz4.frame.LZ4FrameDecompressor()  # type: ignore[no-any-return]
    if coding == "zstd":
        return zstd.ZstdDecompressor()
    flag = igzip_lib.DECOMP_GZIP if coding == "gzip" else igzip_lib.DECOMP_ZLIB
    return igzip_lib.IgzipDecompressor(flag=flag)
