"""The record in the database: what is written is there, for everybody, whole or not at all."""

import asyncio

import pytest

from gateway.catalog import CatalogStore, Definition, NameTaken, Origin, engines
from gateway.core.clock import SystemClock
from gateway.core.errors import Conflict, InvalidRequest, NotFound, Unavailable

EVENTS = Definition(
    name="events",
    schema_text="`at` DateTime `json:$.at`,\n`city` Nullable(String) `json:$.city`",
    engine_options={"engine": "MergeTree", "engine_sorting_key": "at"},
    indexes=("INDEX i city TYPE bloom_filter GRANULARITY 4",),
    description="what happened — ünïcode",
    tags={"team": "growth"},
)


async def test_a_new_database_has_the_first_workspace_and_its_tokens(store):
    snapshot = await store.load_snapshot()

    assert [workspace.name for workspace in snapshot.workspaces.values()] == ["Tinybird_Local_Testing"]
    assert {(token.name, token.scopes, token.builtin) for token in snapshot.tokens.values()} == {
        ("workspace admin token", ("ADMIN",), "workspace_admin"),
        ("admin local_testing@tinybird.co", ("ADMIN_USER",), "admin"),
        ("create datasource token", ("DATASOURCES:CREATE",), None),
        ("user local_testing@tinybird.co", ("ADMIN_USER",), "user"),
    }


async def test_opening_a_database_again_changes_nothing(url, store):
    before = await store.load_snapshot()

    again = await CatalogStore.open(url, SystemClock())

    assert await again.load_snapshot() == before
    await again.aclose()


async def test_processes_that_start_at_the_same_moment_make_one_first_workspace(url):
    stores = await asyncio.gather(*(CatalogStore.open(url, SystemClock()) for _ in range(6)))

    snapshots = await asyncio.gather(*(store.load_snapshot() for store in stores))

    assert {tuple(snapshot.workspaces) for snapshot in snapshots} == {tuple(snapshots[0].workspaces)}
    assert {len(snapshot.tokens) for snapshot in snapshots} == {4}
    for store in stores:
        await store.aclose()


async def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="try again"):
        await CatalogStore.open(f"sqlite+aiosqlite:///{tmp_path}/missing/catalog.db", SystemClock())


async def test_what_is_recorded_is_read_back_by_another_process(store, other_store, workspace_id):
    async with store.change() as change:
        workspace = await change.create_workspace("acme")
        datasource = await change.create_datasource(workspace.id, EVENTS)
        token = await change.create_token(
            workspace.id,
            "app (builtin) ü",
            (f"DATASOURCES:READ:{datasource.id}:a = ':'",),
            description="d",
            origin=Origin("DS", datasource.id),
        )

    assert await other_store.get_workspace(workspace.id) == workspace
    assert await other_store.get_datasource(datasource.id) == datasource
    assert await other_store.get_token(token.id) == token
    assert await other_store.find_token(workspace.id, "app (builtin) ü") == token
    assert await other_store.list_datasources(workspace.id) == [datasource]
    assert [each.name for each in await other_store.list_workspaces()] == ["Tinybird_Local_Testing", "acme"]
    assert await other_store.list_datasources(workspace_id) == []


async def test_what_is_not_there_is_none(store, workspace_id):
    assert await store.get_workspace("x") is None
    assert await store.get_datasource("x") is None
    assert await store.get_token("x") is None
    assert await store.find_token(workspace_id, "x") is None


async def test_a_new_workspace_has_tokens_of_its_own_but_no_user_token(store):
    async with store.change() as change:
        workspace = await change.create_workspace("acme")

    assert [(token.name, token.builtin) for token in await store.list_tokens(workspace.id)] == [
        ("admin local_testing@tinybird.co", "admin"),
        ("create datasource token", None),
        ("workspace admin token", "workspace_admin"),
    ]


async def test_a_change_that_fails_leaves_nothing_behind(store, workspace_id):
    before = await store.load_snapshot()

    async def create_twice():
        async with store.change() as change:
            await change.create_datasource(workspace_id, EVENTS)
            await change.create_datasource(workspace_id, EVENTS)

    with pytest.raises(NameTaken):
        await create_twice()

    assert await store.load_snapshot() == before


