"""Quarantine: why rows of a data source did not fit, in one answer; and the replay of those that fit by now.

Ours; Tinybird has the table and leaves the rest to SQL. The grouping is done in ClickHouse, over the two narrow columns
of errors; the rows themselves are read for the few that are shown.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, forbidden
from gateway.catalog import Catalog, Datasource
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.reasons import normal_reason
from gateway.control.datasources import DatasourceControl
from gateway.core.errors import Conflict, Forbidden, GatewayError, InvalidRequest, Timeout, Unavailable
from gateway.imports.replay import KIND
from gateway.jobs.models import Filters, Job, NewJob
from gateway.jobs.store import JobStore
from gateway.schema.names import quote_identifier, quote_string
from gateway.schema.quarantine import AFTER, BEFORE, quarantine_columns

GROUPS: Final = 20
GROUPS_MAX: Final = 100
_SAMPLES: Final = 3
_VALUE_CHARS_MAX: Final = 1000
_FILTER_CHARS_MAX: Final = 8192

_SECONDS_MAX: Final = 20
_MEMORY_BYTES_MAX: Final = 2 * 1024**3
_TOO_LONG: Final = frozenset({159, 160})

# What nobody could read group by group is not grouped to the end: memory is bounded, the greatest groups are right.
_LIMITS: Final = (
    f"SETTINGS max_execution_time = {_SECONDS_MAX}, max_memory_usage = {_MEMORY_BYTES_MAX}, "
    "max_rows_to_group_by = 100000, group_by_overflow_mode = 'any'"
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a quarantine.

    Attributes:
        groups_max: how many groups of rows to tell of, the largest.
        since: unix time; earlier rows do not count. None: all rows.
    """

    groups_max: int = GROUPS
    since: float | None = None


