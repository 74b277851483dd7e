"""A real database for each test: a file of its own, or the PostgreSQL database that SLUICE_TEST_DATABASE_URL names."""

import asyncio
import os

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.catalog import CatalogStore
from gateway.core.clock import SystemClock


@pytest.fixture
def url(tmp_path):
    given = os.environ.get("SLUICE_TEST_DATABASE_URL")
    if not given:
        return f"sqlite+aiosqlite:///{tmp_path}/catalog.db"
    asyncio.run(_empty(given))
    return given


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


async def _empty(url):
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await engine.dispose()
