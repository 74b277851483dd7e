"""Families: the families of handlers that are loaded when events are taken already."""

from gateway.api.analyze import AnalyzeApi
from gateway.api.copies import CopiesApi
from gateway.api.datasource_changes import DatasourceChangesApi
from gateway.api.datasources import DatasourcesApi
from gateway.api.endpoints import EndpointsApi
from gateway.api.imports import ImportsApi
from gateway.api.jobs import JobsApi
from gateway.api.pipe_changes import PipeChangesApi
from gateway.api.pipe_docs import PipeDocsApi
from gateway.api.pipes import PipesApi
from gateway.api.quarantine import QuarantineApi
from gateway.api.routes import Apis, routes
from gateway.api.sql import SqlApi
from gateway.api.sql_tools import SqlToolsApi
from gateway.api.tags import TagsApi
from gateway.api.tokens import TokensApi
from gateway.api.variables import VariablesApi
from gateway.api.views import ViewsApi
from gateway.api.workspaces import WorkspacesApi
from gateway.bootstrap.basis import Basis, Common
from gateway.bootstrap.copying import copy_limits
from gateway.bootstrap.jobs import fetcher, runner
from gateway.bootstrap.reading import reading
from gateway.config import Settings, place_of, uploads_directory
from gateway.control.analyze import AnalyzeControl
from gateway.control.changes import DatasourceChanges
from gateway.control.copies import CopyControl
from gateway.control.databases import Databases
from gateway.control.imports import ImportControl, ImportLimits
from gateway.control.jobs import JobControl
from gateway.control.pipe_changes import PipeChanges
from gateway.control.pipe_secrets import users_of
from gateway.control.pipes import PipeControl
from gateway.control.quarantine import QuarantineControl
from gateway.control.rows import RowControl
from gateway.control.sql_tools import SqlTools
from gateway.control.tags import TagControl
from gateway.control.tokens import TokenControl
from gateway.control.variables import VariableControl
from gateway.control.view_objects import ViewObjects
from gateway.control.views import ViewControl
from gateway.control.workspaces import WorkspaceControl
from gateway.imports.delete_rows import RowDeleter
from gateway.jobs import JobStore
from gateway.web.front import Route


async def families(basis: Basis, common: Common) -> list[Route]:
    """Return their routes; the jobs that this process was doing when it was killed are given back.

    Raises:
        Unavailable: the metadata database does not answer.
    """
    settings, store, catalog, client, clock = basis.settings, basis.store, basis.catalog, basis.client, basis.clock
    control, authenticator = common.control, common.authenticator
    jobs = JobStore(store.database, clock)
    at_once = runner(basis, jobs)
    await at_once.take_over()
    uploads = uploads_directory(settings.data_dir)
    fetch = fetcher(basis)
    read = reading(basis, common)
    pipes = PipeControl(catalog, authenticator, may_change=settings.datasource_changes == "allowed")
    copies = CopyControl(pipes, store, jobs, read.checks, copy_limits(settings), clock)
    importing = ImportControl(
        control, client, jobs, at_once, fetch, _import_limits(settings), place_of(settings.data_dir), clock
    )
    views = ViewObjects(client, catalog, store, jobs, clock)
    viewing = ViewControl(pipes, control, store, read.probe, jobs, views, basis.ops)
    apis = Apis(
        datasources=DatasourcesApi(control),
        imports=ImportsApi(control, importing, uploads),
        analyze=AnalyzeApi(AnalyzeControl(fetch, clock), uploads),
        changes=DatasourceChangesApi(
            control,
            DatasourceChanges(control, catalog, store, views, basis.ops, clock),
            RowControl(control, RowDeleter(client, clock, basis.ops), jobs, at_once),
        ),
        quarantine=QuarantineApi(QuarantineControl(control, catalog, client, jobs)),
        pipes=PipesApi(pipes, read.probe),
        pipe_changes=PipeChangesApi(pipes, PipeChanges(pipes, store, read.probe, copies, viewing, clock)),
        pipe_docs=PipeDocsApi(pipes),
        copies=CopiesApi(pipes, copies),
        sql=SqlApi(read.control, read.reads),
        sql_tools=SqlToolsApi(SqlTools(client)),
        endpoints=EndpointsApi(read.control, read.reads),
        tags=TagsApi(TagControl(control, pipes, store)),
        tokens=TokensApi(TokenControl(catalog, store, authenticator, clock)),
        jobs=JobsApi(JobControl(jobs)),
        views=ViewsApi(pipes, viewing),
        variables=VariablesApi(VariableControl(catalog, store, common.seal, users_of)),
        workspaces=WorkspacesApi(
            WorkspaceControl(catalog, store, authenticator, Databases(client, store, clock), clock)
        ),
    )
    return routes(apis)


def _import_limits(settings: Settings) -> ImportLimits:
    return ImportLimits(
        body_bytes_max=settings.import_body_bytes_max,
        parquet_body_bytes_max=settings.import_parquet_body_bytes_max,
        unfolded_bytes_max=settings.import_unfolded_bytes_max,
        sync_bytes_max=settings.import_sync_bytes_max,
        wait_seconds_max=settings.wait_seconds_max,
    )
