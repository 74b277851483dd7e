"""Routes: every route in one table. What is not here is not served.

`access` is what everybody who gets in can do; a handler that serves one resource asks for that resource as well.
"""

from dataclasses import dataclass

from gateway.api.datasources import DatasourcesApi
from gateway.api.events import EventsApi
from gateway.api.ops import OpsApi
from gateway.api.sql import SqlApi
from gateway.api.tokens import TokensApi
from gateway.web.front import Route, RouteTable

_SMALL = 64 * 1024
_DOCUMENT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Apis:
    """One object per family."""

    events: EventsApi
    datasources: DatasourcesApi
    sql: SqlApi
    tokens: TokensApi
    ops: OpsApi


def routes(apis: Apis, events_body_bytes_max: int) -> list[Route]:
    """Return the table."""
    events, datasources, sql, ops = apis.events, apis.datasources, apis.sql, apis.ops
    tokens = apis.tokens
    # fmt: off
    return [
        Route("POST", "/v0/events",                     events.post,          "token",  events_body_bytes_max),
        Route("GET",  "/v0/events",                     events.verify,        "token",  _SMALL),

        Route("POST", "/v0/datasources",                datasources.create,   "token",  _DOCUMENT),
        Route("GET",  "/v0/datasources",                datasources.list,     "token",  _SMALL),
        Route("GET",  "/v0/datasources/{name}.datasource", datasources.datafile, "token", _SMALL),
        Route("GET",  "/v0/datasources/{name}",         datasources.detail,   "token",  _SMALL),

        Route("GET",  "/v0/sql",                        sql.run,              "token",  _SMALL),
        Route("POST", "/v0/sql",                        sql.run,              "token",  _DOCUMENT),

        Route("POST", "/v0/tokens",                     tokens.create,        "token",  _SMALL),
        Route("GET",  "/v0/tokens",                     tokens.list,          "token",  _SMALL),
        Route("GET",  "/v0/tokens/{which}",             tokens.detail,        "token",  _SMALL),
        Route("DELETE", "/v0/tokens/{which}",           tokens.drop,          "token",  _SMALL),

        Route("GET",  "/health",                        ops.health,           "public", _SMALL),
        Route("GET",  "/v0/health",                     ops.health,           "public", _SMALL),
        Route("GET",  "/ready",                         ops.ready,            "public", _SMALL),
        Route("GET",  "/metrics",                       ops.metrics,          "public", _SMALL),
        Route("GET",  "/version",                       ops.version,          "public", _SMALL),
        Route("GET",  "/tokens",                        ops.tokens,           "public", _SMALL),
    ]
    # fmt: on


def table(apis: Apis, events_body_bytes_max: int) -> RouteTable:
    """Return the table, ready to be searched."""
    return RouteTable(routes(apis, events_body_bytes_max))
