"""Server: the life of one worker process.

    start   catalog, log (what it owes is taken up), flush, HTTP
    stop    /ready says no for a while, so that balancers look elsewhere; HTTP stops listening, requests in flight end,
            batches go out until the deadline, the log closes

What is still in the log when it closes is sent by the next start. A second signal stops at once, for the same reason.
"""

import asyncio
import gc
import shutil
from collections import Counter
from contextlib import suppress
from typing import Final

import pyarrow as pa
import uvloop

from gateway.bootstrap.lane import Lane, label
from gateway.bootstrap.worker import Worker, build
from gateway.catalog.backups import show_backups
from gateway.catalog.presence import NotAlone, Presence
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.config import Settings, WorkerIdentity, certificate_of, place_of
from gateway.core.clock import Clock, SystemClock
from gateway.core.memory import keep_freed
from gateway.core.parent import say_ready
from gateway.core.process import EXIT_CONFIGURATION, Stopping, keep_to_one_cpu
from gateway.telemetry import metrics
from gateway.telemetry.logs import get_logger
from gateway.telemetry.usage import Usage
from gateway.web.listen import bind, http_server
from gateway.web.tls import Certificate

_logger = get_logger(__name__)

_GAUGES_SECONDS: Final = 0.5
_ORPHAN_SECONDS: Final = 1.0
# For the first request of a connection that was made in the moment we stopped listening.
_FIRST_REQUEST_SECONDS: Final = 0.5
_CERTIFICATE_SECONDS: Final = 5.0
_TRACES_SECONDS: Final = 2.0  # of a stop, at most


def run_worker(settings: Settings, identity: WorkerIdentity) -> int:
    """Serve until a signal, or until whoever started us goes away; return the exit code."""
    keep_freed()
    if settings.pin_workers:
        keep_to_one_cpu(identity.index)
    pa.set_memory_pool(pa.system_memory_pool())  # see `keep_freed`
    pa.array([1])
    try:
        return uvloop.run(_serve(settings, identity, SystemClock()))
    except NotAlone as error:
        _logger.error("node.refused", reason=str(error))  # noqa: TRY400  it says all there is
        return EXIT_CONFIGURATION


async def _serve(settings: Settings, identity: WorkerIdentity, clock: Clock) -> int:
    presence = None
    if not identity.exit_when_stdin_closes:  # else the supervisor has said it
        place = place_of(settings.data_dir)
        presence = await Presence.enter(settings.database_url, place, settings.secret, clock)
    worker = await build(settings, identity, clock)
    _report_recovery(worker, identity)
    metrics.log_limit_bytes.labels().set(settings.log_bytes_max)
    stopping = Stopping(has_parent=identity.exit_when_stdin_closes)
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(worker.catalog.run()), group.create_task(worker.doubts.run())]
        background.append(group.create_task(_gauges(worker, Usage(identity.name), clock)))
        background.append(group.create_task(worker.oplog.run()))
        if identity.index == 0:
            background.append(group.create_task(show_backups(worker.store.database, clock)))
        if presence is not None:
            background.append(group.create_task(presence.run()))
        if worker.tracer is not None:
            background.append(group.create_task(worker.tracer.run()))
        flushing = [group.create_task(lane.run()) for lane in (worker.lane, *worker.adopted)]
        adopting = [group.create_task(_dissolve(lane, clock)) for lane in worker.adopted]
        server = http_server(worker.front, worker.front.express)
        certificate = certificate_of(settings)
        if certificate is not None:
            metrics.tls_expiry_seconds.labels().set(certificate.expires_at())
            background.append(group.create_task(_renew(certificate, clock)))
        listening = await asyncio.get_running_loop().create_server(
            server, sock=bind(settings.host, settings.port), ssl=None if certificate is None else certificate.context
        )
        port = listening.sockets[0].getsockname()[1]
        # What the start made stays; looking through it again and again took an eighth of the CPU of one-row requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        say_ready(port)
        _logger.info("worker.ready", host=settings.host, port=port)
        background.append(group.create_task(_complete(worker)))
        if settings.clickhouse_url and identity.index == 0:
            background.append(group.create_task(_try_clickhouse(worker.client)))
        await stopping.wait()
        worker.front.leave()
        if not stopping.is_orphan and settings.shutdown_delay_seconds:
            _logger.info("worker.leaving", seconds=settings.shutdown_delay_seconds)
            await clock.sleep(settings.shutdown_delay_seconds)
        await clock.sleep(0)  # who came meanwhile is let in
        listening.close()
        # Without a parent there may be no engine either, and whoever starts next waits for our log: it holds.
        seconds = _ORPHAN_SECONDS if stopping.is_orphan else settings.drain_seconds_max
        _logger.info("worker.draining", pending_rows=sum(worker.lane.buffer.pending_rows.values()), seconds=seconds)
        deadline = clock.monotonic() + seconds
        await server.first_requests(clock, min(_FIRST_REQUEST_SECONDS, seconds / 2))
        server.pre_shutdown()
        await server.shutdown(timeout=seconds / 2)
        await _drain(worker, clock, deadline)
        await worker.oplog.drain(deadline - clock.monotonic())
        if worker.tracer is not None:
            await worker.tracer.drain(min(deadline - clock.monotonic(), _TRACES_SECONDS))
        for task in (*background, *flushing, *adopting):
            task.cancel()
    for lane in (worker.lane, *worker.adopted):
        await lane.buffer.aclose()
    await worker.catalog.aclose()
    await worker.client.aclose()
    await worker.reader.aclose()
    await worker.store.aclose()
    if presence is not None:
        await presence.aclose()
    left = sum(worker.lane.buffer.pending_rows.values())
    _logger.info("worker.stopped", pending_rows=left)
    return 0


