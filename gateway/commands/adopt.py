"""Adopt: `sluice log adopt`: what a lost node still owed goes to ClickHouse, each row once.

The logs stay where they are and are emptied in place, under their own ids: what the lost node had sealed keeps its
batch id, which is the deduplication token, and what it had not is sealed in its log before it is sent. So it may be
killed and begun again, and a batch that had landed already does not land twice. An emptied log is removed.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from gateway.bootstrap.basis import Basis, database_url, opened
from gateway.bootstrap.lane import Lane, inserter, label, open_lane
from gateway.buffer.recovery import UnknownLayout
from gateway.catalog.presence import is_present
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.made import MadeOtherwise, check_made
from gateway.commands import EXIT_FAILED, complain, say
from gateway.commands.log import logs_in
from gateway.config import ConfigurationError, Settings, WorkerIdentity, clickhouse_address, load, place_of
from gateway.control.oplog import OpsLogWriter
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import GatewayError, reason_of
from gateway.flush.flusher import Inserter
from gateway.supervisor import DirectoryTaken, claim_idle_directory
from gateway.telemetry.logs import LoggingOptions, configure
from gateway.wal import LogLocked, UnknownFormat

_LOOK_SECONDS: Final = 0.1
_SHOW_SECONDS: Final = 1.0
# Nothing landed for so long: what is left cannot, for now.
_STALLED_SECONDS: Final = 60.0
_OPS_SECONDS: Final = 5.0
_UNREADABLE: Final = (LogLocked, UnknownFormat, UnknownLayout)


class _Refused(Exception):
    """It is not to be adopted; the message is for the operator."""


@dataclass(slots=True)
class _Sum:
    """What came of it."""

    logs: int = 0
    rows: int = 0
    left: int = 0
    problems: list[str] = field(default_factory=list)


def run(options: Mapping[str, Any]) -> int:
    """Adopt the logs in the directory that `options` name; return the exit code."""
    configure(LoggingOptions(level="error"))
    settings, directory = load(options).settings, Path(options["DIR"]).absolute()
    _check(settings)
    try:
        logs = _logs(directory)
        if logs:
            return asyncio.run(_adopt(settings, directory, logs, SystemClock()))
    except (_Refused, DirectoryTaken, GatewayError, OSError) as error:
        complain(reason_of(error))
        return EXIT_FAILED
    say(f"{directory}: nothing to adopt, no log is there\n")
    return 0


def _logs(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise _Refused(f"{directory}: there is no such directory")
    logs = logs_in(directory)
    if not (logs or (directory / "log").is_dir()) and any(directory.iterdir()):
        raise _Refused(f"{directory}: is neither a data directory nor the log of a worker")
    return logs


def _check(settings: Settings) -> None:
    kind, _, path = database_url(settings).partition(":///")
    problems = []
    if not settings.clickhouse_url:
        problems.append(
            "clickhouse_url must say where ClickHouse answers: http://user:password@127.0.0.1:8123/. "
            "To an embedded engine only its own gateway has the way: see docs/operations.md"
        )
    if kind.startswith("sqlite") and not Path(path).exists():
        problems.append(f"{path}: there is no such file: say --database-url or --data-dir, as the other nodes have it")
    if problems:
        raise ConfigurationError(*problems)


async def _adopt(settings: Settings, directory: Path, logs: list[Path], clock: Clock) -> int:
    # Seals and acks are written even if this node's budget would be smaller than what lies there.
    size = sum(path.stat().st_size for log in logs for path in log.rglob("*") if path.is_file())
    settings = replace(settings, log_bytes_max=max(settings.log_bytes_max, 2 * size))
    sum_ = _Sum()
    with ExitStack() as claims:
        for each in (directory, directory.parent, directory.parent.parent):
            if (each / "lock").exists() and (each / "log").is_dir():
                claims.enter_context(claim_idle_directory(each))
                await _check_is_lost(settings, each)
        async with _basis(settings, clock) as basis:
            into = inserter(basis)
            with _signals() as stop:
                for log in logs:
                    if not stop.is_set():
                        await _adopt_one(basis, into, log, sum_, stop)
    return _report(directory, sum_)


async def _check_is_lost(settings: Settings, data_dir: Path) -> None:
    """Raise if the node of `data_dir` runs on another machine, which no lock here tells."""
    if (data_dir / "place").exists() and await is_present(settings.database_url, place_of(data_dir)):
        raise _Refused(f"{data_dir} is of a node that runs: it sends what its log holds by itself; stop it first")


@asynccontextmanager
async def _basis(settings: Settings, clock: Clock) -> AsyncIterator[Basis]:
    """Give what a process stands on; what happened is in the operations log at the end, if it can be."""
    basis = await opened(settings, WorkerIdentity(clickhouse_url=clickhouse_address(settings)), clock)
    fresh = asyncio.create_task(basis.catalog.run())
    try:
        yield basis
        await OpsLogWriter(basis.ops, basis.catalog, basis.tables, clock).drain(_OPS_SECONDS)
    finally:
        fresh.cancel()
        await basis.catalog.aclose()
        await basis.client.aclose()
        await basis.store.aclose()


@contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """Give what is set by the first SIGINT or SIGTERM. A second one kills, which does no harm."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def stopped() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _adopt_one(basis: Basis, into: Inserter, log: Path, sum_: _Sum, stop: asyncio.Event) -> None:
    try:
        lane = open_lane(basis, into, log)
    except _UNREADABLE as error:
        is_torn = isinstance(error, UnknownLayout)
        sum_.problems.append(
            f"{log}: {f'layouts/{error} is missing, without which rows mean nothing' if is_torn else error}"
        )
        return
    try:
        await _check_ours(basis, lane)
        await _check_layout(basis, lane)
        rows = lane.buffer.recovered_rows
        if lane.buffer.damaged_frames:
            places = f"{lane.buffer.damaged_frames} places could not be read"
            sum_.problems.append(f"{log}: {places}; copies of them are kept in {log / 'damaged'}")
        say(f"{log}: {rows} rows to land\n")
        await _empty(basis, lane, rows, stop)
        left = sum(lane.buffer.pending_rows.values())
        sum_.rows += rows - left
        sum_.left += left
        if lane.buffer.is_empty:
            sum_.logs += 1
            await lane.dissolve(keep_damaged=True)
        else:
            reasons = {f"{label(basis.catalog, which)}: {why}" for which, why in lane.flusher.failing.items()}
            sum_.problems += [f"{log}: {left} rows are left", *sorted(reasons)]
    finally:
        await lane.buffer.aclose()


