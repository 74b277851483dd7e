"""Service: from the string a client shows to its principal.

`authenticate` asks the catalog in memory and never waits. A token it does not know may have been made on another worker
a moment ago, so `authenticate_fresh`, which is what requests call, then lets the catalog look once more before it
refuses. Only who shows our signature gets that far: a made-up token costs one HMAC, and leaves nothing behind.

What was found is kept by the token's string until the catalog changes. Looking a string up in a dictionary compares it
with another only if both have the same 64-bit hash under a key that is new in each process, so the time it takes does
not tell how much of a guess was right.
"""

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Scopes
from gateway.auth.token import TOKEN_CHARS_MAX, invalid_token, mint, verify
from gateway.catalog import BuiltinToken, Catalog, Snapshot, Token
from gateway.core.errors import Unauthenticated, Unavailable

# A token has one string, so these are reached by installations with more tokens in use than this; each takes about
# 1 KB. When it is full it starts anew.
PRINCIPALS_MAX: Final = 131_072

# Strings that were valid once. Who keeps showing one is told so without a look at the database.
_REFUSED_MAX: Final = 4096

# Tokens with the same scopes share what was read from them.
_SCOPES_MAX: Final = 8192


class UnknownToken(Unauthenticated):
    """We signed it, and the catalog does not know it: dropped, or so new that it has not been heard of here."""


@dataclass(frozen=True, slots=True)
class BuiltinStrings:
    """The three strings a local client asks for, under the names it knows them by."""

    user_token: str
    admin_token: str
    workspace_admin_token: str


class Authenticator:
    """Turns strings into principals. Owns what it remembers of them; one per process."""

    def __init__(
        self, catalog: Catalog, secret: bytes, fixed_admin_token: str | None = None, host: str = "local"
    ) -> None:
        """Check signatures made with `secret`.

        Args:
            catalog: started.
            secret: at least 32 bytes, the same in every process of the installation.
            fixed_admin_token: a string of the operator's that is the first workspace's admin token; any text.
            host: the region that tokens name; clients choose their base URL by it.
        """
        self._catalog = catalog
        self._secret = secret
        self._host = host
        self._fixed_admin_token = fixed_admin_token
        self._fixed_digest = None if fixed_admin_token is None else _digest(fixed_admin_token)
        self._snapshot: Snapshot | None = None
        self._principals: dict[str, Principal] = {}
        self._refused: set[str] = set()

    def authenticate(self, token: str) -> Principal:
        """Return who shows `token`, as far as this process knows. Never waits.

        Raises:
            UnknownToken: we signed it, but it is not in the snapshot.
            Unauthenticated: it is not one of ours.
        """
        snapshot = self._catalog.snapshot
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._principals = {}
            self._refused = set()
        principal = self._principals.get(token)
        if principal is None:
            principal = self._identify(token, snapshot)
            if len(self._principals) >= PRINCIPALS_MAX:
                self._principals.clear()
            self._principals[token] = principal
        return principal

    async def authenticate_fresh(self, token: str) -> Principal:
        """Return who shows `token`. Waits only for a token that we signed and do not know.

        Raises:
            Unauthenticated: there is no such token.
            Unavailable: we signed it, do not know it, and the database does not answer.
        """
        try:
            return self.authenticate(token)
        except UnknownToken:
            if token in self._refused:
                raise
        await self._catalog.refresh()
        try:
            return self.authenticate(token)
        except UnknownToken:
            if len(self._refused) >= _REFUSED_MAX:
                self._refused.clear()
            self._refused.add(token)
            raise

    def token_string(self, token: Token) -> str:
        """Return the string of a token of the catalog: what its owner is given, and what `authenticate` takes."""
        if self._fixed_admin_token is not None and token.builtin is BuiltinToken.WORKSPACE_ADMIN:
            first = self._first_admin(self._catalog.snapshot)
            if first is not None and first.id == token.id:
                return self._fixed_admin_token
        return mint(self._secret, token.workspace_id, token.id, host=self._host, secret_version=token.secret_version)

    def builtin_tokens(self) -> BuiltinStrings:
        """Return the strings of the first workspace's own tokens.

        Raises:
            Unavailable: the catalog has not been loaded.
        """
        snapshot = self._catalog.snapshot
        user = snapshot.user_token()
        if user is None:
            raise Unavailable("The gateway is starting; try again")
        admin = snapshot.builtin_token(user.workspace_id, BuiltinToken.ADMIN)
        workspace_admin = snapshot.builtin_token(user.workspace_id, BuiltinToken.WORKSPACE_ADMIN)
        assert admin is not None
        assert workspace_admin is not None
        return BuiltinStrings(self.token_string(user), self.token_string(admin), self.token_string(workspace_admin))

    def _identify(self, token: str, snapshot: Snapshot) -> Principal:
        if self._is_fixed_admin_token(token):
            found = self._first_admin(snapshot)
            if found is None:
                raise invalid_token()
            return _principal_of(found)
        # JWTs branch off here: they have no `p.`, and are checked with the string of their workspace's admin token.
        claims = verify(self._secret, token)
        found = snapshot.tokens.get(claims.token_id)
        if found is None or found.secret_version < claims.secret_version:
            raise UnknownToken("Invalid token")
        if found.secret_version > claims.secret_version:
            raise invalid_token()
        return _principal_of(found)

    def _is_fixed_admin_token(self, token: str) -> bool:
        # Digests have one length, so that the comparison does not tell the length of the operator's string.
        if self._fixed_digest is None or len(token) > TOKEN_CHARS_MAX:
            return False
        return hmac.compare_digest(self._fixed_digest, _digest(token))

    def _first_admin(self, snapshot: Snapshot) -> Token | None:
        user = snapshot.user_token()
        return user and snapshot.builtin_token(user.workspace_id, BuiltinToken.WORKSPACE_ADMIN)


def _principal_of(token: Token) -> Principal:
    return Principal(
        token_id=token.id,
        token_name=token.name,
        workspace_id=token.workspace_id,
        scopes=_scopes_of(token.scopes),
        is_user=token.builtin is BuiltinToken.USER,
        is_account=token.builtin in (BuiltinToken.USER, BuiltinToken.ADMIN),
    )


@lru_cache(maxsize=_SCOPES_MAX)
def _scopes_of(texts: tuple[str, ...]) -> Scopes:
    return Scopes.read(texts)


def _digest(token: str) -> bytes:
    # What a header brought in may hold bytes that are no text; they are compared like any other.
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
