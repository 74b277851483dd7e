"""JWTs: tokens that somebody signs with the workspace's admin token, and that expire.

    <header>.<payload>.<signature>      base64url, no padding

    header     JSON; `alg` is HS256 or missing
    payload    {"workspace_id", "name", "exp", "scopes": [{"type", "resource", "filter"?, "fixed_params"?}],
                "limits"?: {"rps"?}}
    signature  HMAC-SHA256("<header>.<payload>") under the UTF-8 bytes of the workspace admin token's string

They are not stored. Refreshing the workspace admin token makes all of them invalid.

Ours instead of a library, because clients may leave `alg` out, which libraries refuse; and because it is so little: one
algorithm, one key, whatever the header says. What the header asks for besides (`none`, RS256, `crit`) is refused.
Signatures are compared as text, so a token has one string, and any changed byte makes another one.

Pure. Source: tokens.md §4.
"""

import base64
import binascii
import hmac
import re
from typing import Any, Final, NamedTuple

import msgspec

from gateway.auth.principal import Kind, Principal
from gateway.auth.scopes import SCOPE_CHARS_MAX, Scope, Scopes
from gateway.core.errors import Unauthenticated

# A JWT also travels in URLs; the request line may have 32 KiB.
JWT_CHARS_MAX: Final = 16 * 1024

# Clients are known that send 28.
SCOPES_MAX: Final = 250
FIXED_PARAMS_MAX: Final = 100
NAME_CHARS_MAX: Final = 512

# Whoever asks for more has no limit worth counting; a number may have a thousand digits.
_RPS_MAX: Final = 10**9

# The year 9999. What is beyond was meant as milliseconds.
EXPIRY_MAX: Final = 253_402_300_799

# A token ends at `exp` by the clock of the node that is asked. No leeway: it would prolong the life of a token that
# leaked, and a maker whose clock is behind can add to `exp`.
CLOCK_SKEW_SECONDS: Final = 0

TYPES: Final = ("PIPES:READ", "DATASOURCES:READ", "DATASOURCES:APPEND")
_MAY_HAVE_FILTER: Final = frozenset({"PIPES:READ", "DATASOURCES:READ"})
_MAY_FIX_PARAMS: Final = frozenset({"PIPES:READ"})

_SHAPE: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_HEADER: Final = b'{"alg":"HS256","typ":"JWT"}'


class ScopeClaim(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the token may do with one resource, named by name or id."""

    type: str
    resource: str
    filter: str | None = None
    fixed_params: dict[str, Any] | None = None


class Limits(msgspec.Struct, frozen=True):
    """`rps`: requests a second, of all tokens of this name together; none if absent or not above zero."""

    rps: int | float | None = None


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a JWT says; other claims are ignored."""

    workspace_id: str
    name: str
    exp: int
    scopes: tuple[ScopeClaim, ...]
    limits: Limits | None = None


class _Header(msgspec.Struct, frozen=True):
    alg: str | None = None
    crit: Any = None


class _Named(msgspec.Struct, frozen=True):
    workspace_id: str = ""


class Unverified(NamedTuple):
    """A JWT taken apart. Nothing it says is true before `verify` returned."""

    workspace_id: str  # empty if it names none
    signed: str
    payload: bytes
    signature: str


class InvalidJwt(Unauthenticated):
    """It is signed with the right key, and still not valid; the sentence says why."""


_header_decoder: Final = msgspec.json.Decoder(_Header)
_named_decoder: Final = msgspec.json.Decoder(_Named)
_claims_decoder: Final = msgspec.json.Decoder(Claims)


def take_apart(token: str) -> Unverified | None:
    """Return the parts of a JWT, None if `token` does not have the form of one that we would verify."""
    shape = _SHAPE.fullmatch(token) if len(token) <= JWT_CHARS_MAX else None
    if shape is None:
        return None
    try:
        header = _header_decoder.decode(_decoded(shape[1]))
        payload = _decoded(shape[2])
        workspace_id = _named_decoder.decode(payload).workspace_id
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError, RecursionError):
        return None
    if header.alg not in (None, "HS256") or header.crit is not None:
        return None
    return Unverified(workspace_id, f"{shape[1]}.{shape[2]}", payload, shape[3])


def verify(found: Unverified, key: bytes) -> bool:
    """Tell whether the parts were signed with `key`. Takes equally long whether or not."""
    return hmac.compare_digest(_signature(key, found.signed), found.signature)


def principal_of(found: Unverified) -> Principal:
    """Return who shows a JWT that was verified; whether it has expired is for the caller to ask, each time.

    Raises:
        InvalidJwt: a claim is missing or is not what it must be.
    """
    try:
        claims = _claims_decoder.decode(found.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJwt(f"Invalid token: {error}") from None
    complaint = complaint_of(claims)
    if complaint:
        raise InvalidJwt(f"Invalid token: {complaint}")
    rps = claims.limits.rps if claims.limits else None
    fixed: dict[str, dict[str, Any]] = {}
    for each in claims.scopes:
        if each.fixed_params:
            known = fixed.setdefault(each.resource, {})
            fixed[each.resource] = {**each.fixed_params, **known}  # the first one counts
    return Principal(
        token_id="",
        token_name=claims.name,
        workspace_id=claims.workspace_id,
        # A type that a JWT cannot have grants nothing, and leaves the others their rights.
        scopes=Scopes(Scope(s.type, s.resource, s.filter or "") for s in claims.scopes if s.type in TYPES),
        kind=Kind.JWT,
        expires_at=claims.exp,
        requests_per_second=float(min(rps, _RPS_MAX)) if rps is not None and rps > 0 else None,
        fixed=fixed,
    )


def complaint_of(claims: Claims) -> str:
    """Return what is wrong with claims of the right types, empty if nothing is. Nothing that narrows is ignored."""
    if not claims.name.strip() or len(claims.name) > NAME_CHARS_MAX or not claims.name.isprintable():
        return f"the claim 'name' must be printable text of 1 to {NAME_CHARS_MAX} characters"
    if not 0 < claims.exp <= EXPIRY_MAX:
        return "the claim 'exp' must be a time in Unix seconds"
    if len(claims.scopes) > SCOPES_MAX:
        return f"it has {len(claims.scopes)} scopes, at most {SCOPES_MAX}"
    return next((text for text in map(_scope_complaint, claims.scopes) if text), "")


def mint(key: bytes, claims: Claims) -> str:
    """Return the string of a JWT with these claims, signed with `key`."""
    signed = f"{_encoded(_HEADER)}.{_encoded(msgspec.json.encode(claims))}"
    return f"{signed}.{_signature(key, signed)}"


def _scope_complaint(scope: ScopeClaim) -> str:
    if not scope.resource:
        return f"the scope {scope.type[:80]} must name its resource"
    if scope.filter and scope.type not in _MAY_HAVE_FILTER:
        return f"the scope {scope.type[:80]} has no filter"
    if scope.fixed_params and scope.type not in _MAY_FIX_PARAMS:
        return f"the scope {scope.type[:80]} has no fixed_params"
    if len(scope.fixed_params or ()) > FIXED_PARAMS_MAX:
        return f"a scope may fix at most {FIXED_PARAMS_MAX} parameters"
    if len(scope.resource) + len(scope.filter or "") > SCOPE_CHARS_MAX:
        return f"a scope may have at most {SCOPE_CHARS_MAX} characters"
    return ""


def _signature(key: bytes, signed: str) -> str:
    return _encoded(hmac.digest(key, signed.encode(), "sha256"))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
