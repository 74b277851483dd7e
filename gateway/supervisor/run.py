"""Run: what `sluice serve` is made of: the claims, the engine, the workers, and what a person sees."""

import asyncio
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, Literal

from gateway import __version__
from gateway.config import Settings, WorkerIdentity, clickhouse_address, metrics_directory, with_secret
from gateway.core.clock import SystemClock
from gateway.supervisor.child import Command
from gateway.supervisor.claims import claim_directory, claim_number, claim_place, claim_port
from gateway.supervisor.orders import Orders
from gateway.supervisor.supervisor import Role, Supervisor
from gateway.telemetry import metrics
from gateway.telemetry.logs import get_logger
from gateway.telemetry.usage import Usage

_logger = get_logger(__name__)

# What a child may take to stop beyond what it was told to drain in, before it is killed.
_STOP_SPARE_SECONDS: Final = 5.0
_ENGINE_STOP_SECONDS: Final = 25.0
_USAGE_SECONDS: Final = 1.0

# What HS256 asks of a key (RFC 7518, 3.2), in characters.
_KEY_CHARS_MIN: Final = 32
_SHORT_KEY: Final = (
    "The setting admin_token is the key of JWTs, and whoever has a JWT can try keys at his own pace: "
    f"use at least {_KEY_CHARS_MIN} random characters"
)


async def supervise(settings: Settings, say: Callable[[str], object]) -> int:
    """Serve with `settings` until a signal; return the exit code. `say` shows a person what runs, and where.

    Raises:
        PortTaken, DirectoryTaken, NodeRefused: with what to do about it.
        OSError: the data directory cannot be made or written.
    """
    clock = SystemClock()
    left_over_seconds_max = _worker_stop_seconds(settings) + _ENGINE_STOP_SECONDS
    lock = await claim_directory(settings.data_dir, clock, left_over_seconds_max)
    with claim_port(settings.host, settings.port) as held, os.fdopen(lock):
        settings = with_secret(replace(settings, port=held.getsockname()[1]))
        _start_metrics(settings)
        if 0 < len(settings.admin_token) < _KEY_CHARS_MIN:
            _logger.warning("admin_token.short", reason=f"{_SHORT_KEY}, it has {len(settings.admin_token)}")
        roles = _roles(settings, lambda: supervisor.port("engine"))
        for role in roles:  # shown before the first: what begins with one has not increased, for Prometheus
            metrics.restarts.labels(role.name)
        supervisor = Supervisor(
            roles,
            clock=clock,
            inherited=(lock,),
            on_ready=lambda: say(welcome(settings)),
            on_death=lambda role, name: _count_death(settings, role, name),
        )
        measuring = asyncio.create_task(_measure(supervisor, has_engine=not settings.clickhouse_url))
        try:
            async with claim_place(settings, clock):
                return await supervisor.run()
        finally:
            measuring.cancel()


async def _measure(supervisor: Supervisor, *, has_engine: bool) -> None:
    """Tell what the processes take that cannot tell themselves; the others do."""
    clock, own = SystemClock(), Usage("supervisor")
    engine = Usage("engine") if has_engine else None
    while True:
        await clock.sleep(_USAGE_SECONDS)
        own.measure()
        if engine is not None and (pid := supervisor.pid("engine")) is not None:
            engine.measure(pid)


def standalone(settings: Settings) -> WorkerIdentity:
    """Return who the next `sluice worker` is: by itself, beside others that use the same data directory.

    Raises:
        OSError: the data directory cannot be made or written.
    """
    return WorkerIdentity(
        role="standalone",
        index=claim_number(settings.data_dir),
        clickhouse_url=clickhouse_address(settings),
        metrics_directory=None if settings.worker_port else metrics_directory(settings.data_dir),
    )


def _start_metrics(settings: Settings) -> None:
    """Begin a run with empty metrics. A full disk costs the metrics, not the start: draining may be what frees it."""
    directory = metrics_directory(settings.data_dir)
    metrics.clear(directory)
    try:
        metrics.start(directory, "supervisor")
    except OSError as error:
        _logger.warning("metrics.not_shared", reason=str(error))


def _count_death(settings: Settings, role: str, name: str) -> None:
    metrics.forget(metrics_directory(settings.data_dir), name)
    metrics.restarts.labels(role).inc()


def _worker_stop_seconds(settings: Settings) -> float:
    return settings.shutdown_delay_seconds + settings.drain_seconds_max + _STOP_SPARE_SECONDS


def _roles(settings: Settings, engine_port: Callable[[], int]) -> list[Role]:
    """Return the tiers: the engine, unless ClickHouse is elsewhere; the workers; those that do jobs."""
    password = secrets.token_urlsafe(24)

    def engine_url(port: int) -> str:
        return f"http://default:{password}@127.0.0.1:{port}/"

    def engine(_index: int, _generation: int, port: int) -> Command:
        return _command("engine", Orders(replace(settings, clickhouse_url=engine_url(port))).encode)

    def worker(role: Literal["worker", "jobs"], index: int, generation: int, _port: int) -> Command:
        identity = WorkerIdentity(
            role=role,
            index=index,
            count=settings.workers,
            generation=generation,
            exit_when_stdin_closes=True,
            metrics_directory=metrics_directory(settings.data_dir),
        )

        def orders() -> bytes:  # before the engine is ready, nobody knows its port
            url = clickhouse_address(settings) or engine_url(engine_port())
            return Orders(settings, replace(identity, clickhouse_url=url)).encode()

        return _command(identity.name, orders)

    workers = Role(
        name="worker",
        children=[f"worker-{index}" for index in range(settings.workers)],
        command=partial(worker, "worker"),
        stop_seconds_max=_worker_stop_seconds(settings),
    )
    jobs = Role(
        name="jobs",
        children=[f"jobs-{index}" for index in range(settings.job_workers)],
        command=partial(worker, "jobs"),
        stop_seconds_max=settings.drain_seconds_max + _STOP_SPARE_SECONDS,
        is_awaited=False,
    )
    if settings.clickhouse_url:
        return [workers, jobs]
    return [
        Role(
            name="engine",
            children=["engine"],
            command=engine,
            stop_seconds_max=_ENGINE_STOP_SECONDS,
            is_essential=True,
        ),
        workers,
        jobs,
    ]


def _command(name: str, orders: Callable[[], bytes]) -> Command:
    """Return how to start the child `name` of this program; the name is for `ps`, the orders are on standard input."""
    # `-m` puts the current directory before everything; it is not ours to trust, unless this process runs from it.
    flags = () if {"", os.getcwd()} & set(sys.path) else ("-P",)  # noqa: PTH109  as it is written in sys.path
    return Command((sys.executable, *flags, "-m", "gateway", "child", name), orders)


def welcome(settings: Settings) -> str:
    """Return what a person needs to know when all runs."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    url = f"http{'s' if settings.tls_certificate else ''}://{host}:{settings.port}"
    engine = "ClickHouse as configured" if settings.clickhouse_url else "embedded engine"
    tokens = "GET /tokens is switched off" if settings.tokens_endpoint == "off" else f"curl {url}/tokens"
    return (
        f"Sluice {__version__} answers at {url}\n"
        f"  data     {settings.data_dir} ({engine}, workers: {settings.workers}, for jobs: {settings.job_workers})\n"
        f"  tokens   {tokens}\n"
        f"  stop     Ctrl-C\n"
    )
