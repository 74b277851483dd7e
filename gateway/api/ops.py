"""Operations: alive, ready, metrics, the tokens of a local installation. `/tokens` and `/v0/health` are Tinybird's."""

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp.web import Response, StreamResponse

from gateway import __version__
from gateway.auth.service import Authenticator
from gateway.core.errors import Forbidden
from gateway.telemetry import metrics
from gateway.web.request import Request, json_response, text_response


@dataclass(frozen=True, slots=True)
class Readiness:
    """Would events be taken now? `reasons`: why not. `notes`: what is not as it should be although they would."""

    reasons: tuple[str, ...]
    notes: dict[str, Any]


class OpsApi:
    """Handlers of the family."""

    def __init__(
        self,
        authenticator: Authenticator,
        readiness: Callable[[], Readiness],
        tokens_endpoint: Literal["loopback", "on", "off"],
    ) -> None:
        self._authenticator = authenticator
        self._readiness = readiness
        self._tokens_endpoint = tokens_endpoint

    async def health(self, request: Request) -> StreamResponse:
        """The process is alive."""
        del request
        return json_response({"status": "ok", "version": __version__})

    async def ready(self, request: Request) -> StreamResponse:
        """200 if events would be taken now, 503 if not; what ClickHouse does is said, but does not decide."""
        del request
        readiness = self._readiness()
        body = {"ready": not readiness.reasons, "reasons": list(readiness.reasons), **readiness.notes}
        response = json_response(body, 503 if readiness.reasons else 200)
        if readiness.reasons:
            response.headers["Retry-After"] = "1"
        return response

    async def metrics(self, request: Request) -> StreamResponse:
        """Every metric, of all processes of this node, for Prometheus."""
        del request
        body, content_type = await asyncio.to_thread(metrics.render)
        return Response(body=body, headers={"Content-Type": content_type})

    async def version(self, request: Request) -> StreamResponse:
        """The version, as text."""
        del request
        return text_response(__version__)

    async def tokens(self, request: Request) -> StreamResponse:
        """The three tokens of a local installation; exactly these keys (common.md §9)."""
        if self._tokens_endpoint == "off" or (self._tokens_endpoint == "loopback" and not _is_local(request)):
            raise Forbidden("Tokens are not shown here; see the setting tokens_endpoint")
        strings = self._authenticator.builtin_tokens()
        return json_response(
            {
                "user_token": strings.user_token,
                "admin_token": strings.admin_token,
                "workspace_admin_token": strings.workspace_admin_token,
            }
        )


def _is_local(request: Request) -> bool:
    """Does the request come from this machine, and not through a proxy on it, nor from a page a browser here shows?"""
    peer = request.raw.transport.get_extra_info("peername") if request.raw.transport else None
    headers = request.raw.headers
    if peer is None or "X-Forwarded-For" in headers or "Forwarded" in headers or "Origin" in headers:
        return False
    return ipaddress.ip_address(peer[0]).is_loopback and _names_this_machine(headers.get("Host", ""))


def _names_this_machine(host: str) -> bool:
    """A page that made its own name point here (DNS rebinding) still sends that name."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]").lower()
    if name in {"localhost", "host.docker.internal"}:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
