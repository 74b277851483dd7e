"""Baselines: what aiohttp costs before anybody does anything useful. Same answer, no log, no check, no ClickHouse.

    discard   read the body
    orjson    read the body and parse each of its lines

The handler stands on aiohttp's low-level server under uvloop, like the gateway's: no router, no middleware.

    python loadtest/baselines.py discard --port 8000 --workers 1 --rows 1
"""

import argparse
import asyncio
import os
import signal
import socket
import sys

import orjson
import uvloop
from aiohttp import web

_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Request-Id",
    "X-Request-Id": "01JD8Y0000000000000000000A",
}


async def serve(mode: str, listening: socket.socket, rows: int) -> None:
    async def handle(request: web.BaseRequest) -> web.Response:
        body = await request.content.read() if not request.content.is_eof() else request.content.read_nowait()
        found = len([orjson.loads(line) for line in body.splitlines()]) if mode == "orjson" else rows
        answer = b'{"successful_rows":%d,"quarantined_rows":0}' % found
        return web.Response(body=answer, status=202, content_type="application/json", headers=_HEADERS)

    runner = web.ServerRunner(web.Server(handle, access_log=None, auto_decompress=False), handle_signals=False)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=4096).start()
    print(f"ready {listening.getsockname()[1]}", flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await runner.cleanup()


def listen(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(("127.0.0.1", port))
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("mode", choices=["discard", "orjson"])
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--rows", type=int, default=1, help="what `discard` answers: it does not look")
    given = arguments.parse_args()
    first = listen(given.port)
    port = first.getsockname()[1]
    children = []
    for _ in range(given.workers - 1):
        if not (pid := os.fork()):
            uvloop.run(serve(given.mode, listen(port), given.rows))
            return 0
        children.append(pid)
    uvloop.run(serve(given.mode, first, given.rows))
    for pid in children:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
