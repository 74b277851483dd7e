"""Tokens: how a static token is signed, and how the signature is checked.

    p.<payload>.<signature>

    payload    base64url, no padding, of {"u": owner id, "id": token id, "host": region}, and "v" after a refresh
    signature  base64url, no padding, of HMAC-SHA256(secret, "p.<payload>"): 43 characters

Clients read `host` and the ids from the payload; the gateway believes it only if the signature holds. Of a token that
is refused it reads the owner, to say that a workspace is not here (`owner_said`); no token is looked for, so how long a
refusal takes says nothing about which exist.

Signatures are compared as text: base64 has several spellings of the same bytes, and only ours is taken. So a token has
one string, and a cache of strings is no larger than the number of tokens.

`v` counts refreshes. It stands in the payload, not in the store only, so that a signature can be checked without asking
what the store knows. Most tokens are never refreshed and do not have it.

Pure. Changing anything here makes every token in use invalid.
"""

import base64
import binascii
import hmac
from typing import Final

import msgspec

from gateway.core.errors import Unauthenticated

# Ours have about 200 characters.
TOKEN_CHARS_MAX: Final = 8192

# 256 bits, as much as the signature has.
SECRET_BYTES_MIN: Final = 32

_PREFIX: Final = "p."


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token says about itself; true, once `verify` returned it."""

    owner_id: str = msgspec.field(name="u")
    token_id: str = msgspec.field(name="id")
    host: str
    secret_version: int = msgspec.field(name="v", default=1)


class _Owned(msgspec.Struct, frozen=True):
    owner_id: str = msgspec.field(name="u")


_decoder: Final = msgspec.json.Decoder(Claims)
_owned_decoder: Final = msgspec.json.Decoder(_Owned)


def mint(secret: bytes, owner_id: str, token_id: str, *, host: str = "local", secret_version: int = 1) -> str:
    """Return the string of a token: always the same for the same arguments."""
    assert len(secret) >= SECRET_BYTES_MIN
    payload = msgspec.json.encode(Claims(owner_id, token_id, host, secret_version))
    signed = _PREFIX + _base64(payload)
    return f"{signed}.{_signature(secret, signed)}"


def verify(secret: bytes, token: str) -> Claims:
    """Return what `token` says, if it was signed with `secret`. Whether it still exists is for the catalog to say.

    Takes equally long for every token of the same length that has the right shape.

    Raises:
        Unauthenticated: for whatever reason; the sentence is the same, and does not hold the token.
    """
    if len(token) > TOKEN_CHARS_MAX or not token.isascii():
        raise invalid_token()
    signed, _, signature = token.rpartition(".")
    if not signed.startswith(_PREFIX) or not hmac.compare_digest(_signature(secret, signed), signature):
        raise invalid_token()
    try:
        return _decoder.decode(base64.urlsafe_b64decode(signed[len(_PREFIX) :] + "=="))
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError):
        # Signed by us, so made by a version that wrote something else.
        raise invalid_token() from None


def owner_said(token: str) -> str:
    """Return the owner in the payload of a token that nobody verified, "" if it does not have the form of a token."""
    if len(token) > TOKEN_CHARS_MAX or not token.isascii() or not token.startswith(_PREFIX):
        return ""
    payload, _, _ = token[len(_PREFIX) :].rpartition(".")
    try:
        return _owned_decoder.decode(base64.urlsafe_b64decode(payload + "==")).owner_id
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError, RecursionError):
        return ""


def invalid_token() -> Unauthenticated:
    """Return the one error for every token that is not valid."""
    return Unauthenticated("Invalid token")


def _signature(secret: bytes, signed: str) -> str:
    return _base64(hmac.digest(secret, signed.encode(), "sha256"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
