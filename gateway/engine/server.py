"""Server: the life of the engine process.

    start   lock the directory, open the engine, listen, tell the port
    stop    on SIGTERM, SIGINT or the end of standard input: stop listening, let statements end, cancel the rest, close

In the data directory: `engine.lock`, `clickhouse/` (the engine's own), `spool/` (answers that wait; empty at rest),
`hold` (how to ask for a moment at which nothing changes).
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

import uvloop
from aiohttp import web

from gateway.core.clock import Clock, SystemClock
from gateway.core.memory import keep_freed
from gateway.engine.answer import Server
from gateway.engine.errors import EngineError
from gateway.engine.handler import Handler
from gateway.engine.hold import Hold
from gateway.engine.library import Library
from gateway.engine.lock import DirectoryLock, DirectoryTaken
from gateway.engine.options import EngineOptions
from gateway.engine.runner import Runner

# ClickHouse's `http_max_uri_size`: a statement may stand in the URL.
_URL_BYTES_MAX = 1024 * 1024

_READ_BYTES = 1024 * 1024
_BACKLOG = 1024
_KEEPALIVE_SECONDS = 300.0
_CLOSE_SECONDS = 1.0

# What the HTTP library calls an error is a client that sends no HTTP; what goes wrong here, the handler logs itself.
_quiet = logging.getLogger(f"{__name__}.http")
_quiet.setLevel(logging.CRITICAL)


def run(options: EngineOptions, ready: Callable[[int], None], clock: Clock | None = None) -> int:
    """Serve until told to stop; return the exit code.

    Args:
        options: see there.
        ready: called with the port, once the engine answers.
        clock: the machine's, unless a test says otherwise.
    """
    keep_freed()
    try:
        return uvloop.run(_serve(options, ready, clock or SystemClock()))
    except (DirectoryTaken, EngineError, OSError) as error:
        sys.stderr.write(f"sluice engine: {error}\n")
        return 1


async def _serve(options: EngineOptions, ready: Callable[[int], None], clock: Clock) -> int:
    stop = _stop_event(options)
    spool_dir = options.data_dir / "spool"
    spool_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = DirectoryLock(options.data_dir, clock)
    await lock.take(options.lock_wait_seconds)
    library = Library(options.data_dir / "clickhouse", spool_dir, options.memory_bytes_max)
    await asyncio.to_thread(library.open)
    runner = Runner(library, options, clock)
    server = Server(options, clock, library.version, library.timezone, spool_dir)
    hold = Hold(runner, library, options, clock)
    http = await _listen(Handler(server, runner, hold), options)
    gc.freeze()  # what the start made stays; to look through it again and again was a fortieth of the CPU of inserts
    gc.set_threshold(50_000, 20, 100)
    hold.open(http.addresses[0][1])
    ready(http.addresses[0][1])

    await stop.wait()
    hold.close()
    for site in list(http.sites):
        await site.stop()
    await runner.drain(options.drain_seconds, _CLOSE_SECONDS)
    await http.cleanup()  # lets go of answers that nobody reads, and so of the statements that write them
    if not await runner.drain(_CLOSE_SECONDS, _CLOSE_SECONDS):
        # A thread that does not hear cannot be joined. What it was doing is not committed; the next start cleans up.
        sys.stderr.write("sluice engine: stopped with statements that could not be cancelled\n")
        os._exit(1)
    await runner.aclose()
    await asyncio.to_thread(library.close)
    lock.release()
    return 0


async def _listen(handler: Handler, options: EngineOptions) -> web.ServerRunner:
    # The handler decompresses itself, in bounded pieces, and wants to know when the client has gone.
    server = web.Server(
        handler,
        handler_cancellation=True,
        auto_decompress=False,
        access_log=None,
        logger=_quiet,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        max_line_size=_URL_BYTES_MAX,
        read_bufsize=_READ_BYTES,
    )
    http = web.ServerRunner(server, shutdown_timeout=_CLOSE_SECONDS)
    await http.setup()
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)
    await web.SockSite(http, listening, backlog=_BACKLOG).start()
    return http


def _stop_event(options: EngineOptions) -> asyncio.Event:
    """Return an event that is set when the process should stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.exit_when_stdin_closes:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    return stop


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set `stop` when standard input ends; in a thread, because it may be anything: pipe, terminal or file."""
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)
