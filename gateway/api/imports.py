"""Imports: `POST /v0/datasources` in all its forms, and `POST /v1/datasources/{name}/append|replace`.

Source: datasources.md §2 and §3; what it leaves open is decided in docs/compatibility.md.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import orjson
from aiohttp.web import StreamResponse

from gateway.auth.scopes import Action
from gateway.control import jobs
from gateway.control.datasources import DatasourceControl
from gateway.control.describe import Statistics
from gateway.control.imports import Ask, ImportControl
from gateway.core.errors import Conflict, Forbidden, InvalidRequest, NotFound, TooLarge
from gateway.imports.outcome import complaint
from gateway.imports.sniff import Format
from gateway.jobs import Job, Status
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile, parse_datafile
from gateway.schema.engines import parse_engine
from gateway.schema.indexes import parse_indexes
from gateway.web.request import Request, json_response
from gateway.web.target import Params
from gateway.web.upload import Upload, receive

_MODES: Final = ("create", "append", "replace")
_CONNECTORS: Final = ("service", "connector", "bucket_uri", "cron", "kafka_", "import_")
_DATAFILE_BYTES_MAX: Final = 8 * 1024 * 1024
_PARAMETERS_BYTES_MAX: Final = 1024 * 1024
# Behind the answers of an import that may go on for long: nobody caches these lines.
_LINES: Final = "application/x-ndjson"


# What gzip and zstd begin with.
_PACKED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


class ImportsApi:
    """Handlers of the family."""

    def __init__(self, control: DatasourceControl, imports: ImportControl, uploads: Path) -> None:
        """Serve the family; files are received in the directory `uploads`."""
        self._control = control
        self._imports = imports
        self._uploads = uploads

    async def post(self, request: Request) -> StreamResponse:
        """Create a data source, or append to one, or replace its rows; with a file, a URL, or a schema alone."""
        if request.params.get("name"):
            await self._admit(request, request.params.get("name"))
        if request.params.has("mode"):
            self._imports.check_may_send(request.who, _mode(request.params), request.params.get("name"))
        upload = await self._receive(request)
        name = upload.params.get("name")
        async with _kept(upload):
            mode = _mode(upload.params)
            is_progress = upload.params.flag("progress")
            if not name and mode != "create":
                raise InvalidRequest(f"The 'name' parameter is required with mode={mode}")
            name = name or f"ds_{request.id.lower()}"
            is_definition = mode == "create" and _is_definition(upload)
            wanted = await _definition(upload) if is_definition or upload.params.get("schema") else None
            ask = None if is_definition else await _ask(request, upload, self._uploads, mode, name, wanted)
        if ask is not None:
            return await self._import(request, upload.params, ask, is_progress=is_progress)
        await upload.discard()
        assert wanted is not None
        made = await self._control.create(request.who, name, wanted)
        return json_response(
            {"datasource": self._control.detail(made, Statistics()), "import_id": None, "error": False}
        )

    async def append(self, request: Request) -> StreamResponse:
        """Append a file to a data source, as a job."""
        return await self._job(request, "append")

    async def replace(self, request: Request) -> StreamResponse:
        """Replace the rows of a data source by a file, as a job."""
        return await self._job(request, "replace")

    async def _job(self, request: Request, mode: str) -> StreamResponse:
        name = request.captures["name"]
        await self._admit(request, name)
        self._imports.check_may_send(request.who, mode, name)
        upload = await self._receive(request)
        async with _kept(upload):
            ask = await _ask(request, upload, self._uploads, mode, name, None)
        return json_response(_envelope(await self._imports.start(request.who, ask), request.base_url))

    async def _receive(self, request: Request) -> Upload:
        upload = await receive(request, self._uploads, self._imports.limits.received_bytes_max)
        request.charge(0, upload.size)
        async with _kept(upload):
            if any(value for name in _CONNECTORS for value in upload.params.prefixed(name).values()):
                raise InvalidRequest("Connectors are not served here; send a file, or the 'url' of one")
        return upload

    async def _admit(self, request: Request, name: str) -> None:
        """Count the request for the data source too that the URL names."""
        with suppress(NotFound, Forbidden):
            found = await self._control.find(request.who, name, Action.DATASOURCE_LIST)
            request.admit("datasource", found.id)

    async def _import(self, request: Request, params: Params, ask: Ask, *, is_progress: bool) -> StreamResponse:
        if ask.url or (ask.text_bytes > self._imports.limits.sync_bytes_max and not is_progress):
            return json_response(_envelope(await self._imports.start(request.who, ask), request.base_url))
        if is_progress:
            return await self._progress(request, params, ask)
        job = await self._imports.do(request.who, ask)
        return json_response(await self._body(request, job, params.get("debug")))

    async def _progress(self, request: Request, params: Params, ask: Ask) -> StreamResponse:
        """Answer line by line: one for each block when it is done, and last what would be the answer."""
        job = await self._imports.start(request.who, ask)
        response = StreamResponse(headers={"Content-Type": _LINES, "Cache-Control": "no-store"})
        return await request.stream(response, self._lines(request, params, job))

    async def _lines(self, request: Request, params: Params, job: Job) -> AsyncGenerator[bytes, None]:
        told: set[str] = set()
        async for now in self._imports.watch(job):
            job = now
            for entry in now.shown.get("block_log", ()):
                if entry["block_id"] not in told:
                    told.add(entry["block_id"])
                    yield orjson.dumps(entry) + b"\n"
        try:
            body = await self._body(request, job, params.get("debug"))
        except (InvalidRequest, Conflict) as error:  # the status of the answer is long on its way
            body = {"error": str(error)}
        yield orjson.dumps(body) + b"\n"

    async def _body(self, request: Request, job: Job, debug: str) -> dict[str, Any]:
        """Return what became of an import the client waited for.

        Raises:
            InvalidRequest: nothing of the file could be used.
            Conflict: it was cancelled.
        """
        quarantined, invalid = job.shown.get("quarantine_rows", 0), job.shown.get("invalid_lines", 0)
        if job.status is Status.CANCELLED:
            raise Conflict("The import was cancelled; send the file again")
        if job.status is Status.ERROR and (not quarantined or job.error != complaint(quarantined, invalid)):
            raise InvalidRequest(job.error)
        if not job.status.is_end:
            return _envelope(job, request.base_url)
        found = await self._control.find_fresh(request.who, job.datasource_id, Action.DATASOURCE_LIST)
        statistics = await self._control.statistics(request.who)
        blocks = job.shown.get("blocks", [])
        written = sum(part["lines"] for block in blocks for part in block["process_return"])
        rows = written - job.shown.get("unmatched_rows", 0)
        body = {
            "import_id": job.id,
            "job_id": job.id,
            "datasource": self._control.detail(found, statistics.get(found.id, Statistics())),
            "quarantine_rows": quarantined,
            "invalid_lines": invalid,
            "successful_rows": rows,
            "quarantined_rows": quarantined,
            "error": complaint(quarantined, invalid) or False,
        }
        if "block" in debug:
            body |= {"blocks": blocks, "block_log": job.shown.get("block_log", [])}
        return body


@asynccontextmanager
async def _kept(upload: Upload) -> AsyncIterator[None]:
    """Remove the file if the block fails: nobody else knows of it yet."""
    try:
        yield
    except BaseException:
        await upload.discard()
        raise


def _mode(params: Params) -> str:
    mode = params.get("mode") or "create"
    if mode not in _MODES:
        raise InvalidRequest(f"Invalid mode '{mode[:64]}': use one of {', '.join(_MODES)}")
    return mode


def _is_definition(upload: Upload) -> bool:
    """Say whether a data source is described, and no rows come with it."""
    is_datafile = upload.params.get("format") == "datasource" or upload.params.has("datafile")
    return is_datafile or (upload.path is None and not upload.params.get("url"))


async def _definition(upload: Upload) -> Datafile:
    """Return what is to be made, from the text of a datafile or from single parameters."""
    params = upload.params
    text = params.get("datafile")
    if params.get("format") == "datasource" and upload.path is not None:
        if upload.size > _DATAFILE_BYTES_MAX:
            raise TooLarge(f"A .datasource file may have {_DATAFILE_BYTES_MAX} bytes")
        text = _text(await asyncio.to_thread(upload.path.read_bytes))
    if text:
        return parse_datafile(text)
    if not params.get("schema"):
        raise InvalidRequest(
            "Say what the Data Source holds: send 'schema', a .datasource file as 'datafile', or a file of rows"
        )
    schema = parse_schema(params.get("schema"))
    engine = parse_engine(params.prefixed("engine"), schema)
    indexes = parse_indexes("" if params.get("indexes") == "0" else params.get("indexes"), schema)
    return Datafile(schema, engine, params.get("description"), indexes)


async def _ask(request: Request, upload: Upload, uploads: Path, mode: str, name: str, wanted: Datafile | None) -> Ask:
    """Return what the client asks for."""
    params = upload.params
    truncate = params.flag("replace_truncate_when_empty")
    params.flag("skip_incompatible_partition_key")  # there are no views with partitions of their own to be skipped
    path = upload.path
    if path is not None and not params.has("format") and _may_be_parameters(request, mode):
        family = TooLarge if upload.size > _PARAMETERS_BYTES_MAX else InvalidRequest
        raise family(
            "The body cannot be read as the parameters that its Content-Type announces; if it is a file, say its "
            "'format': csv, ndjson, parquet, or datasource for a .datasource file"
        )
    if path is None and not params.get("url"):
        if not (mode == "replace" and truncate):
            raise InvalidRequest("Send a file in the body, or the 'url' of one")
        path = uploads / request.id
        await asyncio.to_thread(path.touch)
    elif path is not None and params.get("url"):
        raise InvalidRequest("Send a file in the body or the 'url' of one, not both")
    return Ask(
        mode=mode,
        name=name,
        format=_format(params),
        path=path,
        url=params.get("url"),
        size=upload.size,
        encoding=upload.encoding,
        is_packed=bool(upload.encoding) or upload.head.startswith(_PACKED),
        dialect=_dialect(upload),
        wanted=wanted,
        guessing=params.flag("type_guessing", default=True),
        condition=params.get("replace_condition") if mode == "replace" else "",
        truncate_when_empty=truncate,
        request_id=request.id,
    )


def _may_be_parameters(request: Request, mode: str) -> bool:
    """Say whether a body that reads as a file was perhaps meant otherwise: nothing is to be made of such."""
    kind = request.raw.content_type
    return kind == "application/json" or (kind == "application/x-www-form-urlencoded" and mode == "create")


def _format(params: Params) -> Format:
    found = params.get("format", "csv").lower() or "csv"
    if found not in set(Format):
        raise InvalidRequest(f"Invalid format '{found[:64]}': use one of {', '.join(Format)}")
    return Format(found)


def _dialect(upload: Upload) -> dict[str, Any]:
    params = upload.params
    given = {
        "delimiter": params.get("dialect_delimiter") or None,
        "newline": params.get("dialect_new_line") or None,
        "escapechar": params.get("dialect_escapechar") if params.has("dialect_escapechar") else None,
        "charset": upload.charset or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not text in UTF-8") from error


def _envelope(job: Job, base_url: str) -> dict[str, Any]:
    """Return a job as the answer to who does not wait for it. Source: datasources.md §2.4: never with `error`."""
    shown = jobs.list_item(job, base_url)
    return {
        "id": job.id,
        "import_id": job.id,
        "job_id": job.id,
        "job_url": shown["job_url"],
        "job": shown,
        "status": shown["status"],
        "datasource": shown["datasource"],
    }
