"""Routes: every route in one table. What is not here is not served.

`access` is what everybody who gets in can do; a handler that serves one resource asks for that resource as well.
"""

from dataclasses import dataclass

from gateway.api.analyze import AnalyzeApi
from gateway.api.datasource_changes import DatasourceChangesApi
from gateway.api.datasources import DatasourcesApi
from gateway.api.events import EventsApi
from gateway.api.imports import ImportsApi
from gateway.api.jobs import JobsApi
from gateway.api.ops import OpsApi
from gateway.api.quarantine import QuarantineApi
from gateway.api.sql import SqlApi
from gateway.api.tokens import TokensApi
from gateway.api.workspaces import WorkspacesApi
from gateway.web.front import Handler, Route, RouteTable

_SMALL = 64 * 1024
_DOCUMENT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Apis:
    """One object per family."""

    events: EventsApi
    datasources: DatasourcesApi
    imports: ImportsApi
    analyze: AnalyzeApi
    changes: DatasourceChangesApi
    quarantine: QuarantineApi
    sql: SqlApi
    tokens: TokensApi
    jobs: JobsApi
    workspaces: WorkspacesApi
    ops: OpsApi


def routes(apis: Apis, events_body_bytes_max: int) -> list[Route]:
    """Return the table."""
    events, datasources, sql, ops = apis.events, apis.datasources, apis.sql, apis.ops
    tokens, jobs, changes = apis.tokens, apis.jobs, apis.changes
    # fmt: off
    return [
        Route("POST", "/v0/events",                     events.post,          "token",  events_body_bytes_max),
        Route("GET",  "/v0/events",                     events.verify,        "token",  _SMALL),

        Route("POST", "/v0/datasources",                apis.imports.post,    "token",  _DOCUMENT),
        Route("GET",  "/v0/datasources",                datasources.list,     "token",  _SMALL),
        Route("GET",  "/v0/datasources/{name}.datasource", datasources.datafile, "token", _SMALL),
        Route("GET",  "/v0/datasources/{name}",         datasources.detail,   "token",  _SMALL),
        Route("PUT",  "/v0/datasources/{name}",         changes.update,       "token",  _DOCUMENT),
        Route("DELETE", "/v0/datasources/{name}",       changes.drop,         "token",  _SMALL),
        Route("POST", "/v0/datasources/{name}",         changes.exchange,     "token",  _SMALL),
        Route("POST", "/v0/datasources/{name}/alter",   changes.alter,        "token",  _DOCUMENT),
        Route("POST", "/v0/datasources/{name}/truncate", changes.truncate,    "token",  _SMALL),
        Route("POST", "/v0/datasources/{name}/delete",  changes.delete,       "token",  _DOCUMENT),
        Route("POST", "/v1/datasources/{name}/append",  apis.imports.append,  "token",  _DOCUMENT),
        Route("POST", "/v1/datasources/{name}/replace", apis.imports.replace, "token",  _DOCUMENT),
        Route("POST", "/v1/datasources/{name}/delete",  changes.delete_light, "token",  _DOCUMENT),
        *_unserved(changes.unserved),
        Route("GET",  "/v0/datasources/{name}/quarantine", apis.quarantine.explain, "token", _SMALL),
        Route("POST", "/v0/datasources/{name}/quarantine/replay", apis.quarantine.replay, "token", _SMALL),
        Route("GET",  "/v0/dependencies",               changes.dependencies, "token",  _SMALL),

        Route("POST", "/v0/analyze",                    apis.analyze.post,    "token",  _DOCUMENT),

        Route("GET",  "/v0/sql",                        sql.run,              "token",  _SMALL),
        Route("POST", "/v0/sql",                        sql.run,              "token",  _DOCUMENT),

        Route("POST", "/v0/tokens",                     tokens.create,        "token",  _SMALL),
        Route("GET",  "/v0/tokens",                     tokens.list,          "token",  _SMALL),
        Route("GET",  "/v0/tokens/{which}",             tokens.detail,        "token",  _SMALL),
        Route("DELETE", "/v0/tokens/{which}",           tokens.drop,          "token",  _SMALL),

        Route("GET",  "/v0/jobs",                       jobs.list,            "token",  _SMALL),
        Route("GET",  "/v0/jobs/{id}",                  jobs.detail,          "token",  _SMALL),
        Route("POST", "/v0/jobs/{id}/cancel",           jobs.cancel,          "token",  _SMALL),
        Route("POST", "/v0/jobs/{id}/retry",            jobs.retry,           "token",  _SMALL),

        *_workspaces(apis.workspaces),
        Route("GET",  "/v0/regions",                    apis.workspaces.regions, "public", _SMALL),
        Route("GET",  "/v0/auth",                       apis.workspaces.auth, "token",  _SMALL),

        Route("GET",  "/health",                        ops.health,           "public", _SMALL),
        Route("GET",  "/v0/health",                     ops.health,           "public", _SMALL),
        Route("GET",  "/ready",                         ops.ready,            "public", _SMALL),
        Route("GET",  "/metrics",                       ops.metrics,          "public", _SMALL),
        Route("GET",  "/version",                       ops.version,          "public", _SMALL),
        Route("GET",  "/tokens",                        ops.tokens,           "public", _SMALL),
    ]
    # fmt: on


def _unserved(handler: Handler) -> list[Route]:
    """Return the routes of what Tinybird has and this has not: sharing, and connectors with their schedules."""
    base = "/v0/datasources/{name}/"
    plain = [("POST", "share"), ("DELETE", "share"), ("POST", "sample"), ("POST", "start"), ("POST", "stop")]
    schedules = [(method, "scheduling/{part}") for method in ("GET", "POST", "PUT", "DELETE")]
    return [Route(method, base + path, handler, "token", _SMALL) for method, path in plain + schedules]


def _workspaces(api: WorkspacesApi) -> list[Route]:
    """Return the routes of workspaces, which clients ask for under either version."""
    paths = [
        ("workspace", api.current),
        ("user/workspaces", api.of_user),
        ("workspaces/{which}", api.one),
        ("environments", api.branches),
        ("environments/{which}", api.branch),
    ]
    return [
        Route("GET", f"/{each}/{path}", handler, "token", _SMALL) for each in ("v0", "v1") for path, handler in paths
    ]


def table(apis: Apis, events_body_bytes_max: int) -> RouteTable:
    """Return the table, ready to be searched."""
    return RouteTable(routes(apis, events_body_bytes_max))
