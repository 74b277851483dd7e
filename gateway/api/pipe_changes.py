"""Pipes API, what makes and changes pipes, their nodes and endpoints. Source: pipes.md §2 and §3."""

import re
from collections.abc import Mapping
from email import message_from_bytes
from email.policy import HTTP
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec
from aiohttp.web import Response, StreamResponse

from gateway.auth.scopes import Action
from gateway.catalog import Pipe
from gateway.control import jobs
from gateway.control.pipe_changes import PipeChanges
from gateway.control.pipe_checks import WantedCopy, WantedNode, WantedPipe
from gateway.control.pipe_files import pipe_from_text
from gateway.control.pipes import PipeControl
from gateway.control.views import wanted_populate
from gateway.core.errors import InvalidRequest
from gateway.web.request import Request, json_response
from gateway.web.target import Params, parse_form

# What a form may hold; a body with any other name in it is SQL.
_FIELDS: Final = frozenset(
    {
        *("name", "sql", "datafile", "description", "position", "ignore_sql_errors", "force", "type"),
        *("populate", "populate_condition", "populate_subset", "unlink_on_populate_error", "truncate"),
        *("token", "from", "cli_version"),
    }
)
# A `.pipe` file has lines like these, and SQL has none.
_NODE_LINE: Final = re.compile(r"^(?:NODE|SCOPE)[ \t]+\S", re.IGNORECASE | re.MULTILINE)
_SQL_LINE: Final = re.compile(r"^SQL[ \t]*>", re.IGNORECASE | re.MULTILINE)


class PipeChangesApi:
    """Handlers of the family."""

    def __init__(self, control: PipeControl, changes: PipeChanges) -> None:
        self._control = control
        self._changes = changes

    async def create(self, request: Request) -> StreamResponse:
        """Make a pipe: of a name and SQL, of a JSON object with `nodes`, or of the text of a `.pipe` file."""
        params, found = await _asked(request)
        name = _text(found, params, "name") or ""
        if not name:
            raise InvalidRequest("The 'name' parameter is required")
        populate = None
        if params.flag("populate"):
            populate = wanted_populate(
                params.get("populate_condition"),
                params.get("populate_subset"),
                is_truncated=params.flag("truncate"),
                unlinks=params.flag("unlink_on_populate_error"),
            )
        made, linked = await self._changes.create(
            request.who,
            _wanted(name, found, params),
            is_forced=params.flag("force"),
            ignores_errors=params.flag("ignore_sql_errors"),
            populate=populate,
            request_id=request.id,
        )
        shown = self._control.described(request.who, made, request.base_url)
        if linked is not None:
            shown["datasource"] = {"id": linked.target.id, "name": linked.target.name}
            shown["created_datasource"] = linked.is_new
            if linked.job is not None:
                shown["job"] = jobs.detail(linked.job, request.base_url)
        return json_response(shown)

    async def update(self, request: Request) -> StreamResponse:
        """Rename a pipe, or change its description."""
        params, found = await _asked(request)
        changed = await self._changes.update(
            request.who,
            request.captures["name"],
            name=_text(found, params, "name") or None,
            description=_text(found, params, "description"),
        )
        return self._answer(request, changed)

    async def drop(self, request: Request) -> StreamResponse:
        """Drop a pipe."""
        await self._changes.drop(request.who, request.captures["name"], is_forced=request.params.flag("force"))
        return Response(status=204)

    async def add_node(self, request: Request) -> StreamResponse:
        """Add a node: the body is its SQL."""
        params, found = await _asked(request)
        wanted = WantedNode(
            _text(found, params, "sql") or "",
            _text(found, params, "name") or "",
            _text(found, params, "description") or "",
        )
        pipe, node = await self._changes.add_node(
            request.who, request.captures["name"], wanted, ignores_errors=params.flag("ignore_sql_errors")
        )
        return json_response(self._control.described_node(pipe, node))

    async def change_node(self, request: Request) -> StreamResponse:
        """Change a node; a body, if there is one, is its SQL."""
        params, found = await _asked(request)
        pipe, node = await self._changes.change_node(
            request.who,
            request.captures["name"],
            request.captures["node"],
            sql=_text(found, params, "sql"),
            name=_text(found, params, "name") or None,
            description=_text(found, params, "description"),
            position=_position(_text(found, params, "position")),
            ignores_errors=params.flag("ignore_sql_errors"),
        )
        return json_response(self._control.described_node(pipe, node))

    async def drop_node(self, request: Request) -> StreamResponse:
        """Remove a node."""
        await self._changes.drop_node(request.who, request.captures["name"], request.captures["node"])
        return Response(status=204)

    async def publish(self, request: Request) -> StreamResponse:
        """Make a node the endpoint."""
        made = await self._changes.publish(request.who, request.captures["name"], request.captures["node"])
        return self._answer(request, made, with_token=True)

    async def unpublish(self, request: Request) -> StreamResponse:
        """Take the endpoint away."""
        made = await self._changes.unpublish(request.who, request.captures["name"], request.captures["node"])
        return self._answer(request, made)

    async def put_endpoint(self, request: Request) -> StreamResponse:
        """Make the node that the body names the endpoint, as it was done once; without a body there is none."""
        which = (await _body_text(request)).strip().strip('"')
        if not which:
            return self._answer(request, await self._changes.unpublish(request.who, request.captures["name"]))
        made = await self._changes.publish(request.who, request.captures["name"], which)
        return self._answer(request, made, with_token=True)

    async def unserved(self, request: Request) -> StreamResponse:
        """Say that sinks and streams are not served, for a pipe that there is."""
        found = await self._control.find(request.who, request.captures["name"], Action.PIPE_ALTER)
        raise InvalidRequest(
            f"Pipe '{found.name}' cannot be a sink or a stream: these are not served here. "
            "Ask its endpoint for the rows, or copy them to a Data Source"
        )

    def _answer(self, request: Request, pipe: Pipe, *, with_token: bool = False) -> Response:
        shown = self._control.described(request.who, pipe, request.base_url)
        token = self._control.reading_token(request.who, pipe) if with_token else None
        return json_response({**shown, "token": token} if token else shown)


