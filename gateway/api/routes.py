"""Routes: every route but the few of `first`, in one table. What is in neither is not served.

The scope is what everybody who gets in can do, with one resource at least; a handler that serves a resource asks for
that one as well. JWTs get in only where it says so.
"""

from dataclasses import dataclass

from aiohttp.web import StreamResponse

from gateway.api.analyze import AnalyzeApi
from gateway.api.copies import CopiesApi
from gateway.api.datasource_changes import DatasourceChangesApi
from gateway.api.datasources import DatasourcesApi
from gateway.api.endpoints import FORMATS, EndpointsApi
from gateway.api.imports import ImportsApi
from gateway.api.jobs import JobsApi
from gateway.api.pipe_changes import PipeChangesApi
from gateway.api.pipe_docs import PipeDocsApi
from gateway.api.pipes import PipesApi
from gateway.api.quarantine import QuarantineApi
from gateway.api.sql import SqlApi
from gateway.api.sql_tools import SqlToolsApi
from gateway.api.tags import TagsApi
from gateway.api.tokens import TokensApi
from gateway.api.variables import VariablesApi
from gateway.api.views import ViewsApi
from gateway.api.workspaces import WorkspacesApi
from gateway.auth.access import Access, Need
from gateway.auth.scopes import Action
from gateway.web.front import Handler, Route
from gateway.web.request import Request

_SMALL = 64 * 1024
_DOCUMENT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Apis:
    """One object per family."""

    datasources: DatasourcesApi
    imports: ImportsApi
    analyze: AnalyzeApi
    changes: DatasourceChangesApi
    quarantine: QuarantineApi
    pipes: PipesApi
    pipe_changes: PipeChangesApi
    pipe_docs: PipeDocsApi
    copies: CopiesApi
    sql: SqlApi
    sql_tools: SqlToolsApi
    endpoints: EndpointsApi
    tags: TagsApi
    tokens: TokensApi
    jobs: JobsApi
    variables: VariablesApi
    views: ViewsApi
    workspaces: WorkspacesApi


def routes(apis: Apis) -> list[Route]:
    """Return the table."""
    datasources, sql = apis.datasources, apis.sql
    tokens, jobs, changes, imports, quarantine = apis.tokens, apis.jobs, apis.changes, apis.imports, apis.quarantine
    variables = apis.variables
    return [
        Route("POST", "/v0/datasources", imports.post, Action.DATASOURCE_APPEND, _DOCUMENT, jwt=True),
        Route("GET", "/v0/datasources", datasources.list, Access.VALID, _SMALL),
        Route("GET", "/v0/datasources/{name}.datasource", datasources.datafile, Action.DATASOURCE_LIST, _SMALL),
        Route("GET", "/v0/datasources/{name}", datasources.detail, Action.DATASOURCE_LIST, _SMALL),
        Route("PUT", "/v0/datasources/{name}", changes.update, Action.DATASOURCE_ALTER, _DOCUMENT),
        Route("DELETE", "/v0/datasources/{name}", changes.drop, Action.DATASOURCE_DROP, _SMALL),
        Route("POST", "/v0/datasources/{name}", changes.exchange, Action.DATASOURCE_ALTER, _SMALL),
        Route("POST", "/v0/datasources/{name}/alter", changes.alter, Action.DATASOURCE_ALTER, _DOCUMENT),
        Route("POST", "/v0/datasources/{name}/truncate", changes.truncate, Action.DATASOURCE_TRUNCATE, _SMALL),
        Route("POST", "/v0/datasources/{name}/delete", changes.delete, Action.DATASOURCE_TRUNCATE, _DOCUMENT),
        Route("POST", "/v1/datasources/{name}/append", imports.append, Action.DATASOURCE_APPEND, _DOCUMENT, jwt=True),
        Route("POST", "/v1/datasources/{name}/replace", imports.replace, Action.DATASOURCE_REPLACE, _DOCUMENT),
        Route("POST", "/v1/datasources/{name}/delete", changes.delete_light, Action.DATASOURCE_TRUNCATE, _DOCUMENT),
        *_unserved(changes.unserved),
        Route("GET", "/v0/datasources/{name}/quarantine", quarantine.explain, Action.DATASOURCE_LIST, _SMALL),
        Route("POST", "/v0/datasources/{name}/quarantine/replay", quarantine.replay, Action.DATASOURCE_ALTER, _SMALL),
        Route("GET", "/v0/dependencies", changes.dependencies, Access.VALID, _SMALL),
        Route("POST", "/v0/analyze", apis.analyze.post, Action.DATASOURCE_CREATE, _DOCUMENT),
        Route("GET", "/v0/pipes/openapi.json", apis.pipe_docs.openapi, Access.VALID, _SMALL),
        Route("GET", "/docs", apis.pipe_docs.page, Access.PUBLIC, _SMALL),
        Route("GET", "/examples/query.http", apis.pipe_docs.example, Access.VALID, _SMALL),
        *_endpoints(apis.endpoints),
        *_pipes(apis.pipes, apis.pipe_changes, _pipe(apis.pipes, apis.endpoints)),
        *_copies(apis.copies),
        *_views(apis.views),
        Route("GET", "/v0/sql", sql.run, Access.VALID, _SMALL, jwt=True),
        Route("POST", "/v0/sql", sql.run, Access.VALID, _DOCUMENT, jwt=True),
        Route("GET", "/v0/sql_format", apis.sql_tools.format, Access.VALID, _SMALL),
        Route("POST", "/v0/sql_format", apis.sql_tools.format, Access.VALID, _DOCUMENT),
        Route("POST", "/v0/sql_tables", apis.sql_tools.tables, Access.VALID, _DOCUMENT),
        Route("POST", "/v0/sql_replace", apis.sql_tools.replace, Access.VALID, _DOCUMENT),
        Route("POST", "/v0/tokens", tokens.create, Action.TOKENS, _SMALL),
        Route("GET", "/v0/tokens", tokens.list, Access.VALID, _SMALL),
        Route("GET", "/v0/tokens/{which}", tokens.detail, Access.VALID, _SMALL),
        Route("PUT", "/v0/tokens/{which}", tokens.update, Action.TOKENS, _SMALL),
        Route("POST", "/v0/tokens/{which}/refresh", tokens.refresh, Action.TOKENS, _SMALL),
        Route("DELETE", "/v0/tokens/{which}", tokens.drop, Action.TOKENS, _SMALL),
        Route("GET", "/v0/variables", variables.list, Action.ADMIN, _SMALL),
        Route("POST", "/v0/variables", variables.create, Action.ADMIN, _SMALL),
        Route("GET", "/v0/variables/{name}", variables.detail, Action.ADMIN, _SMALL),
        Route("PUT", "/v0/variables/{name}", variables.update, Action.ADMIN, _SMALL),
        Route("DELETE", "/v0/variables/{name}", variables.drop, Action.ADMIN, _SMALL),
        Route("GET", "/v0/jobs", jobs.list, Access.VALID, _SMALL),
        Route("GET", "/v0/jobs/{id}", jobs.detail, Access.VALID, _SMALL),
        Route("POST", "/v0/jobs/{id}/cancel", jobs.cancel, Access.VALID, _SMALL),
        Route("POST", "/v0/jobs/{id}/retry", jobs.retry, Access.VALID, _SMALL),
        *_tags(apis.tags),
        *_workspaces(apis.workspaces),
        Route("GET", "/v0/regions", apis.workspaces.regions, Access.PUBLIC, _SMALL),
        Route("GET", "/v0/auth", apis.workspaces.auth, Access.ANYBODY, _SMALL),
    ]


