"""A real database for each test, on SQLite and on PostgreSQL."""

import pytest

from gateway.catalog import CatalogStore
from gateway.core.clock import SystemClock


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite+aiosqlite:///{tmp_path}/catalog.db"


@pytest.fixture
async def store(url):
    store = await CatalogStore.open(url, SystemClock())
    yield store
    await store.aclose()


@pytest.fixture
async def other_store(url, store):
    """Another process on the same database."""
    other = await CatalogStore.open(url, SystemClock())
    yield other
    await other.aclose()


@pytest.fixture
async def workspace_id(store):
    return (await store.list_workspaces())[0].id