async def _check_ours(basis: Basis, lane: Lane) -> None:
    """Raise if rows of the log belong to data sources of another installation: none of them is known here."""
    owed = set(lane.buffer.pending_rows)
    known = basis.catalog.snapshot.datasources.keys()
    if not owed or owed & known:
        return
    if not any([await basis.store.was_dropped(each) for each in owed]):
        raise _Refused(
            f"{lane.directory} is of another installation: the metadata database knows none of its data sources "
            f"({', '.join(sorted(owed)[:3])}). Say --database-url as the lost node had it"
        )


async def _check_layout(basis: Basis, lane: Lane) -> None:
    """Raise unless the tables are as we were told: a batch in doubt would find another shard."""
    if not lane.buffer.pending_rows:
        return
    try:
        await check_made(basis.client, [each.database for each in basis.catalog.snapshot.workspaces.values()])
    except ServerError as error:
        raise _Refused(f"ClickHouse does not say how its tables lie: {error}") from error
    except MadeOtherwise as error:
        raise _Refused(str(error)) from error


async def _empty(basis: Basis, lane: Lane, rows: int, stop: asyncio.Event) -> None:
    """Return when the log is empty, nothing has landed for long, or it is time to stop."""
    buffer, clock = lane.buffer, basis.clock
    running = asyncio.create_task(lane.run())
    buffer.drain()
    shown = left = rows
    shown_at = moved_at = clock.monotonic()
    while not (buffer.is_empty or stop.is_set() or running.done()):
        await clock.sleep(_LOOK_SECONDS)
        now, before = clock.monotonic(), left
        left = sum(buffer.pending_rows.values())
        if left != before:
            moved_at = now
        if left != shown and now - shown_at >= _SHOW_SECONDS:
            shown, shown_at = left, now
            say(f"{lane.directory}: {rows - left} of {rows} rows landed\n")
        if now - moved_at >= _STALLED_SECONDS:
            break
    buffer.stop()
    with suppress(asyncio.CancelledError):
        if not buffer.is_empty:
            running.cancel()
        await running


def _report(directory: Path, sum_: _Sum) -> int:
    for problem in sum_.problems:
        complain(problem)
    say(f"{directory}: {sum_.rows} rows landed, each once; logs emptied and removed: {sum_.logs}\n")
    if sum_.left:
        say(f"{sum_.left} rows are left: mend what is said above, and run this again\n")
    return EXIT_FAILED if sum_.problems else 0
