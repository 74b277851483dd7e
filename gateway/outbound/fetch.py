"""Fetch: downloads from URLs that clients name, without becoming their way into the network of the gateway.

Who may be asked is decided in `connect`, anew at every redirect. Here is what may come back: a file, not an HTML page,
of a bounded size, in a bounded time, whole. A download that breaks off goes on where it was, if the server can do that
and says that the file is still the same (RFC 9110: Range with If-Range and a strong ETag).
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from aiohttp import ClientError, ClientResponse, hdrs
from aiohttp.http_exceptions import HttpProcessingError

from gateway import __version__
from gateway.core.clock import Clock
from gateway.core.pace import Pace
from gateway.core.spool import Spool
from gateway.outbound.address import AllowList
from gateway.outbound.connect import Resolve, get, parse_url, system_resolve
from gateway.outbound.errors import FetchFailed, FetchRefused

__all__ = ["FetchFailed", "FetchOptions", "FetchRefused", "Fetched", "Fetcher"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and how many there will be, if the server said."""

_HEADERS: Final = {"User-Agent": f"Sluice/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
_ENCODINGS: Final = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_WORTH_A_RETRY: Final = frozenset({408, 425, 429})
_HTML: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_HTML_HEAD_BYTES: Final = 1024
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)", re.ASCII)
_FILE_NAME_LENGTH_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What may be fetched from where, and for how long."""

    allow: AllowList = field(default_factory=AllowList)
    seconds_max: float = 3600.0  # of a whole download
    sample_seconds_max: float = 60.0
    answer_seconds_max: float = 30.0  # until the head of an answer is here
    pace: Pace = field(default_factory=Pace)
    redirects_max: int = 5
    attempts_max: int = 5  # of one download
    pause_seconds: float = 1.0  # before the second attempt; then twice, three times as long


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came."""

    size: int
    encoding: str = ""  # how the server says that the stored bytes are compressed: "", "gzip" or "zstd"
    content_type: str = ""  # in lower case, without parameters
    charset: str = ""  # in lower case; "" if the server does not say
    file_name: str = ""  # the last part of the URL's path; for people and for guessing, never to be opened


