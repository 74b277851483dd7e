"""Audit jobs: what the operator did on the command line, on its way to `tinybird.audit_log`.

A command knows the metadata database and not ClickHouse, and the gateway may not even run. So it leaves a job, which a
gateway does when there is one: it says what was done to its operations log. No API shows these jobs.
"""

from collections.abc import Collection
from typing import Final

from gateway.catalog import Catalog
from gateway.jobs import JobContext, NewJob
from gateway.jobs.models import UNSEEN
from gateway.telemetry.oplog import AuditEntry, OpsLog

WHO: Final = "command line"
"""What the log has for the name of a token."""


def audit_job(
    operation: str, resource_id: str, resource_name: str, at: float, home: str, workspaces: Collection[str]
) -> NewJob:
    """Return the job that writes down what was done to a workspace.

    Args:
        operation: "sluice workspace drop".
        resource_id: of the workspace.
        resource_name: its name, as it was then.
        at: Unix time.
        home: id of the first workspace, whose the job is: that one stays.
        workspaces: ids of those in whose logs it is written.
    """
    spec = {"operation": operation, "id": resource_id, "name": resource_name, "at": at, "workspaces": [*workspaces]}
    return NewJob(workspace_id=home, kind=UNSEEN, spec=spec)


class AuditHandler:
    """The handler of these jobs. One per process."""

    def __init__(self, catalog: Catalog, ops: OpsLog) -> None:
        """Say it to `ops`; `catalog` has to know the workspaces when that is written."""
        self._catalog = catalog
        self._ops = ops

    async def run(self, context: JobContext) -> None:
        """See `JobHandler.run`."""
        await self._catalog.refresh()
        spec = context.job.spec
        for workspace_id in spec["workspaces"]:
            self._ops.record(
                AuditEntry(
                    workspace_id=workspace_id,
                    operation=spec["operation"],
                    status=200,
                    token_id="",
                    token_name=WHO,
                    request_id=context.job.id,
                    resource_type="workspace",
                    resource_id=spec["id"],
                    resource_name=spec["name"],
                    at=spec["at"],
                )
            )

    async def discard(self, context: JobContext) -> None:
        """See `JobHandler.discard`: there is nothing."""