async def test_changes_of_several_processes_all_happen(store, other_store, workspace_id):
    before = await store.version()

    async def create(where, name):
        async with where.change() as change:
            await change.create_token(workspace_id, name, ("TOKENS",))

    await asyncio.gather(*(create((store, other_store)[n % 2], f"token {n}") for n in range(12)))

    assert await store.version() == before + 12
    assert len(await store.list_tokens(workspace_id)) == 4 + 12


async def test_of_two_processes_that_want_a_name_one_gets_it(store, other_store, workspace_id):
    async def create(where):
        async with where.change() as change:
            return await change.create_datasource(workspace_id, EVENTS)

    results = await asyncio.gather(create(store), create(other_store), return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["Datasource", "NameTaken"]


async def test_a_writer_that_waits_too_long_hears_unavailable(url, store, monkeypatch):
    monkeypatch.setattr(engines, "LOCK_WAIT_SECONDS_MAX", 0.2 if url.startswith("sqlite") else 1)
    hasty = await CatalogStore.open(url, SystemClock())

    async with store.change():
        with pytest.raises(Unavailable):
            async with hasty.change():
                pass

    await hasty.aclose()


async def test_reading_does_not_wait_for_a_writer(store, other_store, workspace_id):
    async with store.change() as change:
        await change.create_datasource(workspace_id, EVENTS)

        assert await other_store.list_datasources(workspace_id) == []


async def test_a_closed_store_can_be_closed_again(url):
    store = await CatalogStore.open(url, SystemClock())

    await store.aclose()
    await store.aclose()


class TestNames:
    async def test_a_name_is_taken_once_in_a_workspace(self, store, workspace_id):
        async with store.change() as change:
            await change.create_datasource(workspace_id, EVENTS)
            await change.create_token(workspace_id, "app", ("ADMIN",))
            workspace = await change.create_workspace("acme")

            with pytest.raises(NameTaken, match='Data Source "events" already exists'):
                await change.create_datasource(workspace_id, EVENTS)
            with pytest.raises(NameTaken, match='Token "app" already exists'):
                await change.create_token(workspace_id, "app", ("ADMIN",))
            with pytest.raises(NameTaken, match='Workspace "acme" already exists'):
                await change.create_workspace("acme")
            await change.create_datasource(workspace.id, EVENTS)
            await change.create_token(workspace.id, "app", ("ADMIN",))

    async def test_names_differ_by_case(self, store, workspace_id):
        async with store.change() as change:
            await change.create_datasource(workspace_id, EVENTS)
            await change.create_datasource(workspace_id, Definition("Events", "a Int64"))

        assert {each.name for each in await store.list_datasources(workspace_id)} == {"Events", "events"}

    async def test_a_rename_frees_the_old_name_and_takes_the_new(self, store, workspace_id):
        async with store.change() as change:
            old = await change.create_datasource(workspace_id, EVENTS)
            await change.update_datasource(old.id, name="visits")

            new = await change.create_datasource(workspace_id, EVENTS)
            with pytest.raises(NameTaken):
                await change.update_datasource(new.id, name="visits")

        assert {(each.id, each.name) for each in await store.list_datasources(workspace_id)} == {
            (old.id, "visits"),
            (new.id, "events"),
        }

    async def test_a_dropped_name_is_free_and_gets_another_id(self, store, workspace_id):
        async with store.change() as change:
            old = await change.create_datasource(workspace_id, EVENTS)
            await change.drop_datasource(old.id)
            new = await change.create_datasource(workspace_id, EVENTS)

        assert new.table != old.table
        assert await store.list_datasources(workspace_id) == [new]

    async def test_a_name_may_be_given_again_to_its_owner(self, store, workspace_id):
        async with store.change() as change:
            datasource = await change.create_datasource(workspace_id, EVENTS)
            token = await change.create_token(workspace_id, "app", ("ADMIN",))

            assert (await change.update_datasource(datasource.id, name="events")).name == "events"
            assert (await change.update_token(token.id, name="app")).name == "app"
            assert (await change.rename_workspace(workspace_id, "Tinybird_Local_Testing")).id == workspace_id

    @pytest.mark.parametrize("name", ["", "1st", "a-b", "select", "Table", "x_quarantine", "t_" + "0" * 32, "x" * 999])
    async def test_what_is_no_name_is_refused(self, store, workspace_id, name):
        async with store.change() as change:
            with pytest.raises(InvalidRequest):
                await change.create_datasource(workspace_id, Definition(name, "a Int64"))
            with pytest.raises(InvalidRequest):
                await change.create_workspace(name)

    @pytest.mark.parametrize("name", ["", "  ", "x" * 999, "a\nb", "a\0b", "a\ud800"])
    async def test_what_is_no_name_of_a_token_is_refused(self, store, workspace_id, name):
        async with store.change() as change:
            with pytest.raises(InvalidRequest):
                await change.create_token(workspace_id, name, ("ADMIN",))


class TestDatasources:
    async def test_an_alter_makes_a_new_version_and_a_rename_does_not(self, store, workspace_id):
        async with store.change() as change:
            first = await change.create_datasource(workspace_id, EVENTS)
            renamed = await change.update_datasource(first.id, name="visits", description="", tags={})
            altered = await change.alter_datasource(first.id, from_version=1, schema_text="a Int64")

        assert (first.version, renamed.version, altered.version) == (1, 1, 2)
        assert (altered.name, altered.schema_text, altered.indexes) == ("visits", "a Int64", EVENTS.indexes)

    async def test_an_alter_of_what_was_altered_since_is_refused(self, store, workspace_id):
        async with store.change() as change:
            datasource = await change.create_datasource(workspace_id, EVENTS)
            await change.alter_datasource(datasource.id, from_version=1, indexes=())

            with pytest.raises(Conflict, match="altered at the same time"):
                await change.alter_datasource(datasource.id, from_version=1, indexes=("INDEX …",))

    async def test_an_id_chosen_beforehand_is_kept(self, store, workspace_id):
        async with store.change() as change:
            datasource = await change.create_datasource(workspace_id, EVENTS, "t_" + "a" * 32)

        assert datasource.table == "t_" + "a" * 32
        assert datasource.quarantine_table == datasource.table + "_quarantine"

    async def test_an_id_that_exists_is_refused(self, store, workspace_id):
        async with store.change() as change:
            datasource = await change.create_datasource(workspace_id, EVENTS)

        with pytest.raises(Conflict):
            async with store.change() as change:
                await change.create_datasource(workspace_id, Definition("other", "a Int64"), datasource.id)

    async def test_the_schema_is_parsed_once_however_often_the_row_changes(self, store, workspace_id):
        async with store.change() as change:
            first = await change.create_datasource(workspace_id, EVENTS)
            renamed = await change.update_datasource(first.id, name="visits")

        assert (await store.get_datasource(first.id)).schema is first.schema
        assert renamed.schema is first.schema

    @pytest.mark.parametrize("text", ["a\0b", "a\ud800"])
    async def test_text_that_one_of_the_databases_cannot_keep_is_refused(self, store, workspace_id, text):
        async with store.change() as change:
            for definition in (
                Definition("x", "a Int64", description=text),
                Definition("x", text),
            ):
                with pytest.raises(InvalidRequest, match="can not be stored"):
                    await change.create_datasource(workspace_id, definition)
            if "\0" not in text:
                with pytest.raises(InvalidRequest, match="can not be stored"):
                    await change.create_datasource(workspace_id, Definition("x", "a Int64", tags={"a": text}))


class TestTokens:
    async def test_scopes_given_replace_the_old_ones(self, store, workspace_id):
        async with store.change() as change:
            token = await change.create_token(workspace_id, "app", ("TOKENS", "DATASOURCES:CREATE"), description="d")
            changed = await change.update_token(token.id, scopes=("PIPES:CREATE",))

        assert (changed.scopes, changed.name, changed.description) == (("PIPES:CREATE",), "app", "d")
        assert await store.get_token(token.id) == changed

    async def test_a_refresh_counts_up(self, store, workspace_id):
        async with store.change() as change:
            token = await change.create_token(workspace_id, "app", ("TOKENS",))
            refreshed = await change.refresh_token(token.id)

        assert (token.secret_version, refreshed.secret_version) == (1, 2)
        assert await store.get_token(token.id) == refreshed

    async def test_a_token_that_came_with_the_workspace_stays(self, store, workspace_id):
        builtin = [token for token in await store.list_tokens(workspace_id) if token.builtin]

        async with store.change() as change:
            for token in builtin:
                with pytest.raises(Conflict):
                    await change.drop_token(token.id)
                with pytest.raises(Conflict):
                    await change.update_token(token.id, scopes=())
                with pytest.raises(Conflict):
                    await change.update_token(token.id, name=f"my {token.name}")
                await change.update_token(token.id, name=token.name, description="mine", scopes=token.scopes)

        assert len(builtin) == 3

    async def test_a_dropped_token_is_gone(self, store, workspace_id):
        async with store.change() as change:
            token = await change.create_token(workspace_id, "app", ("TOKENS",))
            await change.drop_token(token.id)

        assert await store.get_token(token.id) is None


class TestWorkspaces:
    async def test_a_dropped_workspace_takes_along_what_is_in_it(self, store, workspace_id):
        before = await store.load_snapshot()
        async with store.change() as change:
            workspace = await change.create_workspace("acme")
            await change.create_datasource(workspace.id, EVENTS)

        async with store.change() as change:
            await change.drop_workspace(workspace.id)

        after = await store.load_snapshot()
        assert (after.workspaces, after.datasources, after.tokens) == (
            before.workspaces,
            before.datasources,
            before.tokens,
        )

    async def test_what_is_on_its_way_to_a_dropped_workspace_can_be_told_that_it_is_gone(self, store, workspace_id):
        async with store.change() as change:
            workspace = await change.create_workspace("acme")
            made = await change.create_datasource(workspace.id, EVENTS)
            kept = await change.create_datasource(workspace_id, EVENTS)

        async with store.change() as change:
            await change.drop_workspace(workspace.id)

        assert await store.was_dropped(made.id)
        assert not await store.was_dropped(kept.id)
        assert await store.dropped_workspaces() == [workspace.id]

    async def test_the_first_workspace_stays(self, store, workspace_id):
        async with store.change() as change:
            with pytest.raises(Conflict, match="first workspace"):
                await change.drop_workspace(workspace_id)

    async def test_a_renamed_workspace_keeps_its_database(self, store, workspace_id):
        before = await store.get_workspace(workspace_id)

        async with store.change() as change:
            await change.rename_workspace(workspace_id, "acme")

        after = await store.get_workspace(workspace_id)
        assert (after.name, after.database) == ("acme", "ws_" + workspace_id.replace("-", "")[:12])
        assert after.database == before.database


@pytest.mark.parametrize(
    "act",
    [
        lambda change: change.create_datasource("x", EVENTS),
        lambda change: change.update_datasource("x"),
        lambda change: change.alter_datasource("x", from_version=1),
        lambda change: change.drop_datasource("x"),
        lambda change: change.create_token("x", "app", ()),
        lambda change: change.update_token("x"),
        lambda change: change.refresh_token("x"),
        lambda change: change.drop_token("x"),
        lambda change: change.rename_workspace("x", "y"),
        lambda change: change.drop_workspace("x"),
    ],
)
async def test_changing_what_does_not_exist_is_not_found(store, act):
    async with store.change() as change:
        with pytest.raises(NotFound, match='"x" does not exist'):
            await act(change)


async def test_callers_that_are_cancelled_leave_no_lock_behind(store, other_store, workspace_id):
    """A client that hangs up in the middle of a change must not keep everybody else from changing anything."""

    async def create(name):
        async with store.change() as change:
            await change.create_datasource(workspace_id, Definition(name, "a Int64"))

    for turns in range(0, 3000, 50):
        task = asyncio.ensure_future(create(f"d{turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        async with asyncio.timeout(30), other_store.change() as change:
            await change.create_token(workspace_id, f"app {turns}", ("TOKENS",))
    assert store._database._engine.pool.checkedout() == 0