class Fetcher:
    """See the module. Safe to use from many tasks."""

    def __init__(self, options: FetchOptions, clock: Clock, resolve: Resolve = system_resolve) -> None:
        self._options = options
        self._clock = clock
        self._resolve = resolve

    async def fetch(self, url: str, to: Path, *, bytes_max: int, progress: Progress | None = None) -> Fetched:
        """Download `url` to the file `to`, which appears when it is whole and durable; its bytes are as they came.

        Args:
            url: http(s).
            to: until then it is `<to>.part`.
            bytes_max: largest file, as it comes.
            progress: see `Progress`; called often.

        Raises:
            FetchRefused: it cannot do better.
            FetchFailed: it may do better later.
            SpoolFailed: the disk is full or broken.
        """
        download = _Download(Spool(to), bytes_max, progress or _ignore, self._options.pace)
        try:
            async with asyncio.timeout(self._options.seconds_max):
                await self._attempts(url, download)
            await download.spool.commit()
        except TimeoutError as error:
            raise FetchRefused(
                f"The download takes longer than {self._options.seconds_max:g} seconds; split the file, or ask the "
                "operator of this gateway to raise the setting outbound_seconds_max"
            ) from error
        finally:
            await download.spool.discard()
        name = unquote(parse_url(url).raw_name)[:_FILE_NAME_LENGTH_MAX]
        return replace(download.about, size=download.spool.size, file_name=name)

    async def sample(self, url: str, bytes_max: int) -> bytes:
        """Return the first `bytes_max` bytes of what `url` answers, as they come; fewer only if there are no more.

        Raises:
            FetchRefused, FetchFailed: as `fetch`.
        """
        found = bytearray()
        try:
            async with asyncio.timeout(self._options.sample_seconds_max), self._answer(url, {}) as response:
                _check_status(response)
                _encoding(response)
                async with aclosing(_chunks(response, self._options.pace)) as chunks:
                    async for chunk in chunks:
                        found += chunk
                        if len(found) >= bytes_max:
                            break
                _refuse_html(bytes(found[:_HTML_HEAD_BYTES]), response)
        except TimeoutError as error:
            raise FetchFailed("The URL is too slow to look into; try again later, or send the file itself") from error
        return bytes(found[:bytes_max])

    async def _attempts(self, url: str, download: "_Download") -> None:
        for attempt in range(1, self._options.attempts_max + 1):
            try:
                async with self._answer(url, download.headers()) as response:
                    await download.take(response)
            except FetchFailed:
                if attempt == self._options.attempts_max or not download.can_resume:
                    raise
            else:
                return
            await self._clock.sleep(self._options.pause_seconds * attempt)

    @asynccontextmanager
    async def _answer(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[ClientResponse]:
        """Ask for `url`, wherever it redirects to."""
        options = self._options
        place = parse_url(url)
        for _ in range(options.redirects_max + 1):
            async with get(
                place,
                {**_HEADERS, **headers},
                allow=options.allow,
                resolve=self._resolve,
                answer_seconds_max=options.answer_seconds_max,
            ) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                target = response.headers.get(hdrs.LOCATION)
                if target is None:
                    raise FetchRefused("The URL redirects, but does not say where to")
                place = parse_url(target, place)
        raise FetchRefused(f"The URL redirects more than {options.redirects_max} times; name the place it leads to")


class _Download:
    """One file on its way, over one or several answers."""

    def __init__(self, spool: Spool, bytes_max: int, progress: Progress, pace: Pace) -> None:
        self.spool = spool
        self.about = Fetched(0)
        self._bytes_max = bytes_max
        self._progress = progress
        self._pace = pace
        self._etag = ""  # a strong one, of the file whose beginning is in the spool
        self._total: int | None = None

    @property
    def can_resume(self) -> bool:
        """Can a server be asked for the rest alone?"""
        return bool(self._etag) and self.spool.size > 0

    def headers(self) -> dict[str, str]:
        """Return what to add to the next request."""
        return {"Range": f"bytes={self.spool.size}-", "If-Range": self._etag} if self.can_resume else {}

    async def take(self, response: ClientResponse) -> None:
        """Take the body of an answer.

        Raises:
            FetchRefused, FetchFailed, SpoolFailed: see `Fetcher.fetch`.
        """
        is_rest = await self._is_rest(response)
        if not is_rest:
            _check_status(response)
            await self._begin(response)
        if self._total is not None and self._total > self._bytes_max:
            raise self._too_large()
        is_looked_at = is_rest
        async with aclosing(_chunks(response, self._pace)) as chunks:
            async for chunk in chunks:
                if self.spool.size + len(chunk) > self._bytes_max:
                    raise self._too_large()
                await self.spool.write(chunk)
                if not is_looked_at and self.spool.size >= _HTML_HEAD_BYTES:
                    _refuse_html(self.spool.head[:_HTML_HEAD_BYTES], response)
                    is_looked_at = True
                self._progress(self.spool.size, self._total)
        if not is_looked_at:
            _refuse_html(self.spool.head, response)
        if self._total is not None and self.spool.size != self._total:
            raise FetchFailed(f"The URL announced {self._total} bytes and sent {self.spool.size}")

    async def _begin(self, response: ClientResponse) -> None:
        """Begin a file, perhaps anew."""
        self.about = Fetched(
            size=0,
            encoding=_encoding(response),
            content_type=response.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower(),
            charset=(response.charset or "").lower(),
        )
        await self.spool.restart()
        etag = response.headers.get(hdrs.ETAG, "")
        ranges = response.headers.get(hdrs.ACCEPT_RANGES, "").strip().lower()
        self._etag = etag if etag.startswith('"') and ranges != "none" else ""
        self._total = response.content_length

    async def _is_rest(self, response: ClientResponse) -> bool:
        """Say whether the answer is what is missing of the file; otherwise it begins a file, or is an error."""
        if not self.can_resume or response.status not in {206, 416}:
            return False
        found = _RANGE.fullmatch(response.headers.get(hdrs.CONTENT_RANGE, "").strip())
        total = str(self._total) if self._total is not None else None
        if (
            response.status == 206
            and found is not None
            and int(found[1]) == self.spool.size
            and (total is None or found[2] in {total, "*"})
            and response.headers.get(hdrs.ETAG, self._etag) == self._etag
        ):
            if self._total is None and found[2] != "*":
                self._total = int(found[2])
            return True
        self._etag = ""
        raise FetchFailed("The download broke off, and the URL does not send the rest of the same file")

    def _too_large(self) -> FetchRefused:
        return FetchRefused(f"The file is larger than {self._bytes_max} bytes; split it, and import the parts")


async def _chunks(response: ClientResponse, pace: Pace) -> AsyncGenerator[bytes, None]:
    """Yield the body as it comes.

    Raises:
        FetchFailed: it broke off, or comes too slowly.
    """
    now = asyncio.get_running_loop().time
    began = now()
    size = 0
    while True:
        try:
            async with asyncio.timeout_at(pace.deadline(began, now(), size)):
                chunk = await response.content.readany()
        except TimeoutError as error:
            raise FetchFailed("The URL stopped sending, or is too slow; try again later") from error
        except (ClientError, HttpProcessingError, OSError, ValueError, RuntimeError) as error:
            raise FetchFailed("The answer of the URL broke off; try again later") from error
        if not chunk:
            return
        size += len(chunk)
        yield chunk


def _check_status(response: ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    if status in _WORTH_A_RETRY or status >= 500:
        raise FetchFailed(f"The URL answered with status {status}; try again later")
    raise FetchRefused(f"The URL answered with status {status}; check that it can be read without logging in")


def _encoding(response: ClientResponse) -> str:
    said = response.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    found = _ENCODINGS.get(said)
    if found is None:
        raise FetchRefused("The URL answers in a Content-Encoding other than gzip and zstd")
    return found


def _refuse_html(head: bytes, response: ClientResponse) -> None:
    is_hidden = bool(_encoding(response)) and response.content_type in {"text/html", "application/xhtml+xml"}
    if is_hidden or _HTML.match(head):
        raise FetchRefused("The URL answered an HTML page, not a file of data; name the URL of the file itself")


def _ignore(_size: int, _total: int | None) -> None:
    return None
