"""Watched: what a process without an API answers to those who watch over it: `/health` and `/metrics`."""

import asyncio

from aiohttp.web import BaseRequest, Response, Server

from gateway.telemetry import metrics
from gateway.web.request import JSON


async def answer_watchers(host: str, port: int) -> asyncio.Server:
    """Return a listening server; close it at the end.

    Raises:
        OSError: the address is not ours, or somebody has the port.
    """
    return await asyncio.get_running_loop().create_server(Server(_answer, access_log=None), host, port)


async def _answer(request: BaseRequest) -> Response:
    if request.method not in {"GET", "HEAD"}:
        return Response(status=405, headers={"Allow": "GET"})
    if request.path == "/health":
        return Response(body=b'{"status":"ok"}', content_type=JSON)
    if request.path == "/metrics":
        body, content_type = await asyncio.to_thread(metrics.render)
        return Response(body=body, headers={"Content-Type": content_type})
    return Response(status=404, text="There is /health, and /metrics\n")
