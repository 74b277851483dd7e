"""Who asks, and what may they do?

scopes     scope strings, and what each grants                      pure
token      how a static token is signed and checked                 pure
jwt        tokens signed with the workspace's admin token           pure
seal       values that only this installation can read              pure
principal  who asks: what a token turns into                        pure
access     who may use a route at all                               pure
service    from the string a client shows to its principal
"""

from gateway.auth.access import Access, Need, check_access
from gateway.auth.principal import Kind, Principal
from gateway.auth.scopes import Action, Scope, Scopes, parse_scope
from gateway.auth.service import Authenticator, BuiltinStrings, ForeignToken, UnknownToken

__all__ = [
    "Access",
    "Action",
    "Authenticator",
    "BuiltinStrings",
    "ForeignToken",
    "Kind",
    "Need",
    "Principal",
    "Scope",
    "Scopes",
    "UnknownToken",
    "check_access",
    "parse_scope",
]
