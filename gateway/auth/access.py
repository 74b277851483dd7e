"""Access: who may use a route at all. The one place that says so; the table of routes names what each needs.

A route needs an action, and lets in whoever may do it with at least one resource; its handler then asks for the
resource it serves. A JWT is for readers and senders that nobody trusts further, so it gets in only where the table says
so, whatever its scopes.

Pure. Source: tokens.md §4.2.
"""

from enum import StrEnum
from typing import TypeAlias

from gateway.auth.principal import Kind, Principal
from gateway.auth.scopes import Action, forbidden
from gateway.core.errors import Forbidden


class Access(StrEnum):
    """What a route needs if it is not an action."""

    PUBLIC = "nothing"  # whoever asks is not looked at
    ANYBODY = "nothing, but it says who asks"  # the handler is told who shows the token, if it is a valid one
    VALID = "any valid token"
    ACCOUNT = "the account's own token"


Need: TypeAlias = Access | Action


def check_access(principal: Principal, need: Need, *, jwt: bool) -> None:
    """Return if `principal` may use a route that needs `need`, and lets JWTs in if `jwt`.

    Raises:
        Forbidden: it may not.
    """
    if need is Access.ANYBODY:
        return
    if principal.kind is Kind.JWT and not jwt:
        raise Forbidden("A JWT may only call endpoints, run queries and send events; use a static token for this")
    if isinstance(need, Action):
        if not principal.scopes.allows_any(need):
            raise forbidden(need)
    elif need is Access.ACCOUNT and not principal.is_account:
        raise Forbidden("Only the user token and the user's admin tokens may do this")
