"""What endpoints say of themselves: the OpenAPI document, a page to read and try them on, and a URL to copy.

The page is one answer with nothing behind it: no other file, no other host. It holds nothing of anybody's; it asks for
the document with the token that its reader gives it. Source: pipes.md §1.4, query.md §7.
"""

import hashlib
from base64 import b64encode
from importlib.resources import files
from typing import Final
from urllib.parse import urlencode

from aiohttp.web import Response, StreamResponse

from gateway.auth.scopes import Action
from gateway.control.openapi import example_of, openapi
from gateway.control.pipe_sql import parameters
from gateway.control.pipes import PipeControl
from gateway.core.errors import InvalidRequest
from gateway.web.request import Request, json_response, text_response

_FORMATS: Final = frozenset({"json", "csv", "ndjson", "parquet", "prometheus"})


class PipeDocsApi:
    """Handlers of the family."""

    def __init__(self, control: PipeControl) -> None:
        self._control = control
        self._page, self._headers = _page()

    async def openapi(self, request: Request) -> StreamResponse:
        """Describe the endpoints that the token may read."""
        readable = [
            (pipe, parameters(pipe.nodes))
            for pipe in await self._control.visible(request.who)
            if pipe.node(pipe.endpoint) and request.who.allows(Action.PIPE_READ, pipe.id, pipe.name)
        ]
        workspace = self._control.snapshot.workspace(request.who.workspace_id)
        return json_response(openapi(workspace.name if workspace else "", request.base_url, readable))

    async def page(self, request: Request) -> StreamResponse:
        """Return the page."""
        del request
        return Response(body=self._page, headers=self._headers)

    async def example(self, request: Request) -> StreamResponse:
        """Return the URL of an endpoint with a value for each parameter, or of a query."""
        params = request.params
        token = {"token": params.get("token")} if params.has("token") else {}
        extension = params.get("format", "json")
        if extension not in _FORMATS:
            raise InvalidRequest(f"The 'format' parameter must be one of {', '.join(sorted(_FORMATS))}")
        if not params.get("pipe"):
            if not params.get("q"):
                raise InvalidRequest("The 'pipe' parameter is required: the name of an endpoint")
            return text_response(f"{request.base_url}/v0/sql?{urlencode({**token, 'q': params.get('q')})}")
        pipe = await self._control.find(request.who, params.get("pipe"), Action.PIPE_READ)
        known = ((each["name"], example_of(each)) for each in parameters(pipe.nodes))
        values = {name: value for name, value in known if value is not None}
        query = urlencode({**token, **({"q": params.get("q")} if params.get("q") else {}), **values})
        return text_response(f"{request.base_url}/v0/pipes/{pipe.name}.{extension}?{query}")


def _page() -> tuple[bytes, dict[str, str]]:
    """Return the page and its headers, which let in this style and this script and nothing else."""
    folder = files("gateway.api") / "pages"
    html, style, script = ((folder / name).read_text() for name in ("docs.html", "docs.css", "docs.js"))
    policy = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(script),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return html.replace("/*style*/", style).replace("/*script*/", script).encode(), headers


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
