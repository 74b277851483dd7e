"""Upload: the parameters and the one file of a request, in whatever way the client sends them (datasources.md §2.2).

    multipart/form-data        the part with a file name, or a name that files have, is the file; the others, parameters
    a form, a JSON object      parameters, if it reads as such; `curl --data-binary` says "form" of every file
    anything else              the file

Parameters of the query win over those of the body. The file goes to disk as it was sent, still compressed if it was, in
constant memory; a client that goes away leaves nothing.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec
from aiohttp import BodyPartReader, MultipartReader, StreamReader, hdrs
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import BaseRequest

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.core.pace import Pace
from gateway.core.spool import HELD_BYTES_MAX, PART, Spool
from gateway.web.body import say_continue
from gateway.web.request import Request
from gateway.web.target import Params, parse_form
from gateway.web.unfold import too_large

T = TypeVar("T")

# The names of parameters that can stand in a body, and how those of families begin.
_KNOWN: Final = frozenset(
    {
        *("mode", "name", "url", "format", "schema", "engine", "type_guessing", "progress", "debug", "datafile"),
        *("replace_condition", "skip_incompatible_partition_key", "replace_truncate_when_empty"),
        *("description", "indexes", "indexes_list", "branch_mode", "tags", "token", "from", "cli_version"),
        *("service", "connector", "bucket_uri", "cron"),
    }
)
_FAMILIES: Final = ("engine_", "dialect_", "kafka_", "import_")
# A JSON object with one of these asks for something; without, it is a row.
_ASKING: Final = frozenset({"schema", "datafile", "url"})
_FILE_NAMES: Final = frozenset({"csv", "ndjson", "json", "parquet", "file", "data"})
# Where nothing else says the format, a part of such a name does; "csv" says nothing, SDKs send every file as that.
_TELLING: Final = frozenset({"ndjson", "parquet"})

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_ENCODINGS: Final = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}

_PARTS_MAX: Final = 1000
_FIELDS_BYTES_MAX: Final = HELD_BYTES_MAX
# What boundaries, heads of parts and parameters may add to the size of the file.
_ENVELOPE_BYTES_MAX: Final = 2 * _FIELDS_BYTES_MAX
# Boundaries and lines of heads, of all parts; also what stands before the first, where nobody needs anything.
_LINES_MAX: Final = 20 * _PARTS_MAX
_CHUNK_BYTES: Final = 256 * 1024
_FILE_NAME_LENGTH_MAX: Final = 255
# How long files may lie in the directory: those that are not whole, since something was added; and whole ones.
_PART_SECONDS_MAX: Final = 3600.0
_WHOLE_SECONDS_MAX: Final = 72 * 3600.0
# What a stream that broke off raises, or whose chunks or parts cannot be told apart.
_BROKEN: Final = (ValueError, OSError, RuntimeError, AssertionError, HttpProcessingError)


@dataclass(frozen=True, slots=True)
class Upload:
    """A request's parameters, and the file that came with them."""

    params: Params  # of query and body
    path: Path | None = None  # None: no file came. The bytes as they were sent, durable.
    size: int = 0  # of the file
    file_name: str = ""  # as the client calls it, without directories; for people and for guessing, never to be opened
    head: bytes = b""  # the first 64 KiB of the file, or all
    encoding: str = ""  # how the client says that the file is compressed: "", "gzip" or "zstd"; it need not be true
    charset: str = ""  # as the client says, in lower case; "" if it does not

    async def discard(self) -> None:
        """Remove the file, if there is one. Safe twice."""
        if self.path is not None:
            await asyncio.to_thread(self.path.unlink, missing_ok=True)


async def receive(request: Request, directory: Path, bytes_max: int, pace: Pace | None = None) -> Upload:
    """Return what came with `request`; a file is in `directory`, which is made if need be, and is the caller's.

    Args:
        request: none of its body has been read.
        directory: where the file goes, under the id of the request; `<id>.part` until it is whole.
        bytes_max: largest file, as sent.
        pace: how slow the client may be.

    Raises:
        TooLarge: the file has more than `bytes_max` bytes, or the parameters more than 1 MiB.
        InvalidRequest: the body broke off, is too slow, or cannot be read; or it holds two files.
        SpoolFailed: the disk is full or broken.
    """
    raw = request.raw
    kind = raw.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    is_multipart = kind.startswith("multipart/")
    limit = bytes_max + _ENVELOPE_BYTES_MAX if is_multipart else bytes_max
    if raw.content_length is not None and raw.content_length > limit:
        raise too_large(bytes_max)
    encoding = _encoding(raw)
    if raw.content.is_eof() and not raw.content.total_bytes and raw.content.exception() is None:
        return Upload(request.params)
    await say_continue(raw)
    body = _Body(raw, limit, bytes_max, pace or Pace())
    spool = Spool(directory / request.id)
    try:
        if is_multipart:
            return await _Parts(request, body, spool, bytes_max).receive(kind, encoding)
        return await _whole(request, body, spool, kind, encoding)
    except TimeoutError as error:
        raise InvalidRequest("The body did not arrive in time") from error
    except _BROKEN as error:
        what = "The multipart body cannot be read, or broke off" if is_multipart else "The body broke off"
        raise InvalidRequest(what) from error
    finally:
        await spool.discard()


def sweep(directory: Path, now: float) -> int:
    """Remove the files in `directory` that nobody will come for, and return how many.

    Those that never became whole, once nothing was added to them for an hour; whole ones after three days: a job that
    nobody took for two ends.

    Args:
        directory: as for `receive`; fine if it is not there.
        now: Unix time.

    Raises:
        OSError: one cannot be removed.
    """
    removed = 0
    for path in directory.glob("*"):
        seconds = _PART_SECONDS_MAX if path.suffix == PART else _WHOLE_SECONDS_MAX
        try:
            if path.stat().st_mtime < now - seconds:
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue  # another worker was faster
    return removed


