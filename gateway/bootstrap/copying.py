"""Copying: how copies are put together: checked in a worker that answers HTTP, run in one that does jobs."""

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from gateway.auth.seal import Seal
from gateway.bootstrap.basis import Basis
from gateway.clickhouse.reader import HttpReader
from gateway.config import Settings
from gateway.control.copies import KIND, CopyLimits
from gateway.control.copy_checks import CopyChecks
from gateway.control.copy_schedule import CopyScheduler
from gateway.control.copying import CopyHandler, Copying
from gateway.control.sources import SourceControl
from gateway.control.variables import value
from gateway.jobs import JobHandler
from gateway.jobs.schedules import ScheduleStore
from gateway.query.service import QueryLimits, QueryService

# After its time is up, a query says so; who waits longer waits for nothing.
_ANSWER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Copies:
    """What a job worker has for copies."""

    handlers: dict[str, JobHandler]
    scheduler: CopyScheduler
    reader: HttpReader


def copies(basis: Basis, sources: SourceControl, seal: Seal) -> Copies:
    """Return what runs copies, and has them run when they are due."""
    settings, catalog, client, clock = basis.settings, basis.catalog, basis.client, basis.clock
    limits = copy_limits(settings)
    reader = HttpReader(replace(client.options, answer_seconds_max=settings.copy_seconds_max + _ANSWER_SECONDS))
    checks = copy_checks(basis, sources, QueryService(reader), seal)
    random = Random()  # noqa: S311  spreads retries
    handler = CopyHandler(Copying(client, reader, catalog, checks, limits, basis.ops, clock, random))
    scheduler = CopyScheduler(ScheduleStore(basis.store.database, clock), catalog, limits, basis.ops, clock)
    return Copies({KIND: handler}, scheduler, reader)


def copy_checks(basis: Basis, sources: SourceControl, queries: QueryService, seal: Seal) -> CopyChecks:
    """Return what says whether a node may be a copy, and what it would run."""
    return CopyChecks(
        basis.catalog,
        sources,
        queries,
        QueryLimits(seconds_max=basis.settings.query_seconds_max),
        lambda snapshot, which, name: value(snapshot, seal, which, name),
    )


def copy_limits(settings: Settings) -> CopyLimits:
    """Return what one copy may take, and how many there may be."""
    return CopyLimits(settings.copy_seconds_max, settings.copy_memory_bytes_max, settings.copy_open_max)
