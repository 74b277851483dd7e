"""Service: from the string a client shows to its principal.

`authenticate` asks the catalog in memory and never waits. A token it does not know may have been made on another worker
a moment ago, so `authenticate_fresh`, which is what requests call, then lets the catalog look once more before it
refuses. That is for static tokens with our signature, and for JWTs, whose key may be new as well; however many come,
the catalog looks a few times a second. A made-up static token costs one HMAC, and leaves nothing behind.

What was found is kept by the token's string until the catalog changes, and a JWT until it expires. Looking a string up
in a dictionary compares it with another only if both have the same 64-bit hash under a key that is new in each process,
so the time it takes does not tell how much of a guess was right.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from gateway.auth import jwt
from gateway.auth.principal import Kind, Principal
from gateway.auth.scopes import Scopes
from gateway.auth.token import TOKEN_CHARS_MAX, invalid_token, mint, owner_said, verify
from gateway.catalog import BuiltinToken, Catalog, Snapshot, Token
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import Unauthenticated, Unavailable

# A token has one string, so these are reached by installations with more tokens in use than this; each takes about
# 1 KB. When it is full it starts anew.
PRINCIPALS_MAX: Final = 131_072

# Makers of JWTs make as many as they like, each up to 16 KB: those in use now are kept, the oldest makes room. To read
# one again costs some 20 microseconds.
JWTS_MAX: Final = 2048

# Digests of strings that the catalog did not know. Who keeps showing one is told so without a look at the database.
_REFUSED_MAX: Final = 4096

# Tokens with the same scopes share what was read from them.
_SCOPES_MAX: Final = 8192


class UnknownToken(Unauthenticated):
    """The catalog does not know it, or its key: it is dropped, or so new that it has not been heard of here.

    A static token that we signed, or a JWT that may be one.
    """


class ForeignToken(Unauthenticated):
    """It says that it is of a workspace which is not here."""


class UnknownWorkspace(UnknownToken, ForeignToken):
    """A JWT of a workspace that is not here, as far as has been heard."""


@dataclass(frozen=True, slots=True)
class BuiltinStrings:
    """The three strings a local client asks for, under the names it knows them by."""

    user_token: str
    admin_token: str
    workspace_admin_token: str


class Authenticator:
    """Turns strings into principals. Owns what it remembers of them; one per process."""

    def __init__(
        self,
        catalog: Catalog,
        secret: bytes,
        fixed_admin_token: str | None = None,
        host: str = "local",
        clock: Clock | None = None,
    ) -> None:
        """Check signatures made with `secret`.

        Args:
            catalog: started.
            secret: at least 32 bytes, the same in every process of the installation.
            fixed_admin_token: a string of the operator's that is the first workspace's admin token; any text.
            host: the region that tokens name; clients choose their base URL by it.
            clock: tells when a JWT has expired; the machine's if absent.
        """
        self._catalog = catalog
        self._secret = secret
        self.host: Final = host
        self._fixed_admin_token = fixed_admin_token
        self._fixed_digest = None if fixed_admin_token is None else _digest(fixed_admin_token)
        self._snapshot: Snapshot | None = None
        self._clock = clock or SystemClock()
        # For JWTs of workspaces that do not exist: refusing them takes as long as refusing others.
        self._nobodys_key = secrets.token_bytes(32)
        self._principals: dict[str, Principal] = {}
        self._jwts: dict[str, Principal] = {}
        self._keys: dict[str, bytes] = {}
        self._refused: set[bytes] = set()

    def authenticate(self, token: str) -> Principal:
        """Return who shows `token`, as far as this process knows. Never waits.

        Raises:
            UnknownToken: it may be valid by what other processes know.
            ForeignToken: it is of a workspace that is not here.
            Unauthenticated: it is not one of ours, or a JWT that has expired.
        """
        snapshot = self._catalog.snapshot
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._principals = {}
            self._jwts = {}
            self._keys = {}
            self._refused = set()
        principal = self._principals.get(token)
        if principal is not None:
            return principal
        principal = self._jwts.get(token)
        if principal is None:
            principal = self._identify(token, snapshot)
            self._keep(token, principal)
        if principal.expires_at is not None and self.has_expired(principal.expires_at):
            self._jwts.pop(token, None)
            raise jwt.InvalidJwt("Invalid token: it has expired")
        return principal

    def has_expired(self, expires_at: int) -> bool:
        """Tell whether a token that ends at this moment (Unix seconds) is not valid any more."""
        return self._clock.now() >= expires_at + jwt.CLOCK_SKEW_SECONDS

    async def authenticate_fresh(self, token: str) -> Principal:
        """Return who shows `token`. Waits only for one that other processes may know.

        Raises:
            Unauthenticated: there is no such token.
            Unavailable: others may know it, and the database does not answer.
        """
        try:
            return self.authenticate(token)
        except UnknownToken:
            if _digest(token) in self._refused:
                raise
        await self._catalog.refresh()
        try:
            return self.authenticate(token)
        except UnknownToken:
            if len(self._refused) >= _REFUSED_MAX:
                self._refused.clear()
            self._refused.add(_digest(token))
            raise

    def token_string(self, token: Token) -> str:
        """Return the string of a token of the catalog: what its owner is given, and what `authenticate` takes."""
        if self._fixed_admin_token is not None and self.is_fixed(token):
            return self._fixed_admin_token
        return mint(self._secret, token.workspace_id, token.id, host=self.host, secret_version=token.secret_version)

    def is_fixed(self, token: Token) -> bool:
        """Tell whether the operator chose the string of `token`, in the settings."""
        if self._fixed_admin_token is None or token.builtin is not BuiltinToken.WORKSPACE_ADMIN:
            return False
        first = self._first_admin(self._catalog.snapshot)
        return first is not None and first.id == token.id

    def token_of(self, string: str) -> Token | None:
        """Return the static token whose string this is now, None if there is none."""
        try:
            token_id = self._identify(string, self._catalog.snapshot).token_id
        except Unauthenticated:
            return None
        return self._catalog.snapshot.tokens.get(token_id)

    def mint_jwt(self, claims: jwt.Claims) -> str:
        """Return a JWT with these claims, signed with the key of its workspace.

        Raises:
            Unavailable: there is no such workspace, or not any more.
        """
        key = self._key(claims.workspace_id, self._catalog.snapshot)
        if key is None:
            raise Unavailable("The workspace of this token is not known here; try again")
        return jwt.mint(key, claims)

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
        parts = None if token.startswith("p.") else jwt.take_apart(token)
        if parts is not None:
            return self._identify_jwt(parts, snapshot)
        try:
            claims = verify(self._secret, token)
        except Unauthenticated:
            owner = owner_said(token)
            if owner and _is_uuid(owner) and owner not in snapshot.workspaces:
                raise ForeignToken(_ELSEWHERE.format(owner)) from None
            raise
        found = snapshot.tokens.get(claims.token_id)
        if found is None or found.secret_version < claims.secret_version:
            raise UnknownToken("Invalid token")
        if found.secret_version > claims.secret_version:
            raise invalid_token()
        return _principal_of(found)

    def _identify_jwt(self, parts: jwt.Unverified, snapshot: Snapshot) -> Principal:
        key = self._key(parts.workspace_id, snapshot)
        is_signed = jwt.verify(parts, self._nobodys_key if key is None else key)
        if key is None and _is_uuid(parts.workspace_id):
            raise UnknownWorkspace(_ELSEWHERE.format(parts.workspace_id))
        if key is None:
            raise invalid_token()
        if not is_signed:
            raise UnknownToken("Invalid token")
        return jwt.principal_of(parts)

    def _key(self, workspace_id: str, snapshot: Snapshot) -> bytes | None:
        """Return the key of a workspace's JWTs: the string of its admin token."""
        key = self._keys.get(workspace_id) if snapshot is self._snapshot else None
        if key is None:
            admin = snapshot.builtin_token(workspace_id, BuiltinToken.WORKSPACE_ADMIN)
            if admin is None:
                return None
            key = self.token_string(admin).encode()
            if snapshot is self._snapshot:
                self._keys[workspace_id] = key
        return key

    def _keep(self, token: str, principal: Principal) -> None:
        if principal.kind is Kind.JWT:
            if len(self._jwts) >= JWTS_MAX:
                del self._jwts[next(iter(self._jwts))]
            self._jwts[token] = principal
            return
        if len(self._principals) >= PRINCIPALS_MAX:
            self._principals.clear()
        self._principals[token] = principal

    def _is_fixed_admin_token(self, token: str) -> bool:
        # Digests have one length, so that the comparison does not tell the length of the operator's string.
        if self._fixed_digest is None or len(token) > TOKEN_CHARS_MAX:
            return False
        return hmac.compare_digest(self._fixed_digest, _digest(token))

    def _first_admin(self, snapshot: Snapshot) -> Token | None:
        user = snapshot.user_token()
        return user and snapshot.builtin_token(user.workspace_id, BuiltinToken.WORKSPACE_ADMIN)


# In the words that clients know.
_ELSEWHERE: Final = "invalid authentication token. Workspace with ID {} not found"


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


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
