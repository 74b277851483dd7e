"""Call: what one HTTP request asks of the engine, apart from its body.

The URL's parameters are of three kinds: those of the protocol (the list below), `param_<name>` for the placeholders
`{name:Type}` of the statement, and everything else, which is a setting. Whether a setting exists is the engine's to say
(code 115); here it only has to look like a name, because a name cannot be quoted.

Pure. Values stay bytes: a statement and its parameters need not be UTF-8.

Source: ClickHouse docs, "HTTP Interface"; src/Server/HTTPHandler.cpp.
"""

import hmac
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.engine.coding import choose
from gateway.engine.errors import (
    AUTHENTICATION_FAILED,
    BAD_REQUEST_PARAMETER,
    INVALID_SESSION_TIMEOUT,
    NOT_IMPLEMENTED,
    UNKNOWN_FORMAT,
    UNKNOWN_ROLE,
    UNKNOWN_SETTING,
    EngineError,
)
from gateway.engine.options import EngineOptions

# Settings that are new with most statements, and empty by default.
VOLATILE: Final = ("log_comment", "insert_deduplication_token")

_PROTOCOL: Final = frozenset(
    {"query", "database", "default_format", "query_id", "user", "password", "quota_key", "stacktrace", "role"}
    | {"session_id", "session_timeout", "session_check", "close_session", "wait_end_of_query", "buffer_size"}
    | {"compress", "decompress", "client_protocol_version"}
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMAT_NAME: Final = re.compile(r"[A-Za-z0-9_]+")
_QUERY_ID_CHARS_MAX: Final = 256

Params = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class SessionCall:
    """The session a request wants to run in."""

    id: str
    timeout_seconds: int
    must_exist: bool
    close: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One request, but for its body."""

    query: bytes
    """The URL's part of the statement; the body follows it."""
    query_id: str
    database: bytes
    default_format: str
    settings: Mapping[str, bytes]
    params: Params
    """Values of the placeholders, escaped as in TabSeparated."""
    is_get: bool
    session: SessionCall | None
    wait_end: bool
    buffer_bytes: int
    coding: str
    """Content coding of the answer; empty for none."""

    @property
    def readonly(self) -> int:
        """The effective `readonly` setting: GET implies 2."""
        asked = self.settings.get("readonly", b"0")
        return int(asked) if asked.isdigit() and int(asked) else 2 * self.is_get

    @property
    def tag(self) -> bytes:
        """What ends a statement on a connection where no setting can be changed: a comment with its id."""
        if self.readonly != 1 or self.session is not None or any(self.settings.get(name) for name in VOLATILE):
            return b""
        return b" /* " + self.query_id.encode().hex().encode() + b" */"

    @property
    def result_bytes_max(self) -> int:
        """The setting `max_result_bytes`, 0 if there is none: the engine does not count what leaves through a pipe."""
        asked = self.settings.get("max_result_bytes", b"0")
        return int(asked) if asked.isdigit() else 0

    @property
    def settings_in_force(self) -> dict[str, bytes]:
        """The settings, and what GET adds to them."""
        return {**self.settings, **({"readonly": b"2"} if self.readonly == 2 else {})}

    @property
    def text_params(self) -> dict[str, str] | None:
        """The values of the placeholders as text; None if one of them is none."""
        try:
            return {name: value.decode() for name, value in self.params.items()}
        except UnicodeDecodeError:
            return None

    @property
    def timezone(self) -> str:
        """The session time zone asked for; empty for the server's."""
        return self.settings.get("session_timezone", b"").decode("ascii", "replace")


def split_target(target: str) -> tuple[str, dict[str, bytes]]:
    """Return the path and the parameters of a request target; of a name given twice the last value counts."""
    path, _, query = target.partition("?")
    return path, parse_form(query.encode("utf-8", "surrogateescape"))


def parse_form(query: bytes) -> dict[str, bytes]:
    """Return the parameters of a query string."""
    params: dict[str, bytes] = {}
    for part in query.split(b"&"):
        if part:
            name, _, value = part.replace(b"+", b" ").partition(b"=")
            params[unquote_to_bytes(name).decode("utf-8", "replace")] = unquote_to_bytes(value)
    return params


def authenticate(options: EngineOptions, params: Params, headers: Mapping[str, str]) -> None:
    """Check who asks: headers of ClickHouse's own, HTTP Basic, or the URL; no two of them.

    Raises:
        EngineError: 516, whatever is wrong; it never says which part.
    """
    offers = []
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        offers.append((headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", "")))
    if "Authorization" in headers:
        offers.append(_basic(headers["Authorization"]))
    if "user" in params or "password" in params:
        offers.append((_text(params.get("user", b"default")), _text(params.get("password", b""))))
    if len(offers) > 1:
        raise EngineError(
            AUTHENTICATION_FAILED,
            "Invalid authentication: it is not allowed to use X-ClickHouse HTTP headers, "
            "Authorization HTTP header and URL parameters simultaneously",
        )
    user, password = offers[0] if offers else ("default", "")
    right = hmac.compare_digest(user.encode("utf-8", "surrogateescape"), options.user.encode())
    right &= hmac.compare_digest(password.encode("utf-8", "surrogateescape"), options.password.encode())
    if not right:
        raise EngineError(
            AUTHENTICATION_FAILED,
            f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
        )


def parse(options: EngineOptions, method: str, params: Params, headers: Mapping[str, str], new_id: str) -> Call:
    """Return what the request asks.

    Args:
        options: of the engine.
        method: of HTTP.
        params: of the URL, and of the form if there is one.
        headers: of HTTP, case-insensitive.
        new_id: the query's id, if the request brings none.

    Raises:
        EngineError: a parameter is wrong, or asks for what is not supported.
    """
    settings = {name: value for name, value in params.items() if name not in _PROTOCOL and name[:6] != "param_"}
    for name in settings:
        if _NAME.fullmatch(name) is None:
            raise EngineError(UNKNOWN_SETTING, f"Unknown setting '{name}'")
    for name in ("compress", "decompress"):
        if _flag(params, name):
            raise EngineError(
                NOT_IMPLEMENTED, f"{name}=1 (ClickHouse's own framing) is not supported; use Content-Encoding"
            )
    if params.get("role"):
        raise EngineError(UNKNOWN_ROLE, "There are no roles here")
    return Call(
        query=params.get("query", b""),
        query_id=_text(params.get("query_id", b""))[:_QUERY_ID_CHARS_MAX].replace("\n", " ") or new_id,
        database=params.get("database", b"") or headers.get("X-ClickHouse-Database", "").encode(),
        default_format=_format(params, headers),
        settings=settings,
        params=_placeholders(params),
        is_get=method == "GET",
        session=_session(options, params),
        wait_end=_flag(params, "wait_end_of_query"),
        buffer_bytes=min(_number(params, "buffer_size", options.answer_buffer_bytes), options.answer_buffer_bytes),
        coding=choose(headers.get("Accept-Encoding", "")) if _flag(params, "enable_http_compression") else "",
    )


def quote(value: bytes) -> bytes:
    """Return `value` as a string literal."""
    return b"'" + value.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def quote_name(name: bytes) -> bytes:
    """Return `name` as a quoted identifier."""
    return b"`" + name.replace(b"\\", b"\\\\").replace(b"`", b"\\`") + b"`"


def _basic(header: str) -> tuple[str, str]:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = _text(b64decode(credentials.strip(), validate=True)).partition(":")
        except ValueError:
            pass
        else:
            return user, password
    raise EngineError(AUTHENTICATION_FAILED, f"Authentication failed: '{scheme[:20]}' is not a scheme known here")


def _format(params: Params, headers: Mapping[str, str]) -> str:
    name = _text(params.get("default_format", b"")) or headers.get("X-ClickHouse-Format", "") or "TabSeparated"
    if _FORMAT_NAME.fullmatch(name) is None:
        raise EngineError(UNKNOWN_FORMAT, f"Unknown format {name}")
    return name


def _placeholders(params: Params) -> dict[str, bytes]:
    found = {name[6:]: value for name, value in params.items() if name[:6] == "param_"}
    for name in found:
        if _NAME.fullmatch(name) is None:
            raise EngineError(BAD_REQUEST_PARAMETER, f"The name of the query parameter '{name}' is not an identifier")
    return found


def _session(options: EngineOptions, params: Params) -> SessionCall | None:
    if not params.get("session_id"):
        return None
    timeout = _number(params, "session_timeout", options.session_timeout_seconds)
    if timeout > options.session_timeout_seconds_max:
        raise EngineError(
            INVALID_SESSION_TIMEOUT,
            f"Session timeout '{timeout}' is larger than max_session_timeout: {options.session_timeout_seconds_max}. "
            "Maximum session timeout could be modified in configuration file.",
        )
    return SessionCall(
        _text(params["session_id"]), timeout, _flag(params, "session_check"), _flag(params, "close_session")
    )


def _flag(params: Params, name: str) -> bool:
    return params.get(name, b"0").lower() in {b"1", b"true"}


def _number(params: Params, name: str, default: int) -> int:
    value = params.get(name, b"")
    if not value:
        return default
    if not value.isdigit() or len(value) > 12:
        raise EngineError(BAD_REQUEST_PARAMETER, f"The parameter {name} has to be a number")
    return int(value)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
