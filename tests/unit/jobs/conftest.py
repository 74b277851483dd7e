"""A real database of jobs for each test, on SQLite and on PostgreSQL."""

import pytest

from gateway.catalog import CatalogStore
from gateway.jobs import JobStore, NewJob
from tests.support.jobs import StillClock
from tests.unit.catalog.conftest import url

__all__ = ["url"]


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
async def catalog(url, clock):
    store = await CatalogStore.open(url, clock)
    yield store
    await store.aclose()


@pytest.fixture
async def store(catalog, clock):
    return JobStore(catalog.database, clock)


@pytest.fixture
async def other(url, clock):
    """The jobs as another process sees them."""
    opened = await CatalogStore.open(url, clock)
    yield JobStore(opened.database, clock)
    await opened.aclose()


@pytest.fixture
async def workspace_id(catalog):
    return (await catalog.list_workspaces())[0].id


@pytest.fixture
def new(workspace_id):
    """Return what makes a job of this workspace to be made."""

    def make(kind="import", **more):
        return NewJob(**({"workspace_id": workspace_id, "kind": kind} | more))

    return make
