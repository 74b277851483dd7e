"""Bodies: read with a limit, decompressed with the same limit.

The limit is on what the body means, so on its decompressed bytes; a compressed body is refused as soon as it would
unfold beyond it, having cost no more than the limit and one window. Content-Type is never looked at.
"""

import asyncio
import sys
import zlib
from collections.abc import Callable
from typing import Final, Protocol, cast

from aiohttp.web import BaseRequest
from isal import isal_zlib

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.core.pace import Pace

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_SILENCE_SECONDS_MAX: Final = 30.0
# Larger bodies are decompressed in a thread, so that the others do not wait for it.
_INLINE_BYTES_MAX: Final = 64 * 1024
_WINDOW_LOG_MAX: Final = 27  # 128 MiB: what `zstd --long` makes; more is for bombs
# A body of 10 000 tiny members costs more to open than to read.
_MEMBERS_MAX: Final = 1000
_GZIP: Final = 31  # zlib's word for "a gzip header and trailer"


async def read_body(request: BaseRequest, limit: int) -> bytes:
    """Return the decompressed body.

    Raises:
        TooLarge: more than `limit` bytes, as sent or decompressed.
        InvalidRequest: it broke off, or is not what its Content-Encoding says.
    """
    raw = await _read(request, limit)
    if "Content-Encoding" not in request.headers:
        return raw
    decompress = decoder(request)
    if len(raw) <= _INLINE_BYTES_MAX:
        return decompress(raw, limit)
    return await asyncio.to_thread(decompress, raw, limit)


def decoder(request: BaseRequest) -> Callable[[bytes, int], bytes]:
    """Return what undoes the request's Content-Encoding: bytes as sent and a limit → the body, as `read_body` says.

    Raises:
        InvalidRequest: we do not know the encoding.
    """
    encoding = request.headers.get("Content-Encoding", "")
    found = _DECOMPRESSORS.get(encoding.strip().lower())
    if found is None:
        raise InvalidRequest("The Content-Encoding must be gzip, zstd, deflate or identity")
    return found


async def _read(request: BaseRequest, limit: int) -> bytes:
    length = request.content_length
    if length is not None and length > limit:
        raise too_large(limit)
    content = request.content
    if length == 0 or content.is_eof():
        if content.exception() is not None:
            raise InvalidRequest("The body broke off")
        if length == 0:
            return b""
    await say_continue(request)
    chunks: list[bytes] = []
    size = 0
    try:
        if content.is_eof() and content.total_bytes <= limit:
            return content.read_nowait()
        now = asyncio.get_running_loop().time
        began = now()
        pace = Pace(_SILENCE_SECONDS_MAX)
        while True:
            async with asyncio.timeout_at(pace.deadline(began, now(), size)):
                chunk = await content.readany()
            if not chunk:
                break
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            chunks.append(chunk)
    except TimeoutError as error:
        raise InvalidRequest("The body did not arrive in time") from error
    except (ValueError, OSError, RuntimeError) as error:
        raise InvalidRequest("The body broke off") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def say_continue(request: BaseRequest) -> None:
    """Tell a client that waits for it (curl, with a large body) that we want the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and not request.content.is_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer has not begun


_MALFORMED: Final[tuple[type[Exception], ...]] = (cast("type[Exception]", isal_zlib.error), zstd.ZstdError)


def gunzip(data: bytes, limit: int) -> bytes:
    """Return the content of a gzip body, of one member or several.

    Raises:
        TooLarge, InvalidRequest: see `read_body`.
    """
    return _unfold(data, limit, lambda: isal_zlib.decompressobj(wbits=_GZIP))


def inflate(data: bytes, limit: int) -> bytes:
    """Return the content of a deflate body: in its zlib wrapper, or bare as some clients send it."""
    try:
        return _unfold(data, limit, lambda: isal_zlib.decompressobj(wbits=zlib.MAX_WBITS))
    except TooLarge:
        raise
    except InvalidRequest:
        return _unfold(data, limit, lambda: isal_zlib.decompressobj(wbits=-zlib.MAX_WBITS))


def unzstd(data: bytes, limit: int) -> bytes:
    """Return the content of a zstd body, of one frame or several.

    Raises:
        TooLarge, InvalidRequest: see `read_body`.
    """
    options = {int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG_MAX}
    return _unfold(data, limit, lambda: zstd.ZstdDecompressor(options=options))


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool:
        """Is the member whole?"""

    @property
    def unused_data(self) -> bytes:
        """What follows the member."""

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Return at most `max_length` bytes more."""


def _unfold(data: bytes, limit: int, member: Callable[[], _Decompressor]) -> bytes:
    """Return the content of the members of `data`, one after the other."""
    found: list[bytes] = []
    size = 0
    members = 0
    try:
        while data:
            reader = member()
            piece = reader.decompress(data, max_length=limit - size + 1)
            size += len(piece)
            members += 1
            if size > limit or members > _MEMBERS_MAX:
                raise too_large(limit)
            if not reader.eof:
                raise InvalidRequest("The compressed body is cut short")
            found.append(piece)
            data = reader.unused_data.lstrip(b"\0")  # gzip may be padded with zeros
    except _MALFORMED as error:
        raise InvalidRequest("The body is not valid compressed data") from error
    return found[0] if len(found) == 1 else b"".join(found)


def _same(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise too_large(limit)
    return data


_DECOMPRESSORS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
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