class QuarantineControl:
    """See the module. One per worker."""

    def __init__(self, control: DatasourceControl, catalog: Catalog, client: Client, jobs: JobStore) -> None:
        self._control = control
        self._catalog = catalog
        self._client = client
        self._jobs = jobs

    async def explain(self, principal: Principal, name: str, question: Question) -> dict[str, Any]:
        """Return why rows of a data source are in quarantine, by column and reason, with some of them.

        A row with several errors counts in the group of each. Reasons that differ in the value alone are one group.

        Raises:
            Forbidden, NotFound: it is not there, or not for this principal.
            Timeout: there are too many rows; ask for those `since` a moment.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        datasource = await self._readable(principal, name)
        source = self._table(datasource)
        where = "1" if question.since is None else f"insertion_date >= toDateTime({int(question.since)}, 'UTC')"
        try:
            what = "count(), toUnixTimestamp(min(insertion_date)), toUnixTimestamp(max(insertion_date))"
            ((rows, first, last),) = await self._client.rows(_select(what, source, f"WHERE {where}"))
            groups = await self._client.rows(_groups(source, where, question.groups_max)) if rows else []
            samples = await self._samples(datasource, source, groups)
        except ServerError as error:
            raise _translated(error) from error
        return {
            "datasource": {"id": datasource.id, "name": datasource.name},
            "rows": rows,
            "first_seen": _moment(first) if rows else None,
            "last_seen": _moment(last) if rows else None,
            "groups_total": groups[0][5] if groups else 0,
            "groups": [_group(group, samples) for group in groups],
        }

    async def replay(
        self, principal: Principal, name: str, column: str | None, reason: str | None, request_id: str
    ) -> Job:
        """Begin to put the rows that fit by now from the quarantine into the data source; return the job.

        Args:
            principal: whoever asks; must be allowed to change the data source.
            name: of the data source, or its id.
            column: only rows with an error in this column; None: in any.
            reason: only rows with this reason, or one that differs from it in the value alone; None: any.
            request_id: of the request.

        Raises:
            Forbidden, NotFound: it is not there, or not for this principal.
            InvalidRequest: the filter cannot be one.
            Conflict: such a job is under way already.
            Unavailable: the metadata database does not answer.
        """
        datasource = await self._control.find_fresh(principal, name, Action.DATASOURCE_ALTER)
        for text, what in ((column, "column"), (reason, "reason")):
            if text is not None and (not text or len(text) > _FILTER_CHARS_MAX):
                raise InvalidRequest(f"The '{what}' parameter must be a text of at most {_FILTER_CHARS_MAX} characters")
        for job in await self._jobs.list(principal.workspace_id, Filters(kind=KIND)):
            if job.datasource_id == datasource.id and not job.status.is_end:
                raise Conflict(
                    f'The quarantine of "{datasource.name}" is being replayed by job {job.id}: wait until it ends, or '
                    "cancel it"
                )
        filters = {name: text for name, text in (("column", column), ("reason", reason)) if text is not None}
        return await self._jobs.create(
            NewJob(
                workspace_id=principal.workspace_id,
                kind=KIND,
                spec=filters,
                shown={"filter": filters},
                token_id=principal.token_id,
                request_id=request_id,
                datasource_id=datasource.id,
                datasource_name=datasource.name,
            )
        )

    async def _readable(self, principal: Principal, name: str) -> Datasource:
        found = await self._control.find_fresh(principal, name, Action.DATASOURCE_LIST)
        if principal.allows(Action.DATASOURCE_ALTER, found.id, found.name):
            return found
        if not principal.allows(Action.DATASOURCE_READ, found.id, found.name):
            raise forbidden(Action.DATASOURCE_READ)
        if principal.scopes.row_filters(Action.DATASOURCE_READ, found.id, found.name):
            raise Forbidden(
                f"This token may read some rows of '{found.name}' only: query {found.name}_quarantine with /v0/sql"
            )
        return found

    def _table(self, datasource: Datasource) -> str:
        workspace = self._catalog.snapshot.workspaces[datasource.workspace_id]
        return f"{quote_identifier(workspace.database)}.{quote_identifier(datasource.quarantine_table)}"

    async def _samples(
        self, datasource: Datasource, source: str, groups: Sequence[tuple[Any, ...]]
    ) -> Mapping[tuple[str, int], dict[str, Any]]:
        """Return the rows that the groups point at. One that the engine moved meanwhile, merging, is left out."""
        places = sorted({(part, int(offset)) for group in groups for part, offset in group[6]})
        if not places:
            return {}
        offsets: dict[str, list[int]] = defaultdict(list)
        for part, offset in places:
            offsets[part].append(offset)
        where = " OR ".join(
            f"(_part = {quote_string(part)} AND _part_offset IN ({', '.join(map(str, some))}))"
            for part, some in offsets.items()
        )
        columns = quarantine_columns(datasource.schema)[len(BEFORE) : -len(AFTER)]
        what = [
            "_part",
            "_part_offset",
            "toUnixTimestamp(insertion_date)",
            "c__import_id",
            "c__error_column",
            "c__error",
        ]
        what.append(_shown("ifNull(c__raw, '')"))
        for name in (quote_identifier(column.name) for column in columns):
            what += [_shown(f"ifNull({name}, '')"), f"isNull({name})"]
        rows = await self._client.rows(_select(", ".join(what), source, f"WHERE {where}"))
        return {(row[0], int(row[1])): _sample(datasource, row) for row in rows}


def _groups(source: str, where: str, groups_max: int) -> str:
    """Return the query for the largest groups: column, reason, rows, first, last, number of groups, places of some."""
    errors = _select(
        "c, r, insertion_date, _part, _part_offset",
        source,
        f"LEFT ARRAY JOIN c__error_column AS c, c__error AS r WHERE {where}",
        limits="",
    )
    what = (
        f"c, {normal_reason('c', 'r')} AS why, count() AS n, toUnixTimestamp(min(insertion_date)), "
        f"toUnixTimestamp(max(insertion_date)), count() OVER (), groupArrayLast({_SAMPLES})((_part, _part_offset))"
    )
    return _select(what, f"({errors})", f"GROUP BY c, why ORDER BY n DESC, c, why LIMIT {groups_max}")


def _select(what: str, source: str, rest: str, limits: str = _LIMITS) -> str:
    return f"SELECT {what} FROM {source} {rest} {limits}"  # noqa: S608  ours; what is not is quoted


def _shown(text: str) -> str:
    return f"substringUTF8({text}, 1, {_VALUE_CHARS_MAX})"


def _group(group: tuple[Any, ...], samples: Mapping[tuple[str, int], dict[str, Any]]) -> dict[str, Any]:
    column, reason, rows, first, last, _, places = group
    shown = []
    for part, offset in places:
        found = samples.get((part, int(offset)))
        if found is not None:
            errors = found["errors"]
            shown.append({**found, "error": errors.get(column, ""), "value": found["row"].get(column)})
    return {
        "column": column,
        "reason": reason,
        "rows": rows,
        "first_seen": _moment(first),
        "last_seen": _moment(last),
        "sample": [{name: value for name, value in each.items() if name != "errors"} for each in shown],
    }


def _sample(datasource: Datasource, row: tuple[Any, ...]) -> dict[str, Any]:
    _, _, moment, import_id, columns, errors, line, *texts = row
    values = {
        column.name: None if texts[2 * n + 1] else texts[2 * n] for n, column in enumerate(datasource.schema.columns)
    }
    return {
        "insertion_date": _moment(moment),
        "import_id": import_id,
        "errors": dict(zip(columns, errors, strict=False)),
        "row": values,
        "raw": line,
    }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _translated(error: ServerError) -> GatewayError:
    if error.code in _TOO_LONG:
        return Timeout("The quarantine has too many rows to be grouped in time: ask for the latest with since=…")
    if error.code is None:
        return Unavailable("ClickHouse does not answer, try again shortly", 1)
    return Unavailable("ClickHouse cannot group the quarantine now, try again shortly", 1)
