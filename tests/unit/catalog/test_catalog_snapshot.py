"""The record in memory: the same as in the database, whatever way it came there."""

import random

import pytest

from gateway.catalog import BuiltinToken, Changes, Definition, Snapshot, tables
from gateway.core.errors import GatewayError


async def _walk(store, steps, seed):
    """Make `steps` random changes, some of which fail."""
    chance = random.Random(seed)
    for step in range(steps):
        snapshot = await store.load_snapshot()
        workspace_id = chance.choice(list(snapshot.workspaces))
        token_id = chance.choice(list(snapshot.tokens))
        datasource_id = chance.choice([*snapshot.datasources, "t_none"])
        name = f"n{chance.randrange(6)}"
        try:
            async with store.change() as change:
                for _ in range(chance.choice([1, 1, 3])):
                    match chance.randrange(10):
                        case 0:
                            await change.create_workspace(f"ws{step}")
                        case 1:
                            await change.drop_workspace(workspace_id)
                        case 2 | 3 | 4:
                            await change.create_datasource(workspace_id, Definition(name, "a Int64"))
                        case 5:
                            await change.update_datasource(datasource_id, name=name)
                        case 6:
                            await change.drop_datasource(datasource_id)
                        case 7:
                            await change.create_token(workspace_id, f"token {step} {name}", ("TOKENS",))
                        case 8:
                            await change.refresh_token(token_id)
                        case 9:
                            await change.drop_token(token_id)
        except GatewayError:
            pass


@pytest.mark.parametrize("seed", range(6))
async def test_following_changes_gives_the_same_as_loading_everything(store, other_store, seed):
    followed = await other_store.load_snapshot()
    chance = random.Random(seed)

    for turn in range(6):
        await _walk(store, chance.randrange(1, 12), seed * 100 + turn)
        followed = followed.after(await other_store.changes_since(followed.version))

        assert followed == await store.load_snapshot()


async def test_what_did_not_change_stays_the_same_object(store, workspace_id):
    async with store.change() as change:
        kept = await change.create_datasource(workspace_id, Definition("kept", "a Int64"))
        renamed = await change.create_datasource(workspace_id, Definition("before", "a Int64"))
    before = await store.load_snapshot()
    async with store.change() as change:
        await change.update_datasource(renamed.id, name="now")

    for changes in (await store.changes_since(before.version), await store.changes_since(None)):
        after = before.after(changes)

        assert after.datasources[kept.id] is before.datasources[kept.id]
        assert after.datasources[renamed.id].name == "now"
        assert all(after.tokens[token_id] is token for token_id, token in before.tokens.items())


async def test_only_what_changed_is_fetched(store, workspace_id):
    version = await store.version()
    async with store.change() as change:
        token = await change.create_token(workspace_id, "app", ("TOKENS",))

    assert await store.changes_since(version) == Changes(version=version + 1, tokens=(token,))
    assert await store.changes_since(version + 1) == Changes(version=version + 1)


async def test_a_snapshot_after_no_change_is_itself(store):
    snapshot = await store.load_snapshot()

    assert snapshot.after(await store.changes_since(snapshot.version)) is snapshot


async def test_a_reader_too_far_behind_loads_everything_and_misses_no_drop(store, workspace_id, monkeypatch):
    monkeypatch.setattr(tables, "TOMBSTONE_VERSIONS_MAX", 3)
    async with store.change() as change:
        doomed = [await change.create_datasource(workspace_id, Definition(f"d{n}", "a Int64")) for n in range(6)]
    behind = await store.load_snapshot()
    for each in doomed[:4]:
        async with store.change() as change:
            await change.drop_datasource(each.id)

    changes = await store.changes_since(behind.version)

    assert changes.is_complete
    assert set(behind.after(changes).datasources) == {each.id for each in doomed[4:]}


async def test_tombstones_are_cleared_away(store, workspace_id, monkeypatch):
    monkeypatch.setattr(tables, "TOMBSTONE_VERSIONS_MAX", 3)
    version = await store.version()

    for _ in range(8):
        async with store.change() as change:
            token = await change.create_token(workspace_id, "app", ("TOKENS",))
            await change.drop_token(token.id)

    monkeypatch.setattr(tables, "TOMBSTONE_VERSIONS_MAX", 1000)
    assert len((await store.changes_since(version)).gone) == 4


async def test_a_count_that_went_back_is_another_database(store):
    snapshot = await store.load_snapshot()

    changes = await store.changes_since(snapshot.version + 7)

    assert changes.is_complete


async def test_an_id_that_comes_back_is_there(store, workspace_id):
    id_ = "t_" + "1" * 32
    for _ in range(2):
        before = await store.load_snapshot()
        async with store.change() as change:
            await change.create_datasource(workspace_id, Definition("events", "a Int64"), id_)
            await change.drop_datasource(id_)
            await change.create_datasource(workspace_id, Definition("events", "a Int64"), id_)
        after = before.after(await store.changes_since(before.version))
        async with store.change() as change:
            await change.drop_datasource(id_)

        assert after.datasource(workspace_id, "events").id == id_


async def test_a_data_source_is_found_by_name_and_by_id_in_its_workspace_only(store, workspace_id):
    async with store.change() as change:
        acme = await change.create_workspace("acme")
        mine = await change.create_datasource(acme.id, Definition("events", "a Int64"))

    snapshot = await store.load_snapshot()

    assert snapshot.datasource(acme.id, "events") == mine
    assert snapshot.datasource(acme.id, mine.id) == mine
    assert snapshot.datasources_of(acme.id) == [mine]
    assert snapshot.datasource(workspace_id, "events") is None
    assert snapshot.datasource(workspace_id, mine.id) is None
    assert snapshot.datasources_of(workspace_id) == []


async def test_a_workspace_is_found_by_name_and_by_id(store, workspace_id):
    snapshot = await store.load_snapshot()

    assert snapshot.workspace("Tinybird_Local_Testing").id == workspace_id
    assert snapshot.workspace(workspace_id).id == workspace_id
    assert snapshot.workspace("other") is None


async def test_the_tokens_of_a_workspace_are_found_by_their_part(store, workspace_id):
    async with store.change() as change:
        acme = await change.create_workspace("acme")
    before = await store.load_snapshot()
    async with store.change() as change:
        await change.drop_workspace(acme.id)
    after = before.after(await store.changes_since(before.version))

    assert before.builtin_token(acme.id, BuiltinToken.WORKSPACE_ADMIN).workspace_id == acme.id
    assert after.builtin_token(acme.id, BuiltinToken.WORKSPACE_ADMIN) is None
    assert after.user_token() is before.tokens[after.user_token().id]
    assert after.user_token().workspace_id == workspace_id


def test_an_empty_snapshot_has_nothing():
    assert Snapshot().user_token() is None
    assert Snapshot().workspace("x") is None
    assert Snapshot().datasource("x", "y") is None
