"""JWTs, made here as their makers make them: nothing of the gateway's own code signs them."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

HEADER = {"alg": "HS256", "typ": "JWT"}


def sign(key: str, claims: Any, header: Any = HEADER, digest: str = "sha256") -> str:
    """A JWT; `claims` and `header` may also be bytes, to be taken as they are."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(key.encode(), signed.encode(), getattr(hashlib, digest)))}"


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(workspace_id: str, *scopes: dict[str, Any], seconds: float = 600, **more: Any) -> dict[str, Any]:
    """Claims of a token that ends in so many seconds."""
    return {
        "workspace_id": workspace_id,
        "name": "user_991",
        "exp": int(time.time() + seconds),
        "scopes": list(scopes),
        **more,
    }
