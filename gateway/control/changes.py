"""Changes: data sources altered, renamed, exchanged, emptied, dropped.

An alter changes the tables first and the record after them, so no row is ever fitted to a column that is not there. Who
alters first raises the recorded version; of two who do so at once, only the later one can record what it did, and the
other removes what it left. What a kill leaves in between, a column that nothing fills, the next alter removes.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, Scope, parse_scope
from gateway.catalog import Catalog, CatalogStore, Change, Datasource, Snapshot, Workspace
from gateway.control.copy_checks import check_copies
from gateway.control.datasources import DatasourceControl, check_makeable
from gateway.control.describe import described
from gateway.control.pipe_graph import all_dependents, dependents, fed
from gateway.control.view_guards import views_on
from gateway.control.view_objects import ViewObjects
from gateway.core.clock import Clock
from gateway.core.errors import Conflict, GatewayError, InvalidRequest
from gateway.schema.alter import Alteration, alter_operations, alteration
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile
from gateway.schema.engines import parse_engine
from gateway.schema.errors import SchemaError
from gateway.schema.indexes import parse_indexes
from gateway.schema.names import QUARANTINE_SUFFIX
from gateway.telemetry.oplog import Operation, OpsLog

_log = structlog.get_logger(__name__)

# Workers look for changes twice a second. One that does not get to it this long takes events as they were.
HEARD_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an alter asks for, as text; None keeps what is. An empty `ttl` or `indexes` removes them."""

    schema: str | None = None
    description: str | None = None
    ttl: str | None = None
    indexes: str | None = None
    engine: Mapping[str, str] = field(default_factory=dict)
    """Other options of the engine, which must be as they are."""


@dataclass(frozen=True, slots=True)
class Altered:
    """What an alter did, or would do."""

    datasource: Datasource
    operations: tuple[str, ...]
    dependents: tuple[str, ...]