async def _complete(worker: Worker) -> None:
    """Load what was left out of the start; what fails now is tried again by the request that needs it."""
    try:
        await worker.routes.complete()
    except Exception as error:  # noqa: BLE001  whatever it is, events are taken without it
        _logger.warning("worker.incomplete", reason=str(error))
    gc.freeze()


async def _try_clickhouse(client: Client) -> None:
    """Say it if the server that somebody named is of no use: until the first event nothing else would."""
    try:
        await client.rows("SELECT 1")
    except ServerError as error:
        _logger.warning(
            "clickhouse.unusable",
            reason=str(error),
            advice="events are taken and wait for it; is clickhouse_url right, with its user and password?",
        )


async def _renew(certificate: Certificate, clock: Clock) -> None:
    def warn(error: Exception) -> None:
        _logger.error("certificate.unusable", reason=str(error), advice="the old one stays in use; mend the files")

    while True:
        await clock.sleep(_CERTIFICATE_SECONDS)
        if await asyncio.to_thread(certificate.renew, warn):
            metrics.tls_expiry_seconds.labels().set(certificate.expires_at())
            _logger.info("certificate.renewed")


async def _dissolve(lane: Lane, clock: Clock) -> None:
    """Empty the log of a worker that is no more, and remove it."""
    _logger.info("log.adopted", directory=lane.directory.name, rows=sum(lane.buffer.pending_rows.values()))
    lane.buffer.drain()
    while not lane.buffer.is_empty:
        await clock.sleep(0.1)
    try:
        await lane.dissolve()
    except OSError as error:  # the next start tries again
        _logger.warning("log.not_removed", directory=lane.directory.name, reason=str(error))
    else:
        _logger.info("log.dissolved", directory=lane.directory.name)


async def _drain(worker: Worker, clock: Clock, deadline: float) -> None:
    lanes = [worker.lane, *worker.adopted]
    for lane in lanes:
        lane.buffer.drain()
    while not all(lane.buffer.is_empty for lane in lanes) and clock.monotonic() < deadline:
        await clock.sleep(0.02)
    for lane in lanes:
        lane.buffer.stop()


async def _gauges(worker: Worker, usage: Usage, clock: Clock) -> None:
    """Say every moment what is pending; the counters beside it count by themselves."""
    shown: set[str] = set()
    syncs, sync_seconds = 0, 0.0
    while True:
        rows: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for lane in (worker.lane, *worker.adopted):
            for datasource, count in lane.buffer.pending_rows.items():
                rows[label(worker.catalog, datasource)] += count
            for datasource, size in lane.buffer.pending_bytes().items():
                sizes[label(worker.catalog, datasource)] += size
        for name in shown | rows.keys():
            metrics.pending_rows.labels(name).set(rows[name])
            metrics.pending_bytes.labels(name).set(sizes[name])
        shown |= rows.keys()
        metrics.oldest_pending_row_seconds.labels().set(worker.lane.buffer.oldest_age_seconds())
        metrics.catalog_age_seconds.labels().set(worker.catalog.age_seconds())
        metrics.log_bytes.labels().set(worker.lane.buffer.disk_bytes)
        with suppress(OSError):
            metrics.log_free_bytes.labels().set(shutil.disk_usage(worker.lane.directory).free)
        metrics.unready_workers.labels().set(worker.front.is_leaving or not worker.lane.buffer.has_room)
        usage.measure()
        stats = worker.lane.buffer.log_stats
        metrics.log_syncs.labels().inc(stats.syncs - syncs)
        metrics.log_sync_seconds.labels().inc(stats.sync_seconds - sync_seconds)
        syncs, sync_seconds = stats.syncs, stats.sync_seconds
        await clock.sleep(_GAUGES_SECONDS)


def _report_recovery(worker: Worker, identity: WorkerIdentity) -> None:
    for lane in (worker.lane, *worker.adopted):
        buffer = lane.buffer
        if buffer.recovered_rows:
            _logger.info("log.recovered", directory=lane.directory.name, rows=buffer.recovered_rows)
            metrics.recovered_rows.labels().inc(buffer.recovered_rows)
        if buffer.damaged_frames:
            metrics.log_damaged_frames.labels().inc(buffer.damaged_frames)
        if identity.generation == 0:
            # The counters of the run begin with what the run before left, so that nothing is pending without having
            # been accepted.
            for datasource, rows in buffer.pending_rows.items():
                metrics.accepted_rows.labels(label(worker.catalog, datasource)).inc(rows)
