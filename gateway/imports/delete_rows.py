"""Delete rows: the rows of a data source that meet a condition, as a job.

ClickHouse does it as a mutation of the table, which goes on by itself once it is recorded there. The mutation carries
the job's id in its condition, so a job that is taken up again finds the one it began, and waits for it: rows that came
after it are not deleted, however often the job is begun.

How many rows it concerns is counted just before, which also has the condition tried on every row: what fails on one of
them fails before anything is deleted.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import Topology
from gateway.core.clock import Clock
from gateway.core.errors import Unavailable
from gateway.jobs import JobContext, JobFailed, JobLost
from gateway.schema.names import quote_string
from gateway.telemetry.oplog import Operation, OpsLog

KIND: Final = "delete_data"

_POLL_SECONDS_FIRST: Final = 0.02
_POLL_SECONDS_MAX: Final = 1.0

# What the server is short of, or busy with: it may pass, and the mutation tries again by itself.
_PASSING: Final = frozenset({202, 209, 210, 236, 241, 243, 252, 473, 745})
_CODE: Final = re.compile(r"Code:\s*(\d+)")
_VERSION: Final = re.compile(r"\s*\(version [^)]*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """Which rows of which table are to go.

    Attributes:
        database: of the table.
        table: the table.
        name: of the data source, for sentences.
        condition: it has passed the fence.
        partition_id: only there; "" for everywhere.
        is_lightweight: mark them as deleted, rather than write their parts anew.
    """

    database: str
    table: str
    name: str
    condition: str
    partition_id: str = ""
    is_lightweight: bool = False

    def spec(self) -> dict[str, Any]:
        """Return it as the job keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Self:
        """Return what `spec` gave."""
        return cls(**spec)