def _endpoints(api: EndpointsApi) -> list[Route]:
    """Return the routes of endpoints; they go before those that would take the extension for a part of the name."""
    one = "/v0/pipes/{name}"
    return [
        *(
            Route(method, f"{one}.{extension}", api.call(extension), Action.PIPE_READ, size, jwt=True, audit=False)
            for extension in FORMATS
            for method, size in (("GET", _SMALL), ("POST", _DOCUMENT))
        ),
        Route("GET", f"{one}/explain", api.explain, Action.PIPE_READ, _SMALL),
        Route("GET", f"{one}/nodes/{{node}}/explain", api.explain, Action.PIPE_READ, _SMALL),
    ]


def _unserved(handler: Handler) -> list[Route]:
    """Return the routes of what Tinybird has and this has not: sharing, and connectors with their schedules."""
    base = "/v0/datasources/{name}/"
    plain = [("POST", "share"), ("DELETE", "share"), ("POST", "sample"), ("POST", "start"), ("POST", "stop")]
    schedules = [(method, "scheduling/{part}") for method in ("GET", "POST", "PUT", "DELETE")]
    return [Route(method, base + path, handler, Action.DATASOURCE_LIST, _SMALL) for method, path in plain + schedules]


def _pipe(pipes: PipesApi, endpoints: EndpointsApi) -> Handler:
    """Return what describes a pipe, or with `explain=true` says how its endpoint would be run."""

    async def handler(request: Request) -> StreamResponse:
        return await (endpoints.explain(request) if request.params.flag("explain") else pipes.detail(request))

    return handler


