"""Tokens API, in every shape that clients send: URL, form, JSON, with any Content-Type. Source: tokens.md §3, §4.3."""

from typing import Any, Final

import msgspec
from aiohttp.web import StreamResponse

from gateway.auth.jwt import Claims
from gateway.control.tokens import Draft, TokenControl, token_file
from gateway.core.errors import Forbidden, InvalidRequest
from gateway.web.request import Request, json_response, text_response
from gateway.web.target import Params, parse_form

_SUFFIX: Final = ".token"


class TokensApi:
    """Handlers of the family."""

    def __init__(self, control: TokenControl) -> None:
        self._control = control

    async def create(self, request: Request) -> StreamResponse:
        """Create a static token, or with `expiration_time` sign a JWT."""
        params, sent = await _sent(request)
        if params.has("expiration_time") or "expiration_time" in sent:
            return json_response({"token": await self._control.mint(request.who, _claims(request, params, sent))})
        return json_response(await self._control.create(request.who, _draft(params, sent)))

    async def list(self, request: Request) -> StreamResponse:
        """List the tokens of the workspace."""
        return json_response({"tokens": await self._control.list(request.who)})

    async def detail(self, request: Request) -> StreamResponse:
        """Describe one token, by id, name or string; with `.token` behind it, as the text of its file."""
        which = request.captures["which"]
        try:
            return json_response(await self._control.detail(request.who, which))
        except Forbidden:  # a token's name may end like that, too
            if not which.endswith(_SUFFIX):
                raise
        return text_response(token_file(await self._control.detail(request.who, which.removesuffix(_SUFFIX))))

    async def update(self, request: Request) -> StreamResponse:
        """Change one token; `scope`, if there is one, replaces all that it had."""
        draft = _draft(*await _sent(request))
        return json_response(await self._control.update(request.who, request.captures["which"], draft))

    async def refresh(self, request: Request) -> StreamResponse:
        """Give one token another string."""
        return json_response(await self._control.refresh(request.who, request.captures["which"]))

    async def drop(self, request: Request) -> StreamResponse:
        """Delete one token."""
        await self._control.drop(request.who, request.captures["which"])
        return json_response({"ok": True})


async def _sent(request: Request) -> tuple[Params, dict[str, Any]]:
    """Return the parameters of the URL and of a form body, and the JSON object of a JSON body."""
    body = await request.body()
    form: list[tuple[str, str]] = []
    sent: dict[str, Any] = {}
    try:
        if body.lstrip().startswith((b"{", b"[")):
            sent = msgspec.json.decode(body, type=dict[str, Any])
        else:
            form = parse_form(body.decode().strip())
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest("The body is neither a form nor a JSON object") from error
    params = request.params.with_defaults(Params(form))
    request.said = params.with_defaults(Params((key, value) for key, value in sent.items() if isinstance(value, str)))
    return params, sent


def _draft(params: Params, sent: dict[str, Any]) -> Draft:
    return Draft(
        name=_text(params, sent, "name"),
        description=_text(params, sent, "description"),
        scopes=_scopes(params, sent),
        origin=_text(params, sent, "origin") or "C",
        resource_id=_text(params, sent, "resource_id") or "",
    )


def _text(params: Params, sent: dict[str, Any], name: str) -> str | None:
    """Return a parameter, None if it was not sent."""
    if params.has(name):
        return params.get(name)
    value = sent.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"The '{name}' parameter must be a string")
    return value


def _scopes(params: Params, sent: dict[str, Any]) -> list[str] | None:
    """Return every scope as a string, None if none was sent; in JSON a scope may be an object, too."""
    found: list[Any] = params.all("scope")
    is_sent = bool(found)
    for key in ("scope", "scopes"):
        value = sent.get(key)
        if value is not None:
            is_sent = True
            found += value if isinstance(value, list) else [value]
    return [_scope(each) for each in found] if is_sent else None


def _scope(value: Any) -> str:
    parts = [value.get(key) or "" for key in ("type", "resource", "filter")] if isinstance(value, dict) else [value]
    if not all(isinstance(part, str) for part in parts):
        raise InvalidRequest("A scope must be a string, or an object with type, resource and filter")
    return ":".join(part for part in parts if part)


def _claims(request: Request, params: Params, sent: dict[str, Any]) -> Claims:
    """Return the claims of a JWT that is asked for.

    Raises:
        InvalidRequest: they do not have the right types.
    """
    expires_at: Any = params.get("expiration_time") or sent.get("expiration_time")
    if isinstance(expires_at, str) and expires_at.isascii() and expires_at.isdigit() and len(expires_at) < 20:
        expires_at = int(expires_at)
    if type(expires_at) is not int:
        raise InvalidRequest("The 'expiration_time' parameter must be a time in Unix seconds, as in 1893456000")
    claims = {
        "workspace_id": request.who.workspace_id,
        "name": _text(params, sent, "name") or "",
        "exp": expires_at,
        "scopes": sent.get("scopes") or (),
        "limits": sent.get("limits"),
    }
    if not claims["name"]:
        raise InvalidRequest("The 'name' parameter is required")
    try:
        return msgspec.convert(claims, Claims)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"Invalid JWT: {error}") from error