class RowDeleter:
    """The handler of the jobs that delete rows. One per process."""

    def __init__(self, client: Client, clock: Clock, ops: OpsLog) -> None:
        """Delete through `client`; what was done is said to `ops`."""
        self._client = client
        self._at = client.topology
        self._clock = clock
        self._ops = ops

    async def count(self, deletion: Deletion) -> int:
        """Return how many rows would go.

        Raises:
            JobFailed: ClickHouse cannot apply the condition; the sentence says why.
            Unavailable: it does not answer.
        """
        condition = deletion.condition
        if deletion.partition_id:
            condition = f"_partition_id = {quote_string(deletion.partition_id)} AND {condition}"
        rows = await self._ask(deletion, ddl.count_rows(deletion.database, deletion.table, condition), {})
        return int(rows[0][0])

    async def partition_id(self, deletion: Deletion, partition: str) -> str:
        """Return the id of a partition that is given by its id or its value; "" if no row is in such a one."""
        rows = await self._ask(deletion, partition_query(self._at), {**self._where(deletion), "partition": partition})
        return str(rows[0][0]) if rows else ""

    async def run(self, context: JobContext) -> None:
        """See `JobHandler.run`."""
        job = context.job
        operation = Operation(
            event_type="delete",
            workspace_id=job.workspace_id,
            datasource_id=job.datasource_id,
            datasource_name=job.datasource_name,
            options={"delete_condition": str(job.shown.get("delete_condition", ""))},
            request_id=job.request_id,
            job_id=job.id,
        )
        with self._ops.watch(operation, unless=(Unavailable, JobLost)) as outcome:
            await self._delete(context, Deletion.of(job.spec))
            outcome.rows = int(context.job.state["rows_affected"])

    async def _delete(self, context: JobContext, deletion: Deletion) -> None:
        job = context.job
        if "rows_affected" not in job.state:
            affected = await self.count(deletion)
            parts, partitions = await self._parts(deletion)
            state = {"rows_affected": affected, "parts": parts}
            await context.save(state, shown={"rows_affected": affected, "mutation": _shown(partitions, is_done=False)})
        mutation = await self._mutation(deletion, job.id)
        if mutation is None and context.job.state["rows_affected"]:
            await self._begin(deletion, job.id)
            mutation = await self._mutation(deletion, job.id)
        await self._follow(context, deletion, mutation)
        _, partitions = await self._parts(deletion)
        await context.save(context.job.state, shown={"mutation": _shown(partitions, is_done=True)}, progress=100)

    async def discard(self, context: JobContext) -> None:
        """See `JobHandler.discard`: there is nothing beside the table."""

    async def _begin(self, deletion: Deletion, job_id: str) -> None:
        statement = ddl.delete_rows(
            self._at,
            deletion.database,
            deletion.table,
            f"{deletion.condition} AND {quote_string(job_id)} != ''",
            partition_id=deletion.partition_id,
            is_lightweight=deletion.is_lightweight,
        )
        try:
            await self._client.command(statement, {"mutations_sync": 0, "lightweight_deletes_sync": 0})
        except ServerError as error:
            raise _failed(error, deletion) from error

    async def _follow(self, context: JobContext, deletion: Deletion, mutation: tuple[Any, ...] | None) -> None:
        """Return when the mutation is done; one that is not listed any more was done long ago."""
        parts = max(1, int(context.job.state["parts"]))
        wait = _POLL_SECONDS_FIRST
        shown = 0.0
        while mutation is not None and not mutation[0]:
            await self._check(deletion, context.job.id, str(mutation[2]))
            progress = max(0.0, 100.0 * (1 - min(int(mutation[1]), parts) / parts))
            if progress > shown:
                await context.save(context.job.state, progress=progress)
                shown = progress
            await self._clock.sleep(wait)
            wait = min(wait * 1.5, _POLL_SECONDS_MAX)
            mutation = await self._mutation(deletion, context.job.id)

    async def _check(self, deletion: Deletion, job_id: str, reason: str) -> None:
        """End a mutation that cannot get further: it would block every later one."""
        code = _CODE.search(reason)
        if not reason or (code and int(code[1]) in _PASSING):
            return
        await self._client.command(ddl.kill_mutation(self._at, deletion.database, deletion.table, job_id))
        raise JobFailed(f"Rows could not be deleted, some may have been: {_clean(reason, deletion)}")

    async def _mutation(self, deletion: Deletion, job_id: str) -> tuple[Any, ...] | None:
        """Return whether it is done, parts to do, and why it fails; None if none was begun."""
        rows = await self._ask(deletion, mutation_query(self._at), {**self._where(deletion), "mark": job_id})
        return rows[0] if rows else None

    async def _parts(self, deletion: Deletion) -> tuple[int, int]:
        """Return how many parts there are, in how many partitions."""
        parameters = {**self._where(deletion), "partition": deletion.partition_id}
        rows = await self._ask(deletion, parts_query(self._at), parameters)
        return int(rows[0][0]), int(rows[0][1])

    def _where(self, deletion: Deletion) -> dict[str, str]:
        return {"database": deletion.database, "table": self._at.local(deletion.table)}

    async def _ask(self, deletion: Deletion, query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        try:
            return await self._client.rows(query, parameters)
        except ServerError as error:
            raise _failed(error, deletion) from error


_STORED: Final = "active AND database = {database:String} AND table = {table:String}"


def mutation_query(at: Topology) -> str:
    """Return the query for the mutation with a mark in it: of a cluster, for those of all its servers together."""
    return (
        "SELECT min(is_done), max(parts_to_do), max(latest_fail_reason) "  # noqa: S608  ours
        f"FROM {at.everywhere('mutations')} WHERE database = {{database:String}} AND table = {{table:String}} "
        "AND position(command, {mark:String}) > 0 HAVING count() > 0"
    )


def parts_query(at: Topology) -> str:
    """Return the query for how many parts there are, in how many partitions."""
    partition = "({partition:String} = '' OR partition_id = {partition:String})"
    return f"SELECT count(), uniqExact(partition_id) FROM {at.system('parts')} WHERE {_STORED} AND {partition}"  # noqa: S608


def partition_query(at: Topology) -> str:
    """Return the query for the id of a partition that is given by its id or its value."""
    partition = "(partition_id = {partition:String} OR partition = {partition:String})"
    return f"SELECT partition_id FROM {at.system('parts')} WHERE {_STORED} AND {partition} LIMIT 1"  # noqa: S608


def _shown(partitions: int, *, is_done: bool) -> dict[str, int]:
    """Return the progress by partitions, as the wire has it."""
    return {
        "partitions_scanned": partitions,
        "partitions_done": partitions if is_done else 0,
        "partitions_in_progress": 0 if is_done else partitions,
    }


def _failed(error: ServerError, deletion: Deletion) -> JobFailed | Unavailable:
    if error.code is None or error.code in _PASSING:
        return Unavailable("ClickHouse does not answer, try again shortly", 1)
    return JobFailed(f"ClickHouse cannot delete these rows: {_clean(str(error), deletion)}")


def _clean(text: str, deletion: Deletion) -> str:
    """Return a sentence of the server without what only we know."""
    for ours, theirs in ((f"{deletion.database}.", ""), (deletion.table, deletion.name)):
        text = text.replace(ours, theirs)
    return _VERSION.sub("", text).strip()
