"""Target: the data source a job works on, as it is now."""

from gateway.catalog import Catalog, Datasource
from gateway.jobs import Job, JobFailed


def database_of(catalog: Catalog, job: Job) -> str:
    """Return the ClickHouse database of the job's workspace, "" if it is gone."""
    workspace = catalog.snapshot.workspace(job.workspace_id)
    return workspace.database if workspace else ""


async def source_of(catalog: Catalog, job: Job, doing: str) -> Datasource:
    """Return the data source, looked up anew.

    Raises:
        JobFailed: it is gone; the sentence says that it was deleted while `doing`.
    """
    await catalog.refresh()
    found = catalog.snapshot.datasources.get(job.datasource_id)
    if found is None or not database_of(catalog, job):
        raise JobFailed(f'Data Source "{job.datasource_name}" was deleted while {doing}')
    return found
