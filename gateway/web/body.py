"""Bodies: read with a limit, decompressed with the same limit; whole, or in pieces while they arrive.

The limit is on what the body means, so on its decompressed bytes; a compressed body is refused as soon as it would
unfold beyond it, having cost no more than the limit and one window. Content-Type is never looked at.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp.web import BaseRequest

from gateway.core.errors import InvalidRequest
from gateway.core.pace import Pace
from gateway.web.unfold import DECODERS, MEMBERS, Member, Unfolding, too_large

_SILENCE_SECONDS_MAX: Final = 30.0
# Larger bodies are decompressed in a thread, so that the others do not wait for it.
_INLINE_BYTES_MAX: Final = 64 * 1024
# Of what is given on at once while a compressed body arrives, in bytes.
_PIECE_BYTES_MAX: Final = 256 * 1024


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


def in_pieces(request: BaseRequest, limit: int) -> AsyncIterator[bytes]:
    """Return the decompressed body piece by piece, cut anywhere, as it arrives; the pieces may be empty.

    Until the last came nobody knows whether the body is whole.

    Raises:
        TooLarge, InvalidRequest: as `read_body`, some of them only when pieces have been given.
    """
    member = MEMBERS.get(_encoding(request))
    return _arriving(request, limit) if member is None else _unfolding(request, limit, member)


def may_come_in_pieces(request: BaseRequest) -> bool:
    """Say whether `in_pieces` can read the body; deflate is two encodings under one name, to be tried whole."""
    encoding = _encoding(request)
    return encoding in MEMBERS or encoding in {"", "identity"}


def decoder(request: BaseRequest) -> Callable[[bytes, int], bytes]:
    """Return what undoes the request's Content-Encoding: bytes as sent and a limit → the body, as `read_body` says.

    Raises:
        InvalidRequest: we do not know the encoding.
    """
    found = DECODERS.get(_encoding(request))
    if found is None:
        raise InvalidRequest("The Content-Encoding must be gzip, zstd, deflate or identity")
    return found


def _encoding(request: BaseRequest) -> str:
    return request.headers.get("Content-Encoding", "").strip().lower()


async def _read(request: BaseRequest, limit: int) -> bytes:
    content = request.content
    if content.is_eof() and content.exception() is None and content.total_bytes <= limit:
        return content.read_nowait()
    chunks = [chunk async for chunk in _arriving(request, limit)]
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _arriving(request: BaseRequest, limit: int) -> AsyncIterator[bytes]:
    """Yield the body as it was sent."""
    length = request.content_length
    if length is not None and length > limit:
        raise too_large(limit)
    content = request.content
    if length == 0 or content.is_eof():
        if content.exception() is not None:
            raise InvalidRequest("The body broke off")
        if length == 0:
            return
    await say_continue(request)
    now = asyncio.get_running_loop().time
    began = now()
    pace = Pace(_SILENCE_SECONDS_MAX)
    size = 0
    while True:
        try:
            async with asyncio.timeout_at(pace.deadline(began, now(), size)):
                chunk = await content.readany()
        except TimeoutError as error:
            raise InvalidRequest("The body did not arrive in time") from error
        except (ValueError, OSError, RuntimeError) as error:
            raise InvalidRequest("The body broke off") from error
        if not chunk:
            return
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        yield chunk


async def _unfolding(request: BaseRequest, limit: int, member: Member) -> AsyncIterator[bytes]:
    """Yield the body decompressed."""
    unfolding = Unfolding(member, limit, _PIECE_BYTES_MAX)
    async for chunk in _arriving(request, limit):
        for piece in unfolding.feed(chunk):
            yield piece
    unfolding.end()


async def say_continue(request: BaseRequest) -> None:
    """Tell a client that waits for it (curl, with a large body) that we want the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and not request.content.is_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer has not begun
