"""Imports: files that come with a request, or lie behind a URL, into data sources.

A file is always imported by a job. That of a small body is done here, while the client waits; all others by a worker. A
client that does not get its answer in time finds the job: what was received is on the disk, and is imported once.
"""

import asyncio
import io
import tempfile
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import Datasource
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.control.datasources import DatasourceControl
from gateway.core.clock import Clock
from gateway.core.errors import Conflict, InvalidRequest, NotFound, TooLarge, Unavailable
from gateway.core.ids import new_uuid
from gateway.imports.dialect import DialectOptions
from gateway.imports.file import SAMPLE_BYTES, ImportFile, remove
from gateway.imports.infer import infer_columns
from gateway.imports.replace import check_can_replace_rows
from gateway.imports.run import KIND
from gateway.imports.spec import ImportSpec
from gateway.imports.stream import Stream
from gateway.jobs import Job, JobRunner, JobStore, NewJob, Status
from gateway.outbound.fetch import Fetcher, FetchFailed
from gateway.query.condition import check_columns, row_condition
from gateway.schema.datafile import Datafile
from gateway.schema.infer import default_engine
from gateway.schema.names import check_resource_name, quote_identifier

_WHAT: Final = "The replace_condition"
# Small bodies imported at once by this process; each takes the memory of two blocks.
_AT_ONCE_MAX: Final = 4
_POLL_SECONDS: Final = 0.1
_SAMPLE_UNFOLDED_MAX: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLimits:
    """How large a file may be, and how long a client waits."""

    body_bytes_max: int
    parquet_body_bytes_max: int
    unfolded_bytes_max: int
    sync_bytes_max: int
    wait_seconds_max: float

    @property
    def received_bytes_max(self) -> int:
        """Of whatever format."""
        return max(self.body_bytes_max, self.parquet_body_bytes_max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a client asks for.

    Attributes:
        mode: "create", "append" or "replace".
        name: of the data source, or its id.
        format: "csv", "ndjson" or "parquet".
        path: of the file that came, in the directory of uploads; None if there is none.
        url: of the file, if none came.
        size: of the file that came.
        encoding: how it is said to be compressed.
        is_packed: it is compressed, said or not.
        dialect: see `DialectOptions`.
        wanted: what the data source shall be; None: what the file says.
        guessing: False makes every column of a CSV file String.
        condition: which rows to replace; "" for all.
        truncate_when_empty: an empty file replaces, too.
        request_id: of the request.
    """

    mode: str
    name: str
    format: str
    path: Path | None = None
    url: str = ""
    size: int = 0
    encoding: str = ""
    is_packed: bool = False
    dialect: Mapping[str, Any] = field(default_factory=dict)
    wanted: Datafile | None = None
    guessing: bool = True
    condition: str = ""
    truncate_when_empty: bool = False
    request_id: str = ""

    @property
    def text_bytes(self) -> int:
        """About how much text the file is: what is packed unfolds to some eight times its size."""
        return self.size * (8 if self.is_packed or self.format == "parquet" else 1)


class ImportControl:
    """See the module. One per worker."""

    def __init__(
        self,
        control: DatasourceControl,
        client: Client,
        jobs: JobStore,
        runner: JobRunner,
        fetcher: Fetcher,
        limits: ImportLimits,
        place: str,
        clock: Clock,
    ) -> None:
        """Give jobs to `jobs`, or to `runner` for those who wait; `place` names the data directory of uploads."""
        self.limits: Final = limits
        self._control = control
        self._client = client
        self._jobs = jobs
        self._runner = runner
        self._fetcher = fetcher
        self._place = place
        self._clock = clock
        self._slots = asyncio.Semaphore(_AT_ONCE_MAX)
        self._running: set[asyncio.Task[Job]] = set()

    def check_may_send(self, principal: Principal, mode: str, name: str) -> None:
        """Raise if it is clear before a file is received that it is not for this principal to send.

        Raises:
            Forbidden: so it is.
        """
        if mode == "append" and not principal.allows(Action.DATASOURCE_CREATE):
            known = self._control.known(principal, name, Action.DATASOURCE_APPEND)
            principal.require(Action.DATASOURCE_APPEND, *((known.id, known.name) if known else (name,)))
        elif mode != "append":
            principal.require(Action.DATASOURCE_REPLACE if mode == "replace" else Action.DATASOURCE_CREATE)

    async def start(self, principal: Principal, ask: Ask) -> Job:
        """Have a worker do it; return the job.

        Raises:
            Forbidden, NotFound, Conflict, InvalidRequest: it is not to be done; no job was made.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        new, _ = await self._new_job(principal, ask)
        return await self._jobs.create(new)

    async def do(self, principal: Principal, ask: Ask) -> Job:
        """Do it here and now; return the job, which has ended, or goes on if it takes too long.

        Raises:
            GatewayError: see `start`.
        """
        new, made = await self._new_job(principal, ask)
        task = asyncio.create_task(self._done(new))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.wait({task}, timeout=self.limits.wait_seconds_max)
        job = await task if task.done() else await self._jobs.get(new.workspace_id, new.id)
        if job is None:
            raise Unavailable("The import has not begun yet, try again shortly", 5)
        if made is not None and _has_nothing(job):
            await self._control.undo_create(principal, made)
        return job

    async def watch(self, job: Job) -> AsyncGenerator[Job, None]:
        """Yield the job whenever it got further, and last when it has ended."""
        shown = None
        while True:
            now = await self._jobs.get(job.workspace_id, job.id)
            if now is None:
                return
            if now.updated_at != shown:
                shown = now.updated_at
                yield now
            if now.status.is_end:
                return
            await self._clock.sleep(_POLL_SECONDS)

    async def _done(self, new: NewJob) -> Job:
        async with self._slots:
            return await self._runner.run_now(new)

    async def _new_job(self, principal: Principal, ask: Ask) -> tuple[NewJob, Datasource | None]:
        """Return the job for `ask`; and the data source, if it was made for it. The file is gone if there is no job."""
        try:
            return await self._prepared(principal, ask)
        except BaseException:
            if ask.path is not None:
                await asyncio.to_thread(remove, ask.path)
            raise

    async def _prepared(self, principal: Principal, ask: Ask) -> tuple[NewJob, Datasource | None]:
        self._check_size(ask)
        found, made = await self._target(principal, ask)
        condition = await self._condition(principal, ask, found) if ask.mode == "replace" and ask.condition else ""
        spec = ImportSpec(
            mode=ask.mode,
            format=ask.format,
            schema=found.schema_text,
            url=ask.url,
            file=ask.path.name if ask.path else "",
            encoding=ask.encoding,
            dialect=ask.dialect,
            condition=condition,
            truncate_when_empty=ask.truncate_when_empty,
        )
        shown: dict[str, Any] = {"mode": ask.mode, "blocks": [], "block_log": []}
        if ask.url:
            shown["url"] = ask.url
        if condition:
            shown["replace_condition"] = ask.condition
        new = NewJob(
            id=new_uuid(),
            workspace_id=found.workspace_id,
            kind=KIND,
            spec=spec.spec(),
            shown=shown,
            token_id=principal.token_id,
            request_id=ask.request_id,
            datasource_id=found.id,
            datasource_name=found.name,
            place=self._place if ask.path else "",
        )
        return new, made

    def _check_size(self, ask: Ask) -> None:
        limit = self.limits.parquet_body_bytes_max if ask.format == "parquet" else self.limits.body_bytes_max
        if ask.size > limit:
            raise TooLarge(f"A {ask.format} file may have {limit} bytes; send it in parts, or by 'url'")

    async def _target(self, principal: Principal, ask: Ask) -> tuple[Datasource, Datasource | None]:
        """Return the data source to import into; and again, if it was made for that."""
        if ask.mode == "replace":
            return await self._control.find_fresh(principal, ask.name, Action.DATASOURCE_REPLACE), None
        if ask.mode == "append":
            try:
                return await self._control.find_fresh(principal, ask.name, Action.DATASOURCE_APPEND), None
            except NotFound:
                self._control.check_may_change()
                if not principal.allows(Action.DATASOURCE_CREATE):
                    raise
        principal.require(Action.DATASOURCE_CREATE)
        self._control.check_may_change()
        check_resource_name(ask.name, "Data Source")
        if self._control.known(principal, ask.name, Action.DATASOURCE_CREATE) is not None:
            raise Conflict(f'Data Source "{ask.name}" already exists')
        made = await self._control.create(principal, ask.name, ask.wanted or await self._inferred(ask))
        return made, made

    async def _inferred(self, ask: Ask) -> Datafile:
        """Return what the data source for the file of `ask` shall be."""
        if ask.path is not None:
            return await asyncio.to_thread(_wanted, ask, ask.path, self.limits.unfolded_bytes_max)
        if ask.format == "parquet":
            raise InvalidRequest(
                "What a Parquet file behind a URL holds is known when all of it is here; say it with 'schema', "
                "or make the Data Source first"
            )
        try:
            sample = await self._fetcher.sample(ask.url, SAMPLE_BYTES)
        except FetchFailed as error:
            raise InvalidRequest(str(error)) from error
        return await asyncio.to_thread(_wanted_of_sample, ask, sample)

    async def _condition(self, principal: Principal, ask: Ask, found: Datasource) -> str:
        """Return the condition of a replace, fenced, and known to ClickHouse as one.

        Raises:
            InvalidRequest: it is not one.
            Unavailable: ClickHouse does not answer.
        """
        if self._client.topology.cluster:
            raise InvalidRequest(
                f"{_WHAT} is not supported on a ClickHouse cluster: delete the rows, then append the new ones; or "
                "replace all rows"
            )
        condition = row_condition(ask.condition, found.name, _WHAT)
        check_columns(ask.condition, found.name, found.schema.names, _WHAT)
        check_can_replace_rows(found.engine.name)
        database = self._control.workspace(principal).database
        place = f"{quote_identifier(database)}.{quote_identifier(found.table)}"
        try:
            await self._client.rows(f"SELECT 1 FROM {place} WHERE {condition} LIMIT 0")  # noqa: S608  fenced
        except ServerError as error:
            if error.code is None:
                raise Unavailable("ClickHouse does not answer, try again shortly", 1) from error
            reason = str(error).replace(f"{database}.", "").replace(found.table, found.name)
            raise InvalidRequest(f"{_WHAT} cannot be applied: {reason}") from error
        return condition


def _wanted(ask: Ask, path: Path, unfolded_bytes_max: int, *, wide: bool = False) -> Datafile:
    file = ImportFile(path, ask.format, ask.encoding, unfolded_bytes_max, DialectOptions(**ask.dialect))
    schema = infer_columns(file, guessing=ask.guessing, wide=wide).schema()
    return Datafile(schema, default_engine(schema))


def _wanted_of_sample(ask: Ask, sample: bytes) -> Datafile:
    """Return the same from the beginning of the file."""
    is_cut = len(sample) >= SAMPLE_BYTES
    with Stream(io.BytesIO(sample), unfolded_bytes_max=_SAMPLE_UNFOLDED_MAX, may_be_cut=True) as stream:
        text = stream.read(SAMPLE_BYTES)
    if is_cut:
        text = text[: text.rfind(b"\n") + 1] or text
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "sample"
        path.write_bytes(text)
        return _wanted(ask, path, _SAMPLE_UNFOLDED_MAX, wide=is_cut)


def _has_nothing(job: Job) -> bool:
    """Say whether an import ended without a row anywhere, because of what was sent."""
    return job.status is Status.ERROR and not job.shown.get("quarantine_rows") and not job.state.get("next")
