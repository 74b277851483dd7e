"""Tokens: how a static token is signed, and how the signature is checked.

    p.<payload>.<signature>

    payload    base64url, no padding, of {"u": owner id, "id": token id, "host": region}, and "v" after a refresh
    signature  base64url, no padding, of HMAC-SHA256(secret, "p.<payload>"): 43 characters

Clients read `host` and the ids from the payload; to the gateway it is opaque until the signature holds. So nothing that
somebody made up is decoded, or looked for in the catalog, and how long a refusal takes says nothing about what exists.

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

# As long as the longest JWT that fits into a request line. Ours have about 200 characters.
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


_decoder: Final = msgspec.json.Decoder(Claims)


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


def invalid_token() -> Unauthenticated:
    """Return the one error for every token that is not valid."""
    return Unauthenticated("Invalid token")


def _signature(secret: bytes, signed: str) -> str:
    return _base64(hmac.digest(secret, signed.encode(), "sha256"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
