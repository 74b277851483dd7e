"""Data Sources API, as far as events need it: create, list, detail, schema text. Source: datasources.md."""

from typing import Any

import msgspec
from aiohttp import BodyPartReader, MultipartReader, hdrs
from aiohttp.web import StreamResponse

from gateway.auth.scopes import Action
from gateway.control.datasources import DatasourceControl, Statistics
from gateway.core.errors import InvalidRequest, TooLarge
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile, parse_datafile
from gateway.schema.engines import parse_engine
from gateway.schema.indexes import parse_indexes
from gateway.web.request import Request, json_response, text_response
from gateway.web.target import Params


class DatasourcesApi:
    """Handlers of the family."""

    def __init__(self, control: DatasourceControl) -> None:
        self._control = control

    async def create(self, request: Request) -> StreamResponse:
        """Create an empty data source from a schema string, or from the text of a `.datasource` file."""
        params = await _parameters(request)
        mode = params.get("mode", "create")
        if mode != "create":
            raise InvalidRequest(f"mode={mode} is not served here yet: send rows with POST /v0/events")
        name = params.get("name") or f"ds_{request.id.lower()}"
        made = await self._control.create(request.who, name, _wanted(params))
        return json_response(
            {"datasource": self._control.detail(made, Statistics()), "import_id": None, "error": False}
        )

    async def list(self, request: Request) -> StreamResponse:
        """List the data sources that the token may see."""
        statistics = await self._control.statistics(request.who)
        items = [
            self._control.list_item(each, statistics.get(each.id, Statistics()))
            for each in await self._control.visible(request.who)
        ]
        return json_response({"datasources": items})

    async def detail(self, request: Request) -> StreamResponse:
        """Describe one data source; as `.datasource` text with `format=datasource`."""
        found = await self._control.find_fresh(request.who, request.captures["name"], Action.DATASOURCE_LIST)
        if request.params.get("format") == "datasource":
            return text_response(self._control.datafile(found))
        statistics = await self._control.statistics(request.who)
        return json_response(self._control.detail(found, statistics.get(found.id, Statistics())))

    async def datafile(self, request: Request) -> StreamResponse:
        """Return the `.datasource` text of one data source."""
        found = await self._control.find_fresh(request.who, request.captures["name"], Action.DATASOURCE_LIST)
        return text_response(self._control.datafile(found))


def _wanted(params: Params) -> Datafile:
    """Return what is to be made, from the text of a datafile or from single parameters."""
    text = params.get("datafile")
    if text:
        return parse_datafile(text)
    if not params.get("schema"):
        raise InvalidRequest("Say what the data source holds: send 'schema', or a .datasource file as 'datafile'")
    schema = parse_schema(params.get("schema"))
    engine = parse_engine(params.prefixed("engine"), schema)
    indexes = parse_indexes("" if params.get("indexes") == "0" else params.get("indexes"), schema)
    return Datafile(schema, engine, params.get("description"), indexes)


async def _parameters(request: Request) -> Params:
    """Return the parameters, wherever they are: the query, a form, a multipart body, a JSON object."""
    kind = request.raw.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return request.params.with_defaults(Params(await _multipart(request)))
    if kind == "application/json":
        body = await request.body()
        return request.params.with_defaults(Params(_json(body))) if body else request.params
    if request.params.get("format") == "datasource":
        return request.params.with_defaults(Params([("datafile", _text(await request.body()))]))
    return await request.form()


async def _multipart(request: Request) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    left = request.body_bytes_max
    try:
        reader = MultipartReader(request.raw.headers, request.raw.content)
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise InvalidRequest("A part of the body is itself in parts")
            chunks = bytearray()
            while chunk := await part.read_chunk():
                chunks += chunk
                left -= len(chunk)
                if left < 0:
                    raise TooLarge(f"The body is larger than {request.body_bytes_max} bytes")
            pairs.append((part.name or "datafile", _text(bytes(chunks))))
    except (ValueError, AssertionError, OSError) as error:
        raise InvalidRequest("The multipart body cannot be read") from error
    return pairs


def _json(body: bytes) -> list[tuple[str, str]]:
    try:
        found: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest("The body is not a JSON object") from error
    return [(name, value) for name, value in found.items() if isinstance(value, str)]


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not text in UTF-8") from error
