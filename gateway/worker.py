"""Worker: the life of one process that does jobs. `server` is the life of one that answers HTTP.

    start   catalog; the jobs that a process of this name left are given back; then jobs are taken
    stop    no more are taken; those under way go on to their next checkpoint and are given back

A second signal stops at once: a job goes on from its last checkpoint, whatever happened.
"""

import asyncio
from typing import Final

import uvloop

from gateway.bootstrap.jobs import JobWorker, build_jobs
from gateway.catalog.presence import NotAlone, check_secret
from gateway.config import Settings, WorkerIdentity, uploads_directory
from gateway.core.clock import Clock, SystemClock
from gateway.core.parent import say_ready
from gateway.core.process import EXIT_CONFIGURATION, Stopping
from gateway.telemetry import metrics
from gateway.telemetry.logs import get_logger
from gateway.telemetry.usage import Usage
from gateway.web.upload import sweep
from gateway.web.watched import answer_watchers

_logger = get_logger(__name__)

# Without a parent there may be no engine either, and whoever starts next goes on with the jobs.
_ORPHAN_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 3600.0
_GAUGES_SECONDS: Final = 1.0


def run_job_worker(settings: Settings, identity: WorkerIdentity) -> int:
    """Do jobs until a signal, or until whoever started us goes away; return the exit code."""
    try:
        return uvloop.run(_work(settings, identity, SystemClock()))
    except NotAlone as error:
        _logger.error("node.refused", reason=str(error))  # noqa: TRY400  it says all there is
        return EXIT_CONFIGURATION


async def _work(settings: Settings, identity: WorkerIdentity, clock: Clock) -> int:
    if identity.role == "standalone":
        await check_secret(settings.database_url, settings.secret)
    watched = None
    if settings.worker_port and identity.role == "standalone":
        try:
            watched = await answer_watchers(settings.host, settings.worker_port)
        except OSError as error:
            _logger.error(  # noqa: TRY400  the sentence is enough
                "jobs.port_taken", port=settings.worker_port, reason=str(error), advice="choose another worker_port"
            )
            return 1
    worker = await build_jobs(settings, identity, clock)
    try:
        await _run(worker, settings, identity, clock)
    finally:
        if watched is not None:
            watched.close()
        await worker.catalog.aclose()
        await worker.client.aclose()
        await worker.copies.reader.aclose()
        await worker.store.aclose()
    _logger.info("jobs.stopped")
    return 0


async def _run(worker: JobWorker, settings: Settings, identity: WorkerIdentity, clock: Clock) -> None:
    stopping = Stopping(has_parent=identity.exit_when_stdin_closes)
    async with asyncio.TaskGroup() as group:
        fresh = group.create_task(worker.catalog.run())
        logging = group.create_task(worker.oplog.run())
        running = group.create_task(worker.runner.run())
        usage = _usage(worker, Usage(identity.name), clock)
        sweepers = (_sweep(settings, clock), worker.databases.run(), worker.views.run(), usage)
        sweeping = [group.create_task(each) for each in sweepers]
        scheduling = group.create_task(worker.copies.scheduler.run())
        if identity.exit_when_stdin_closes:
            say_ready(0)
        _logger.info("jobs.ready", concurrency=settings.worker_concurrency)
        await stopping.wait()
        scheduling.cancel()
        worker.runner.stop(_ORPHAN_SECONDS if stopping.is_orphan else settings.drain_seconds_max)
        await running
        await worker.oplog.drain(_ORPHAN_SECONDS)
        for task in (logging, fresh, *sweeping):
            task.cancel()


async def _usage(worker: JobWorker, usage: Usage, clock: Clock) -> None:
    """Say every moment what this process takes."""
    while True:
        usage.measure()
        metrics.catalog_age_seconds.labels().set(worker.catalog.age_seconds())
        await clock.sleep(_GAUGES_SECONDS)


async def _sweep(settings: Settings, clock: Clock) -> None:
    """Remove, now and then, uploaded files whose request failed after they were received."""
    while True:
        try:
            removed = await asyncio.to_thread(sweep, uploads_directory(settings.data_dir), clock.now())
        except OSError as error:
            _logger.warning("uploads.sweep_failed", error=str(error))
        else:
            if removed:
                _logger.info("uploads.swept", files=removed)
        await clock.sleep(_SWEEP_SECONDS)
