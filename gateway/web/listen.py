"""Listen: one socket of many on the same port, and connections that cannot be held open for nothing."""

import asyncio
import ipaddress
import socket
from typing import Any, Final

from aiohttp.http_exceptions import LineTooLong
from aiohttp.web import BaseRequest, Response, Server, StreamResponse
from aiohttp.web_protocol import RequestHandler

from gateway.telemetry import tally
from gateway.telemetry.logs import get_logger
from gateway.web.errors import body_of
from gateway.web.request import JSON

_logger = get_logger(__name__)

# Who has not sent the head of a first request by now is gone, or means harm.
_HEAD_SECONDS_MAX: Final = 20.0
_KEEPALIVE_SECONDS: Final = 75.0
# Tokens and JWTs travel in the request line too.
_LINE_BYTES_MAX: Final = 32 * 1024
_BACKLOG: Final = 4096


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket that shares `port` with the other workers.

    Raises:
        OSError: the address is not ours, or the port is taken by somebody else.
    """
    family = socket.AF_INET6 if _is_ipv6(host) else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind((host, port))
        found.listen(_BACKLOG)
        found.setblocking(False)
    except OSError:
        found.close()
        raise
    return found


def http_server(handler: Any) -> Server:
    """Return a low-level server whose requests go to `handler`, bodies as they were sent."""
    return _Server(
        handler,
        auto_decompress=False,
        access_log=None,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        max_line_size=_LINE_BYTES_MAX,
        max_field_size=_LINE_BYTES_MAX,
        lingering_time=2.0,
    )


class _Server(Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """A connection that is closed if its first request does not begin in time, or if it does not speak HTTP."""

    __slots__ = ("_head_timer",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(_HEAD_SECONDS_MAX, self._check_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_timer.cancel()
        super().connection_lost(exc)

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> StreamResponse:
        """Answer what is not HTTP in the shape of every other error, and close the connection.

        Nothing of what was sent is repeated, in the answer or in the log: a token may be in it.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("A part of the answer is out already")
        if status >= 500:
            _logger.error("connection.failed", status=status, exc_info=exc)
        else:
            _logger.debug("connection.not_http", reason=type(exc).__name__)
        tally.request_done("unknown", status, 0.0)
        headers = {"Access-Control-Allow-Origin": "*", "Server": "sluice"}
        response = Response(body=body_of(_complaint(status, exc, message)), status=status, headers=headers)
        response.content_type = JSON
        response.force_close()
        return response

    def _check_head(self) -> None:
        if self._request_count == 0 and self._current_request is None and self.transport is not None:
            self.transport.abort()


def _complaint(status: int, error: BaseException | None, message: str | None) -> str:
    if status >= 500:
        return "Internal error"
    if isinstance(error, LineTooLong):
        return f"The request line or a header is longer than {_LINE_BYTES_MAX} bytes"
    if message and message.startswith("Received HTTPS"):
        return "This port speaks HTTP, not HTTPS"
    return "The request is not valid HTTP"


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
