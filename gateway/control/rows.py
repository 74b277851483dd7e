"""Rows: some of a data source's rows counted and deleted, by a condition.

The condition is parsed by the fence and written anew. What ClickHouse cannot apply to the rows there are is told at
once, before there is a job.
"""

from typing import Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import Datasource
from gateway.control.datasources import DatasourceControl
from gateway.core.errors import InvalidRequest
from gateway.imports.delete_rows import KIND, Deletion, RowDeleter
from gateway.jobs import Job, JobFailed, JobRunner, JobStore, NewJob, Status
from gateway.query.condition import check_columns, row_condition

_WHAT: Final = "The delete condition"


class RowControl:
    """See the module. One per worker."""

    def __init__(self, control: DatasourceControl, deleter: RowDeleter, jobs: JobStore, runner: JobRunner) -> None:
        """Give jobs to `jobs`; who does not want to wait for a worker has `runner` do them here."""
        self._control = control
        self._deleter = deleter
        self._jobs = jobs
        self._runner = runner

    async def count(self, principal: Principal, which: str, condition: str) -> int:
        """Return how many rows a deletion would delete now.

        Raises:
            Forbidden, NotFound: see `DatasourceControl.find`.
            InvalidRequest: it is no condition over the columns, or its engine cannot delete rows.
            Unavailable: ClickHouse does not answer.
        """
        _, deletion = await self._deletion(principal, which, condition)
        return await self._count(deletion)

    async def start(self, principal: Principal, which: str, condition: str, request_id: str) -> Job:
        """Have the rows deleted by a worker: for good, the parts they are in are written anew.

        Raises:
            GatewayError: see `count`.
        """
        found, deletion = await self._deletion(principal, which, condition)
        await self._count(deletion)
        return await self._jobs.create(_job(principal, found, deletion, condition, request_id))

    async def mark(
        self, principal: Principal, which: str, condition: str, request_id: str, *, partition: str, wait: bool
    ) -> Job:
        """Have the rows marked as deleted, which is quick; they leave the disk when their parts are merged.

        Args:
            principal: who asks.
            which: the data source.
            condition: which rows.
            request_id: of the request.
            partition: only there: its id or its value; "" for everywhere.
            wait: return when it is done, or when it is clear that it takes its time.

        Raises:
            GatewayError: see `count`; InvalidRequest too if it was tried and failed.
        """
        found, deletion = await self._deletion(principal, which, condition, partition=partition, is_lightweight=True)
        await self._count(deletion)
        new = _job(principal, found, deletion, condition, request_id)
        if not wait:
            return await self._jobs.create(new)
        job = await self._runner.run_now(new)
        if job.status is Status.ERROR:
            raise InvalidRequest(job.error)
        return job

    async def _deletion(
        self, principal: Principal, which: str, text: str, *, partition: str = "", is_lightweight: bool = False
    ) -> tuple[Datasource, Deletion]:
        found = await self._control.find_fresh(principal, which, Action.DATASOURCE_TRUNCATE)
        condition = row_condition(text, found.name, _WHAT)
        check_columns(text, found.name, found.schema.names, _WHAT)
        if "MergeTree" not in found.engine.name:
            raise InvalidRequest(f'Rows of "{found.name}" cannot be deleted: the engine {found.engine.name} keeps none')
        workspace = self._control.workspace(principal)
        deletion = Deletion(database=workspace.database, table=found.table, name=found.name, condition=condition)
        if not (partition or is_lightweight):
            return found, deletion
        partition_id = await self._deleter.partition_id(deletion, partition) if partition else ""
        if partition and not partition_id:
            raise InvalidRequest(f'Data Source "{found.name}" has no rows in a partition "{partition[:64]}"')
        return found, Deletion(
            database=deletion.database,
            table=deletion.table,
            name=deletion.name,
            condition=condition,
            partition_id=partition_id,
            is_lightweight=is_lightweight,
        )

    async def _count(self, deletion: Deletion) -> int:
        try:
            return await self._deleter.count(deletion)
        except JobFailed as error:
            raise InvalidRequest(str(error)) from error


def _job(principal: Principal, found: Datasource, deletion: Deletion, condition: str, request_id: str) -> NewJob:
    return NewJob(
        workspace_id=found.workspace_id,
        kind=KIND,
        spec=deletion.spec(),
        shown={"delete_condition": condition},
        token_id=principal.token_id,
        request_id=request_id,
        datasource_id=found.id,
        datasource_name=found.name,
    )