class _Body:
    """The body of a request, as long as it keeps to its limits of size and time; what `MultipartReader` needs."""

    def __init__(self, raw: BaseRequest, limit: int, told_limit: int, pace: Pace) -> None:
        self._content = raw.content
        self._limit = limit
        self._told_limit = told_limit
        self._pace = pace
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._lines = 0

    async def readany(self) -> bytes:
        return await self._within(self._content.readany())

    async def read(self, n: int) -> bytes:
        return await self._within(self._content.read(n))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        self._lines += 1
        if self._lines > _LINES_MAX:
            raise InvalidRequest("The multipart body has too many lines that belong to no part")
        return await self._within(self._content.readline(max_line_length=max_line_length))

    def at_eof(self) -> bool:
        return self._content.at_eof()

    def unread_data(self, data: bytes) -> None:
        self._content.unread_data(data)

    async def _within(self, reading: Coroutine[Any, Any, T]) -> T:
        content = self._content
        async with asyncio.timeout_at(self._pace.deadline(self._began, self._now(), content.total_bytes)):
            found = await reading
        if content.total_bytes > self._limit:
            raise too_large(self._told_limit)
        return found


async def _whole(request: Request, body: _Body, spool: Spool, kind: str, encoding: str) -> Upload:
    """Receive a body that is a file, or parameters."""
    while chunk := await body.readany():
        await spool.write(chunk)
    held = spool.held
    if not spool.size:
        return Upload(request.params)
    if held is not None and not encoding:
        pairs = _pairs(request, kind, held)
        if pairs is not None:
            return Upload(request.params.with_defaults(Params(pairs)))
    await spool.commit()
    charset = (request.raw.charset or "").lower()
    return Upload(request.params, spool.path, spool.size, "", spool.head, encoding, charset)


def _pairs(request: Request, kind: str, body: bytes) -> list[tuple[str, str]] | None:
    """Return the parameters that `body` is, or None: it is a file."""
    if kind in (_FORM, ""):
        return _form_pairs(body)
    if kind == _JSON and not request.params.has("format"):
        return _json_pairs(body)
    return None


def _form_pairs(body: bytes) -> list[tuple[str, str]] | None:
    """Read a form that begins with a parameter we know; files do not begin like that."""
    first, equals, _ = body.partition(b"&")[0].partition(b"=")
    if not equals or not _is_known(first.decode("utf-8", "replace")):
        return None
    try:
        return parse_form(body.decode())
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not a form in UTF-8") from error


def _json_pairs(body: bytes) -> list[tuple[str, str]] | None:
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    if _ASKING.isdisjoint(found) or not all(isinstance(value, str) for value in found.values()):
        return None
    return list(found.items())


def _is_known(name: str) -> bool:
    return name in _KNOWN or name.startswith(_FAMILIES)


class _Parts:
    """Receives a multipart body."""

    def __init__(self, request: Request, body: _Body, spool: Spool, bytes_max: int) -> None:
        self._request = request
        self._body = body
        self._spool = spool
        self._bytes_max = bytes_max
        self._pairs: list[tuple[str, str]] = []
        self._fields_left = _FIELDS_BYTES_MAX
        self._file: BodyPartReader | None = None

    async def receive(self, kind: str, encoding: str) -> Upload:
        if kind != "multipart/form-data" or encoding:
            raise InvalidRequest("A body in parts must be multipart/form-data without Content-Encoding")
        reader = MultipartReader(self._request.raw.headers, cast("StreamReader", self._body))
        parts = 0
        while (part := await reader.next()) is not None:
            parts += 1
            if not isinstance(part, BodyPartReader):
                raise InvalidRequest("A part of the body is itself in parts")
            if parts > _PARTS_MAX:
                raise InvalidRequest(f"A request may have at most {_PARTS_MAX} parts")
            await self._part(part)
        if self._file is not None and self._file.name in _TELLING:
            self._pairs.append(("format", self._file.name))
        params = self._request.params.with_defaults(Params(self._pairs))
        if self._file is None:
            return Upload(params)
        await self._spool.commit()
        spool = self._spool
        charset = self._file.get_charset(default="").lower()
        return Upload(params, spool.path, spool.size, _file_name(self._file), spool.head, "", charset)

    async def _part(self, part: BodyPartReader) -> None:
        name = part.name or ""
        if _is_known(name) or (name and name not in _FILE_NAMES and part.filename is None):
            self._pairs.append((name, await self._field(part)))
            return
        if self._file is not None:
            raise InvalidRequest("The body holds two files; send one in each request")
        self._file = part
        while chunk := await part.read_chunk(_CHUNK_BYTES):
            await self._spool.write(bytes(part.decode(chunk)))
            if self._spool.size > self._bytes_max:
                raise too_large(self._bytes_max)

    async def _field(self, part: BodyPartReader) -> str:
        found = bytearray()
        while chunk := await part.read_chunk(_CHUNK_BYTES):
            found += chunk
            if len(found) > self._fields_left:
                raise TooLarge(f"The parameters are larger than {_FIELDS_BYTES_MAX} bytes, send a file as a file")
        self._fields_left -= len(found)
        try:
            return part.decode(found).decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"The part '{part.name}' is not text in UTF-8") from error


def _encoding(raw: BaseRequest) -> str:
    found = _ENCODINGS.get(raw.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower())
    if found is None:
        raise InvalidRequest("The Content-Encoding of a file must be gzip, zstd or identity")
    return found


def _file_name(part: BodyPartReader) -> str:
    name = (part.filename or "").replace("\\", "/").rpartition("/")[2]
    return name[:_FILE_NAME_LENGTH_MAX]