async def _asked(request: Request) -> tuple[Params, Mapping[str, Any]]:
    """Return the parameters of query and form, and the fields of the body, whatever its header says.

    A JSON object and a form have fields; the file of a form is `datafile`, and has its name. Any other text is
    `datafile` if it looks like one, else `sql`.
    """
    kind = request.raw.headers.get("Content-Type", "")
    if kind.lower().startswith("multipart/"):
        return request.params, _parts(kind, await request.body())
    text = await _body_text(request)
    if not text.strip():
        return request.params, {}
    if text.lstrip().startswith("{"):
        try:
            found: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError):
            pass  # `{{…}}` may begin a text too; that it is no SQL is said in its own words
        else:
            # The query says how, the object what; `force` and the like may stand in either.
            flags = [(name, str(value)) for name, value in found.items() if isinstance(value, str | int)]
            return request.params.with_defaults(Params(flags)), found
    form = parse_form(text) if "=" in text else []
    if form and all(name in _FIELDS for name, _ in form):
        return request.params.with_defaults(Params(form)), dict(form)
    is_file = _NODE_LINE.search(text) and _SQL_LINE.search(text)
    return request.params, {"datafile" if is_file else "sql": text}


def _parts(kind: str, body: bytes) -> dict[str, Any]:
    """Return the fields of a multipart form; its file is `datafile`.

    Raises:
        InvalidRequest: it is none.
    """
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body, policy=HTTP)
    parts = list(message.iter_parts()) if message.is_multipart() else []
    fields: dict[str, Any] = {}
    try:
        for part in parts:
            name, file_name = part.get_param("name", header="content-disposition"), part.get_filename()
            content = part.get_payload(decode=True)
            value = content.decode() if isinstance(content, bytes) else ""
            if file_name:
                fields = {"name": PurePosixPath(file_name).stem, **fields, "datafile": value}
            else:
                fields[str(name)] = value
    except UnicodeDecodeError as error:
        raise InvalidRequest("A part of the body is not text in UTF-8") from error
    if not fields:
        raise InvalidRequest("The multipart body cannot be read, or broke off")
    return fields


def _wanted(name: str, found: Mapping[str, Any], params: Params) -> WantedPipe:
    """Return the pipe that a body asks for.

    Raises:
        InvalidRequest: it asks for none.
    """
    if text := _text(found, params, "datafile"):
        return pipe_from_text(name, text)
    nodes = _nodes(found) if "nodes" in found else _only_node(found, params)
    return WantedPipe(name, nodes, _text(found, params, "description") or "", tags=_tags(found))


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of the JSON form: an object of texts.

    Raises:
        InvalidRequest: they are none.
    """
    tags = found.get("tags") or {}
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise InvalidRequest('\'tags\' must be an object of texts, as in {"team": "web"}')
    return tags


async def _body_text(request: Request) -> str:
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not text in UTF-8") from error


def _text(found: Mapping[str, Any], params: Params, name: str) -> str | None:
    """Return a field of the body, else of the query; None if it is in neither.

    Raises:
        InvalidRequest: it is no text.
    """
    value = found.get(name, params.get(name) if params.has(name) else None)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    raise InvalidRequest(f"'{name}' must be a text")


def _only_node(found: Mapping[str, Any], params: Params) -> tuple[WantedNode, ...]:
    sql = _text(found, params, "sql")
    return () if sql is None else (WantedNode(sql),)


def _nodes(found: Mapping[str, Any]) -> tuple[WantedNode, ...]:
    """Return the nodes of the JSON form.

    Raises:
        InvalidRequest: they are not a list of objects.
    """
    nodes = found["nodes"]
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise InvalidRequest('\'nodes\' must be a list of objects, as in [{"name": "top", "sql": "SELECT 1"}]')
    nothing = Params()
    return tuple(
        WantedNode(
            _text(node, nothing, "sql") or "",
            _text(node, nothing, "name") or "",
            _text(node, nothing, "description") or "",
            (_text(node, nothing, "type") or "").lower(),
            copy=_copy(node),
            target=_text(node, nothing, "datasource") or "",
            engine={name: str(value) for name, value in node.items() if name.startswith("engine")},
        )
        for node in nodes
    )


def _copy(node: Mapping[str, Any]) -> WantedCopy:
    """Return what a node of the JSON form says of its copy; of any other node it is not looked at."""
    nothing = Params()
    return WantedCopy(
        _text(node, nothing, "target_datasource"), _text(node, nothing, "mode"), _text(node, nothing, "copy_schedule")
    )


def _position(text: str | None) -> int | None:
    if text is None or not text.strip():
        return None
    try:
        return int(text)
    except ValueError as error:
        raise InvalidRequest("The 'position' parameter must be a whole number from 0") from error
