"""Seal: values that are kept where others may read, and that only this installation can open.

AES-256-GCM under a key made from the signing secret (HKDF-SHA256), which is not in the database. What the value is for
goes in as associated data: a sealed text opens only in the place it was sealed for, so nobody can put one variable's
text into another's row.

    1.<base64url of nonce (12 bytes), ciphertext and tag (16 bytes)>
"""

import base64
import binascii
import os
from typing import Any, Final

from gateway.core.errors import Unavailable

_VERSION: Final = "1."
_NONCE_BYTES: Final = 12


class Seal:
    """Closes and opens texts. One per process."""

    def __init__(self, secret: bytes) -> None:
        """Use a key of our own, made from `secret`."""
        self._secret = secret
        self._made: Any = None

    def close(self, text: str, place: str) -> str:
        """Return `text`, sealed for `place`; another text each time."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())
        return _VERSION + base64.urlsafe_b64encode(sealed).decode()

    def open(self, sealed: str, place: str) -> str:
        """Return the text that was sealed for `place`.

        Raises:
            Unavailable: it was sealed for another place or under another secret, or it is damaged.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  25 ms, for those who have variables

        try:
            if not sealed.startswith(_VERSION):
                raise ValueError
            data = base64.b64decode(sealed[len(_VERSION) :], altchars=b"-_", validate=True)
            if sealed != _VERSION + base64.urlsafe_b64encode(data).decode():
                raise ValueError  # the decoder takes several texts for the same bytes
            return str(self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode()), "utf-8")
        except (ValueError, binascii.Error, InvalidTag):
            raise Unavailable(
                "A variable can not be opened: it was stored under another secret of this gateway. "
                "Start it with that secret, or set the variable again"
            ) from None

    @property
    def _cipher(self) -> Any:
        if self._made is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  as above
            from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

            key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"sluice variables 1").derive(self._secret)
            self._made = AESGCM(key)
        return self._made