def _pipes(pipes: PipesApi, changes: PipeChangesApi, one_pipe: Handler) -> list[Route]:
    """Return the routes of pipes, which clients read under either version."""
    one, node = "/v0/pipes/{name}", "/v0/pipes/{name}/nodes/{node}"
    versions = ("v0", "v1")
    return [
        *(Route("GET", f"/{each}/pipes", pipes.list, Access.VALID, _SMALL) for each in versions),
        *(Route("GET", f"/{each}/pipes/{{name}}.pipe", pipes.datafile, Action.PIPE_LIST, _SMALL) for each in versions),
        *(Route("GET", f"/{each}/pipes/{{name}}", one_pipe, Action.PIPE_LIST, _SMALL) for each in versions),
        Route("POST", "/v0/pipes", changes.create, Action.PIPE_CREATE, _DOCUMENT),
        Route("PUT", one, changes.update, Action.PIPE_ALTER, _SMALL),
        Route("DELETE", one, changes.drop, Action.PIPE_DROP, _SMALL),
        Route("PUT", f"{one}/endpoint", changes.put_endpoint, Action.PIPE_ALTER, _SMALL),
        Route("POST", f"{one}/nodes", changes.add_node, Action.PIPE_ALTER, _DOCUMENT),
        Route("PUT", node, changes.change_node, Action.PIPE_ALTER, _DOCUMENT),
        Route("DELETE", node, changes.drop_node, Action.PIPE_ALTER, _SMALL),
        Route("POST", f"{node}/endpoint", changes.publish, Action.PIPE_ALTER, _SMALL),
        Route("DELETE", f"{node}/endpoint", changes.unpublish, Action.PIPE_ALTER, _SMALL),
        Route("POST", f"{one}/sink", changes.unserved, Action.PIPE_ALTER, _SMALL),
        Route("POST", f"{node}/sink", changes.unserved, Action.PIPE_ALTER, _SMALL),
        Route("DELETE", f"{node}/sink", changes.unserved, Action.PIPE_ALTER, _SMALL),
        Route("DELETE", f"{node}/stream", changes.unserved, Action.PIPE_ALTER, _SMALL),
    ]


def _copies(api: CopiesApi) -> list[Route]:
    """Return the routes of copies."""
    one, node = "/v0/pipes/{name}/copy", "/v0/pipes/{name}/nodes/{node}/copy"
    return [
        Route("POST", node, api.create, Action.PIPE_ALTER, _SMALL),
        Route("PUT", node, api.change, Action.PIPE_ALTER, _SMALL),
        Route("DELETE", node, api.remove, Action.PIPE_ALTER, _SMALL),
        Route("POST", one, api.run, Action.PIPE_READ, _SMALL),
        Route("POST", "/v0/sql_copy", api.run_query, Action.PIPE_CREATE, _DOCUMENT),
        Route("POST", f"{one}/pause", api.pause, Action.PIPE_ALTER, _SMALL),
        Route("POST", f"{one}/resume", api.resume, Action.PIPE_ALTER, _SMALL),
        Route("POST", f"{one}/cancel", api.cancel, Action.PIPE_ALTER, _SMALL),
    ]


def _views(api: ViewsApi) -> list[Route]:
    """Return the routes of materialized nodes."""
    node = "/v0/pipes/{name}/nodes/{node}"
    return [
        Route("POST", f"{node}/materialization", api.materialize, Action.PIPE_ALTER, _SMALL),
        Route("DELETE", f"{node}/materialization", api.unlink, Action.PIPE_ALTER, _SMALL),
        Route("GET", f"{node}/analysis", api.analyze, Action.PIPE_ALTER, _SMALL),
        Route("POST", f"{node}/population", api.populate, Action.PIPE_ALTER, _SMALL),
    ]


def _tags(api: TagsApi) -> list[Route]:
    """Return the routes of tags, playgrounds and connectors."""
    return [
        Route("GET", "/v0/tags", api.list, Access.VALID, _SMALL),
        Route("POST", "/v0/tags", api.create, Action.ADMIN, _SMALL),
        Route("PUT", "/v0/tags/{name}", api.update, Action.ADMIN, _SMALL),
        Route("DELETE", "/v0/tags/{name}", api.drop, Action.ADMIN, _SMALL),
        Route("GET", "/v0/connectors", api.connectors, Access.VALID, _SMALL),
        Route("GET", "/v0/playgrounds", api.playgrounds, Access.VALID, _SMALL),
        Route("POST", "/v0/playgrounds", api.no_playground, Access.VALID, _DOCUMENT),
        Route("PUT", "/v0/playgrounds/{id}", api.no_playground, Access.VALID, _DOCUMENT),
    ]


def _workspaces(api: WorkspacesApi) -> list[Route]:
    """Return the routes of workspaces, which clients ask for under either version."""
    valid, account = Access.VALID, Access.ACCOUNT
    paths: list[tuple[str, str, Handler, Need]] = [
        ("GET", "workspace", api.current, valid),
        ("GET", "user/workspaces", api.of_user, valid),
        ("POST", "workspaces", api.create, account),
        ("GET", "workspaces/{which}", api.one, valid),
        ("PUT", "workspaces/{which}", api.rename, Action.ADMIN),
        ("DELETE", "workspaces/{which}", api.drop, account),
        ("PUT", "workspaces/{which}/users", api.members, Action.ADMIN),
        ("GET", "workspaces/{which}/releases", api.releases, valid),
        ("GET", "environments", api.branches, valid),
        ("GET", "environments/{which}", api.branch, valid),
    ]
    return [
        Route(method, f"/{version}/{path}", handler, need, _SMALL)
        for version in ("v0", "v1")
        for method, path, handler, need in paths
    ]
