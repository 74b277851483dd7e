"""Copy schedule: the loop that makes a run of every copy that is due. In each job worker; see `jobs.schedules`.

A copy whose run before has not ended is left out this time, which is said in the operations log. Times that went by
while nobody looked are one run.
"""

from dataclasses import replace
from typing import Final

from gateway.catalog import Catalog
from gateway.control.copies import KIND, CopyLimits, new_run
from gateway.core.clock import Clock
from gateway.core.errors import Unavailable
from gateway.core.ids import new_uuid
from gateway.jobs import NewJob
from gateway.jobs.schedules import Due, ScheduleStore
from gateway.telemetry import metrics
from gateway.telemetry.logs import get_logger
from gateway.telemetry.oplog import Operation, OpsLog

_logger = get_logger(__name__)

_LOOK_SECONDS: Final = 1.0


class CopyScheduler:
    """See the module. One per process."""

    def __init__(
        self, schedules: ScheduleStore, catalog: Catalog, limits: CopyLimits, ops: OpsLog, clock: Clock
    ) -> None:
        self._schedules = schedules
        self._catalog = catalog
        self._limits = limits
        self._ops = ops
        self._clock = clock

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                _logger.warning("schedules.not_read", reason=str(error))
            await self._clock.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Make the runs that are due now.

        Raises:
            Unavailable: the metadata database does not answer.
        """
        found = await self._schedules.due()
        if found:
            await self._catalog.refresh()
        for due in found:
            job = self._job(due)
            was_mine, made = await self._schedules.begin(due, job)
            if was_mine and made is None:
                self._skipped(due, job)

    def _job(self, due: Due) -> NewJob | None:
        """Return the run; None if its pipe, or the data source that it fills, is gone."""
        snapshot = self._catalog.snapshot
        pipe = snapshot.pipes.get(due.pipe_id)
        copy = pipe.copy if pipe else None
        if pipe is None or copy is None:
            return None
        node, target = pipe.node(copy.node), snapshot.datasources.get(copy.target)
        if node is None or target is None:
            return None
        job = new_run(pipe, node, target, copy.mode, self._limits, new_uuid())
        return replace(job, spec={**job.spec, "now": due.at})

    def _skipped(self, due: Due, job: NewJob | None) -> None:
        _logger.warning("schedules.skipped", pipe=due.pipe_id)
        metrics.jobs_skipped.labels(KIND).inc()
        if job is None:
            return
        self._ops.record(
            Operation(
                event_type="copy",
                workspace_id=due.workspace_id,
                datasource_id=job.datasource_id,
                datasource_name=job.datasource_name,
                pipe_id=job.pipe_id,
                pipe_name=job.pipe_name,
                options={"mode": str(job.spec["mode"])},
                error="Skipped: the run before it has not ended",
            )
        )
