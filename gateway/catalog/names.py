"""Names: what things in the catalog may be called, beyond what `schema.names` asks of a resource's name. Pure."""

import re
from typing import Final

from gateway.core.errors import Conflict, InvalidRequest
from gateway.schema.names import check_resource_name

# Ours: token names are free text, and are shown in listings and kept with every request.
TOKEN_NAME_CHARS_MAX: Final = 200

# Ours: a path or a scope may hold a name or an id, and neither may pass for the other.
_ID: Final = re.compile(r"t_[0-9a-f]{32}", re.ASCII)

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class NameTaken(Conflict):
    """Something in the workspace already has this name."""


def check_name(name: str, kind: str) -> None:
    """Raise unless `name` may be given to a `kind` ("Data Source", "Pipe", "Workspace").

    Raises:
        InvalidRequest: it is not the name of a resource, or looks like the id of one.
    """
    check_resource_name(name, kind)
    if _ID.fullmatch(name):
        raise InvalidRequest(f"{kind} name '{name}' is not valid: it looks like an id")


def check_token_name(name: str) -> None:
    """Raise unless `name` may name a token: any text on one line.

    Raises:
        InvalidRequest: it is empty, too long, or has characters that cannot be printed.
    """
    if not name.strip():
        raise InvalidRequest("The token's name is missing")
    if len(name) > TOKEN_NAME_CHARS_MAX:
        raise InvalidRequest(f"The token's name is too long: {len(name)} characters, at most {TOKEN_NAME_CHARS_MAX}")
    if not name.isprintable():
        raise InvalidRequest("The token's name has characters that can not be printed")


def may_exist(text: str) -> bool:
    """Return whether something may have been recorded under `text`; PostgreSQL refuses to look for what cannot."""
    return "\0" not in text and not _SURROGATE.search(text)


def check_text(what: str, text: str) -> str:
    """Return `text` if both databases can keep it; `what` says in the error what it is.

    Raises:
        InvalidRequest: it has a NUL, or half of a surrogate pair.
    """
    if not may_exist(text):
        raise InvalidRequest(f"The {what} has characters that can not be stored")
    return text
