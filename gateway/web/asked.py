"""Asked: the parameters of a request to read, and the SQL in it, wherever they stand.

    body is a JSON object       its keys are parameters; arrays stay arrays
    body is a form              its fields are parameters; a name that comes several times is a list
    any other body              is the SQL, as it is

Parameters in the URL go before those in the body; of `q` that in the body counts. Headers are not asked what a body is:
clients send SQL as a form, and forms as nothing. Source: query.md §1.4, §2.2; pipes.md §4.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.core.errors import InvalidRequest
from gateway.web.request import Request
from gateway.web.target import Params, parse_form

# No SQL begins so: a name as a URL has it, and a sign of equality.
_FORM: Final = re.compile(r"[A-Za-z0-9_.\-\[\]%+~]+=")

# What the server reads itself, and what clients add to every URL.
_OURS: Final = frozenset([
    "q", "token", "explain", "pipeline", "playground", "release_replacements", "cli_version", "from",
    "finalize_aggregations", "output_format_json_quote_64bit_integers", "output_format_json_quote_denormals",
    "output_format_parquet_string_as_string",
])  # fmt: skip
_THEIRS: Final = "__tb__"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to read.

    Attributes:
        sql: "" if there is none.
        fields: everything that was sent, text as text.
        params: what of it templates see.
    """

    sql: str
    fields: Mapping[str, Any]
    params: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a field as text; "" if it was not sent."""
        value = self.fields.get(name)
        return "" if value is None else str(value[0] if isinstance(value, list) and value else value)

    def flag(self, name: str) -> bool:
        """Return a field that says yes or no; no if it was not sent.

        Raises:
            InvalidRequest: it says neither.
        """
        return Params([(name, self.text(name))]).flag(name)


async def asked(request: Request) -> Asked:
    """Return what `request` asks.

    Raises:
        InvalidRequest: it is not UTF-8, or `q` is not text.
        TooLarge: see `Request.body`.
    """
    fields = _lists(request.params.pairs)
    sql = ""
    body = await request.body()
    if body:
        sent, sql = _body(body, request.raw.headers.get("Content-Type", ""))
        fields = {**sent, **fields, **({"q": sent["q"]} if sent.get("q") else {})}
    if not sql:
        found = fields.get("q")
        if found is not None and not isinstance(found, str):
            raise InvalidRequest("The 'q' parameter must be one text")
        sql = found or ""
    params = {name: value for name, value in fields.items() if name not in _OURS and not name.startswith(_THEIRS)}
    return Asked(sql, fields, params)


def _body(body: bytes, kind: str) -> tuple[dict[str, Any], str]:
    """Return the fields of a body, or else the SQL that it is; `kind` is what its sender calls it."""
    if body.lstrip().startswith(b"{"):
        try:
            return msgspec.json.decode(body, type=dict[str, Any]), ""
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            pass  # `{name:Type}` may begin a text that the fence can say more about
    if kind.startswith(_JSON) and body.lstrip().startswith((b"{", b"[")):
        raise InvalidRequest("The body is not a JSON object, as its Content-Type says")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not text in UTF-8") from error
    if _FORM.match(text):
        return _lists(parse_form(text)), ""
    return {}, text if text.strip() else ""


def _lists(pairs: Any) -> dict[str, Any]:
    """Return the values by name; those of a name that comes several times as a list."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        known = found.get(name)
        if known is None:
            found[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            found[name] = [known, value]
    return found
