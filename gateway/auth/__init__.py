"""Who asks, and what may they do?

scopes     scope strings, and what each grants                      pure
token      how a static token is signed and checked                 pure
principal  who asks: what a token turns into                        pure
service    from the string a client shows to its principal
"""

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, Scope, Scopes, parse_scope
from gateway.auth.service import Authenticator, BuiltinStrings, UnknownToken

__all__ = [
    "Action",
    "Authenticator",
    "BuiltinStrings",
    "Principal",
    "Scope",
    "Scopes",
    "UnknownToken",
    "parse_scope",
]