class DatasourceChanges:
    """See the module. One per worker."""

    def __init__(
        self,
        control: DatasourceControl,
        catalog: Catalog,
        store: CatalogStore,
        views: ViewObjects,
        ops: OpsLog,
        clock: Clock,
    ) -> None:
        """Change through `store`; what was done is said to `ops`, with the id of the request."""
        self._views = views
        self._clock = clock
        self._control = control
        self._catalog = catalog
        self._store = store
        self._ops = ops

    async def update(
        self,
        principal: Principal,
        which: str,
        request_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Datasource:
        """Change what is said of a data source; None keeps what is.

        Raises:
            Forbidden, NotFound: see `DatasourceControl.find`.
            InvalidRequest: there is nothing to change, or the name is not one.
            Conflict: the name is taken, or pipes read the old one.
        """
        if name is None and description is None and tags is None:
            raise InvalidRequest("There is nothing to change: send 'name', 'description' or 'tags'")
        found = await self._changeable(principal, which, Action.DATASOURCE_ALTER)
        readers = self._dependents(found) if name not in (None, found.name) else ()
        if readers:
            raise Conflict(f'Data Source "{found.name}" is used by {", ".join(readers)}: change these first')
        operation = _operation("alter" if name is None else "rename", found, request_id, name=name or found.name)
        with self._ops.watch(operation):
            async with self._store.change() as change:
                made = await change.update_datasource(found.id, name=name, description=description, tags=tags)
        if made.name == found.name:
            await self._catalog.refresh()
        else:
            await self._let_all_hear()
        return made

    async def alter(
        self, principal: Principal, which: str, request_id: str, wanted: Wanted, *, is_dry: bool
    ) -> Altered:
        """Change what a data source is; with `is_dry` say only what would be done.

        Raises:
            Forbidden, NotFound: see `DatasourceControl.find`.
            InvalidRequest: there is nothing to do, or it cannot be done in place, or ClickHouse refuses it.
            Conflict: somebody else altered it at the same time; the caller may repeat it. Or a copy could not fill it
                any more, or a view could not go on; they are named.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        found = await self._changeable(principal, which, Action.DATASOURCE_ALTER)
        old = described(found)
        new = _asked(old, wanted)
        change = alteration(old, new)
        if not change.shown:
            raise InvalidRequest("There were no operations to perform")
        dependents = self._dependents(found)
        check_copies(self._catalog.snapshot, found, new.schema)
        await self._views.check_altered(found, new.schema)
        if is_dry:
            return Altered(found, change.shown, dependents)
        with self._ops.watch(_operation("alter", found, request_id, operations=", ".join(change.shown))):
            made = await self._carry_out(self._control.workspace(principal), found, new, change)
        await self._let_all_hear()
        return Altered(made, change.shown, dependents)

    async def exchange(
        self, principal: Principal, one: str, other: str, request_id: str
    ) -> tuple[Datasource, Datasource]:
        """Let two data sources change places, in one step: names, and the rights that tokens have through them.

        Rows, schema and id stay together; who reads or fills the name `one` reads and fills what was `other`.

        Raises:
            Forbidden, NotFound: see `DatasourceControl.find`.
            InvalidRequest: they are the same.
            Conflict: a view reads or fills one of them.
        """
        first = await self._changeable(principal, one, Action.DATASOURCE_ALTER)
        second = await self._changeable(principal, other, Action.DATASOURCE_ALTER)
        if first.id == second.id:
            raise InvalidRequest("'datasource_a' and 'datasource_b' are the same Data Source")
        for each in (first, second):
            if linked := views_on(self._catalog.snapshot, each):
                raise Conflict(f'Data Source "{each.name}" is used by the view of {linked[0][0].name}: unlink it first')
        with (
            self._ops.watch(_operation("rename", first, request_id, name=second.name)),
            self._ops.watch(_operation("rename", second, request_id, name=first.name)),
        ):
            async with self._store.change() as change:
                pair = await change.exchange_datasources(first.id, second.id)
                await _exchange_rights(change, first, second)
                await change.retarget_copies(first.workspace_id, {first.id: second.id, second.id: first.id})
        await self._let_all_hear()
        return pair

    async def truncate(self, principal: Principal, which: str, request_id: str) -> None:
        """Delete all rows of a data source, or those in quarantine if `which` is `<name>_quarantine`.

        Rows that were accepted and are not yet in ClickHouse are not touched: they land afterwards.

        Raises:
            Forbidden, NotFound: see `DatasourceControl.find`.
            Unavailable: ClickHouse does not answer.
        """
        is_quarantine = which.endswith(QUARANTINE_SUFFIX)
        name = which.removesuffix(QUARANTINE_SUFFIX)
        found = await self._control.find_fresh(principal, name, Action.DATASOURCE_TRUNCATE)
        if found.engine.name == "Null" and not is_quarantine:
            return  # it keeps no rows
        table = found.quarantine_table if is_quarantine else found.table
        with self._ops.watch(_operation("truncate", found, request_id, table=which)):
            await self._control.tables.truncate(self._control.workspace(principal), table, which)

    async def drop(self, principal: Principal, which: str, request_id: str, *, is_forced: bool) -> None:
        """Drop a data source, its rows, its quarantine, and the rows of it that are still on their way.

        Raises:
            Forbidden, NotFound: see `DatasourceControl.find`.
            Conflict: something reads it, and `is_forced` is not set.
        """
        found = await self._changeable(principal, which, Action.DATASOURCE_DROP)
        dependents = self._dependents(found)
        if dependents and not is_forced:
            raise Conflict(f'Data Source "{found.name}" is used by {", ".join(dependents)}: drop these first, or force')
        workspace = self._control.workspace(principal)
        for pipe, node in views_on(self._catalog.snapshot, found):
            await self._views.unlink(pipe.id, [node.id], principal.token_name)
        with self._ops.watch(_operation("drop", found, request_id)):
            async with self._store.change() as change:
                await change.drop_datasource(found.id)
        await self._let_all_hear()
        await self._control.tables.drop(workspace, found.id)

    async def dependents(self, principal: Principal, which: str, action: Action) -> tuple[str, ...]:
        """Return the names of the pipes that read a data source.

        Raises:
            Forbidden, NotFound: see `DatasourceControl.find`.
        """
        return self._dependents(await self._control.find_fresh(principal, which, action))

    async def fed(self, principal: Principal, which: str) -> dict[str, tuple[str, ...]]:
        """Return the data sources that rows of one reach through materialized views, and the pipes they take.

        Those that the principal may see.

        Raises:
            Forbidden, NotFound: see `DatasourceControl.find`.
        """
        found = await self._control.find_fresh(principal, which, Action.DATASOURCE_LIST)
        snapshot = self._catalog.snapshot
        visible = {each.name for each in await self._control.visible(principal)}
        return {
            name: _seen(principal, snapshot, pipes) for name, pipes in fed(snapshot, found).items() if name in visible
        }

    async def all_dependents(self, principal: Principal, *, is_recursive: bool = False) -> dict[str, tuple[str, ...]]:
        """Return, for every data source that the principal may see, by name, those pipes that it may see and read it.

        `is_recursive`: also the pipes that read those pipes, and so on.
        """
        visible = await self._control.visible(principal)
        snapshot = self._catalog.snapshot
        find = all_dependents if is_recursive else dependents
        # What hundreds of nodes read takes a while to find out; after the first time it is remembered.
        found = await asyncio.to_thread(lambda: {each.name: find(snapshot, each) for each in visible})
        return {name: _seen(principal, snapshot, pipes) for name, pipes in found.items()}

    def _dependents(self, datasource: Datasource) -> tuple[str, ...]:
        """Return the names of the pipes that read `datasource`, or write to it: the one place that says so."""
        return dependents(self._catalog.snapshot, datasource)

    async def _changeable(self, principal: Principal, which: str, action: Action) -> Datasource:
        found = await self._control.find_fresh(principal, which, action)
        self._control.check_may_change()
        return found

    async def _let_all_hear(self) -> None:
        """Return when every worker knows of the change: the next event, wherever it goes, is taken as it is now."""
        await self._catalog.refresh()
        await self._clock.sleep(HEARD_SECONDS)

    async def _carry_out(
        self, workspace: Workspace, datasource: Datasource, new: Datafile, change: Alteration
    ) -> Datasource:
        """Change the tables, then the record; or neither."""
        claimed = await self._claim(datasource)
        try:
            await self._control.tables.drop_strays(workspace, claimed)
            await self._control.tables.alter(workspace, claimed, change)
            async with self._store.change() as record:
                return await _record(record, claimed, new)
        except GatewayError:
            await self._undo(workspace, claimed.id, new)
            raise

    async def _claim(self, datasource: Datasource) -> Datasource:
        """Raise the recorded version, so that whoever began to alter before cannot record it any more."""
        async with self._store.change() as change:
            return await change.alter_datasource(datasource.id, from_version=datasource.version)

    async def _undo(self, workspace: Workspace, datasource_id: str, attempted: Datafile) -> None:
        """Bring the tables back to what is recorded now, as far as that goes; the next alter brings the rest."""
        with suppress(GatewayError):
            recorded = await self._store.get_datasource(datasource_id)
            if recorded is None:
                return
            await self._control.tables.drop_strays(workspace, recorded)
            back = _back(attempted, described(recorded))
            if back.table:
                await self._control.tables.alter(workspace, recorded, back)
            return
        _log.warning("datasource.alter_left", datasource=datasource_id)


def _seen(principal: Principal, snapshot: Snapshot, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of pipes that `principal` may see."""
    pipes = [pipe for name in names if (pipe := snapshot.pipe(principal.workspace_id, name))]
    return tuple(pipe.name for pipe in pipes if principal.allows(Action.PIPE_LIST, pipe.id, pipe.name))


def _operation(event_type: str, datasource: Datasource, request_id: str, **options: str) -> Operation:
    return Operation(
        event_type=event_type,
        workspace_id=datasource.workspace_id,
        datasource_id=datasource.id,
        datasource_name=datasource.name,
        options=options,
        request_id=request_id,
    )


def _asked(old: Datafile, wanted: Wanted) -> Datafile:
    """Return what the data source shall be.

    Raises:
        SchemaError: a part of it is not one.
    """
    schema = old.schema if wanted.schema is None else parse_schema(wanted.schema)
    alter_operations(old.schema, schema)  # a column that is gone is told as that, not as a key that misses it
    options = dict(old.engine.options())
    if wanted.ttl is not None:
        options["engine_ttl"] = wanted.ttl
    if wanted.engine and parse_engine({**options, **wanted.engine}, schema) != parse_engine(options, schema):
        raise InvalidRequest(
            "The engine of a Data Source cannot be altered, only its TTL: make another and exchange them"
        )
    lines = [index.datafile_line() for index in old.indexes] if wanted.indexes is None else [wanted.indexes]
    new = replace(
        old,
        schema=schema,
        engine=parse_engine(options, schema),
        indexes=parse_indexes("\n".join(lines), schema),
        description=old.description if wanted.description is None else wanted.description,
    )
    check_makeable(new)
    return new


async def _record(change: Change, datasource: Datasource, new: Datafile) -> Datasource:
    await change.alter_datasource(
        datasource.id,
        from_version=datasource.version,
        schema_text=new.schema.sql_schema(),
        engine_options=new.engine.options(),
        indexes=tuple(index.datafile_line() for index in new.indexes),
    )
    kind = "ndjson" if new.schema.has_jsonpaths else "csv"
    return await change.update_datasource(datasource.id, description=new.description, type=kind)


def _back(attempted: Datafile, recorded: Datafile) -> Alteration:
    """Return what leads back from `attempted`, but for its new columns, to `recorded`; nothing if it is too far."""
    columns = attempted.schema.columns[: len(recorded.schema.columns)]
    try:
        return alteration(replace(attempted, schema=replace(attempted.schema, columns=columns)), recorded)
    except SchemaError:
        return Alteration()


async def _exchange_rights(change: Change, one: Datasource, other: Datasource) -> None:
    """Let every scope that names one of the two name the other."""
    swapped = {one.id: other.id, other.id: one.id}
    for token in await change.tokens_of(one.workspace_id):
        scopes = tuple(_with_resource(text, swapped) for text in token.scopes)
        if scopes != token.scopes:
            await change.update_token(token.id, scopes=scopes)


def _with_resource(text: str, swapped: Mapping[str, str]) -> str:
    if not any(each in text for each in swapped):
        return text
    with suppress(InvalidRequest):  # of a later version; it grants nothing here
        scope = parse_scope(text)
        return str(Scope(scope.type, swapped.get(scope.resource, scope.resource), scope.filter))
    return text
