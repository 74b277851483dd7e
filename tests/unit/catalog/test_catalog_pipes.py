"""Pipes and variables in the record, on every database the suite has."""

import pytest

from gateway.bootstrap.lane import view_label
from gateway.catalog import Catalog, Copy, Definition, NameTaken, Node
from gateway.core.clock import SystemClock
from gateway.core.errors import Conflict, NotFound

NODES = (Node("t_" + "1" * 32, "first", "SELECT 1 AS a"), Node("t_" + "2" * 32, "last", "SELECT a FROM first", "d"))


@pytest.fixture
async def pipe(store, workspace_id):
    async with store.change() as change:
        return await change.create_pipe(workspace_id, "top", NODES, edited_by="me")


async def test_a_pipe_is_read_back_as_it_was_recorded(store, workspace_id, pipe):
    snapshot = await store.load_snapshot()

    assert snapshot.pipe(workspace_id, "top") == snapshot.pipe(workspace_id, pipe.id) == pipe
    assert snapshot.pipe("another", pipe.id) is None
    assert pipe.output == NODES[1]


async def test_a_change_of_a_pipe_reaches_a_catalog_that_knew_it(store, workspace_id, pipe):
    catalog = Catalog(store, SystemClock())
    await catalog.start()
    target = "t_" + "3" * 32

    async with store.change() as change:
        await change.update_pipe(
            pipe.id, from_version=1, edited_by="you", endpoint=NODES[0].id, copy=Copy(NODES[1].id, target)
        )
    await catalog.refresh()
    changed = catalog.snapshot.pipe(workspace_id, "top")
    assert (changed.version, changed.edited_by, changed.output) == (2, "you", NODES[0])
    assert changed.copy == Copy(NODES[1].id, target, "append", "")

    async with store.change() as change:
        kept = await change.update_pipe(pipe.id, from_version=2, edited_by="you", description="d")
        assert kept.copy == changed.copy
        await change.update_pipe(pipe.id, from_version=3, edited_by="you", copy=None)
        await change.drop_pipe(pipe.id)
    await catalog.refresh()
    assert catalog.snapshot.pipe(workspace_id, "top") is None


async def test_a_view_is_called_by_its_node_although_another_process_linked_it_a_moment_ago(store, workspace_id):
    catalog = Catalog(store, SystemClock())  # nothing polls
    await catalog.start()
    async with store.change() as change:
        await change.create_pipe(workspace_id, "top", NODES, edited_by="me")

    assert await view_label(catalog, f"{NODES[1].id}__view") == "node 'last' of 'top'"
    assert await view_label(catalog, "v_by_hand") == "v_by_hand"


async def test_who_decided_on_an_earlier_version_of_a_pipe_is_told(store, pipe):
    async with store.change() as change:
        await change.update_pipe(pipe.id, from_version=1, edited_by="you", description="d")
        with pytest.raises(Conflict, match="changed at the same time"):
            await change.update_pipe(pipe.id, from_version=1, edited_by="you", description="e")


async def test_pipes_and_data_sources_share_their_names(store, workspace_id, pipe):
    async with store.change() as change:
        with pytest.raises(NameTaken, match='Pipe "top" already exists'):
            await change.create_datasource(workspace_id, Definition("top", "a String"))
        with pytest.raises(NameTaken, match='Pipe "top" already exists'):
            await change.create_pipe(workspace_id, "top", NODES)


async def test_a_variable_lives_and_goes_with_its_workspace(store):
    async with store.change() as change:
        workspace = await change.create_workspace("acme")
        variable = await change.create_variable(workspace.id, "key", "sealed", edited_by="me")
        with pytest.raises(NameTaken):
            await change.create_variable(workspace.id, "key", "other")
        await change.update_variable(variable.id, "sealed again", edited_by="you")
        assert await change.count_variables(workspace.id) == 1
    snapshot = await store.load_snapshot()
    assert snapshot.variable(workspace.id, "key").sealed == "sealed again"
    assert [each.name for each in snapshot.variables_of(workspace.id)] == ["key"]

    async with store.change() as change:
        await change.drop_workspace(workspace.id)
        with pytest.raises(NotFound):
            await change.drop_variable(variable.id)
    changes = await store.changes_since(snapshot.version)
    assert snapshot.after(changes).variable(workspace.id, "key") is None
