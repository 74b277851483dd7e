"""Data Sources API, what changes one that exists: attributes, schema, rows, its end. Source: datasources.md §10."""

from typing import Any

import orjson
from aiohttp.web import Response, StreamResponse

from gateway.auth.scopes import Action
from gateway.control import jobs
from gateway.control.changes import DatasourceChanges, Wanted
from gateway.control.datasources import DatasourceControl
from gateway.control.describe import Statistics
from gateway.control.rows import RowControl
from gateway.core.errors import InvalidRequest, NotFound
from gateway.jobs import Job, Status
from gateway.web.request import Request, json_response
from gateway.web.target import Params

# What may stand in an alter only if it is as it is: nothing but the TTL of an engine changes in place.
_ENGINE_TTL = "engine_ttl"

_PROJECTION_MODES = frozenset({"", "throw", "drop", "rebuild"})


class DatasourceChangesApi:
    """Handlers of the family."""

    def __init__(self, control: DatasourceControl, changes: DatasourceChanges, rows: RowControl) -> None:
        self._control = control
        self._changes = changes
        self._rows = rows

    async def update(self, request: Request) -> StreamResponse:
        """Rename a data source, or change what is said of it."""
        params = await request.form()
        made = await self._changes.update(
            request.who,
            request.captures["name"],
            request.id,
            name=_given(params, "name"),
            description=_given(params, "description"),
            tags=_tags(params),
        )
        statistics = await self._control.statistics(request.who)
        return json_response(self._control.detail(made, statistics.get(made.id, Statistics())))

    async def alter(self, request: Request) -> StreamResponse:
        """Change schema, description, TTL or indexes; with `dry=true` say what would be done."""
        params = await request.form()
        engine = params.prefixed("engine")
        ttl = _given(params, "ttl")
        wanted = Wanted(
            schema=params.get("schema") or None,
            description=_given(params, "description"),
            ttl=_without(engine.pop(_ENGINE_TTL, None) if ttl is None else ttl, "false"),
            indexes=_without(params.get("indexes") or None, "0"),
            engine=engine,
        )
        altered = await self._changes.alter(
            request.who, request.captures["name"], request.id, wanted, is_dry=params.flag("dry")
        )
        statistics = await self._control.statistics(request.who)
        found = statistics.get(altered.datasource.id, Statistics())
        return json_response(
            {
                "operations": altered.operations,
                "dependencies": altered.dependents,
                "datasource": self._control.detail(altered.datasource, found),
            }
        )

    async def truncate(self, request: Request) -> StreamResponse:
        """Delete all rows, of a data source or of its quarantine."""
        await self._changes.truncate(request.who, request.captures["name"], request.id)
        return json_response({})

    async def delete(self, request: Request) -> StreamResponse:
        """Delete rows by condition, as a job; with `dry_run=true` count them."""
        params = await request.form()
        condition = _condition(params)
        which = request.captures["name"]
        if params.flag("dry_run"):
            return json_response({"rows_to_be_deleted": await self._rows.count(request.who, which, condition)})
        job = await self._rows.start(request.who, which, condition, request.id)
        return json_response(_envelope(request, job))

    async def delete_light(self, request: Request) -> StreamResponse:
        """Mark rows as deleted, by condition; answer when it is done, unless `wait=false`."""
        params = await request.form()
        condition = _condition(params)
        if params.get("projection_mode") not in _PROJECTION_MODES:
            raise InvalidRequest("The 'projection_mode' parameter must be throw, drop or rebuild")
        which = request.captures["name"]
        if params.flag("dry_run"):
            return json_response({"rows_to_be_deleted": await self._rows.count(request.who, which, condition)})
        job = await self._rows.mark(
            request.who,
            which,
            condition,
            request.id,
            partition=params.get("partition"),
            wait=params.flag("wait", default=True),
        )
        if job.status is not Status.DONE:
            return json_response(_envelope(request, job))
        return json_response({"rows_affected": job.shown["rows_affected"], "mutation": job.shown["mutation"]})

    async def drop(self, request: Request) -> StreamResponse:
        """Drop a data source; with `dry_run=true` say what reads it."""
        params = await request.form()
        which = request.captures["name"]
        if params.flag("dry_run"):
            dependents = await self._changes.dependents(request.who, which, Action.DATASOURCE_DROP)
            return json_response({"dependent_pipes": ",".join(dependents)})
        await self._changes.drop(request.who, which, request.id, is_forced=params.flag("force"))
        return Response(status=204)

    async def exchange(self, request: Request) -> StreamResponse:
        """Let two data sources change places. The path is that of a data source, which may be called `exchange` too."""
        if request.captures["name"] != "exchange":
            raise NotFound("There is nothing at this path for POST")
        params = await request.form()
        one, other = params.get("datasource_a"), params.get("datasource_b")
        if not (one and other):
            raise InvalidRequest("The 'datasource_a' and 'datasource_b' parameters are required")
        first, second = await self._changes.exchange(request.who, one, other, request.id)
        statistics = await self._control.statistics(request.who)
        shown = {
            key: self._control.detail(each, statistics.get(each.id, Statistics()))
            for key, each in (("datasource_a", second), ("datasource_b", first))
        }
        return json_response(shown)

    async def dependencies(self, request: Request) -> StreamResponse:
        """Say which data sources a change of one reaches, and through which pipes; or what reads each of them.

        Of the latter, only those that `match` is a part of, that `pipe` reads, or, with `no_deps`, that nothing reads.
        """
        params = request.params
        which, part, pipe = params.get("datasource"), params.get("match"), params.get("pipe")
        if which:
            found = await self._changes.fed(request.who, which)
        else:
            found = await self._changes.all_dependents(request.who, is_recursive=params.flag("recursive"))
        alone = params.flag("no_deps")
        found = {
            name: pipes
            for name, pipes in found.items()
            if part in name and (not pipe or pipe in pipes) and not (alone and pipes)
        }
        return json_response({"dependencies": found, "incompatible_datasources": {}})

    async def unserved(self, request: Request) -> StreamResponse:
        """Say that sharing and connectors are not served, for a data source that there is."""
        which = request.captures["name"]
        found = await self._control.find_fresh(request.who, which, Action.DATASOURCE_LIST)
        if request.raw.path.rstrip("/").endswith("/share"):
            raise InvalidRequest(f'Data Source "{found.name}" cannot be shared: sharing is not served here')
        raise InvalidRequest(f'Data Source "{found.name}" has no connector, and none are served here: send rows to it')


def _envelope(request: Request, job: Job) -> dict[str, Any]:
    """Return the answer to a request that became a job: its id under every name that clients look for."""
    shown = jobs.list_item(job, request.base_url)
    ids = dict.fromkeys(("id", "job_id", "delete_id"), job.id)
    return {**ids, "job_url": shown["job_url"], "job": shown, "status": job.status.value}


def _condition(params: Params) -> str:
    if not params.has("delete_condition"):
        raise InvalidRequest("The 'delete_condition' parameter is required, as in delete_condition=id < 10")
    return params.get("delete_condition")


def _given(params: Params, name: str) -> str | None:
    return params.get(name) if params.has(name) else None


def _without(value: str | None, word: str) -> str | None:
    """Return `value`, "" if it is the word for "none"."""
    return "" if value is not None and value.strip().lower() == word else value


def _tags(params: Params) -> dict[str, str] | None:
    """Return the tags, sent as a JSON object of texts; None if none were sent."""
    if not params.has("tags"):
        return None
    try:
        found = orjson.loads(params.get("tags"))
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidRequest('The \'tags\' parameter must be a JSON object of texts, as in {"team": "web"}')
    return found
