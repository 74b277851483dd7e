"""What reads what: names in SQL, and what they stand for in a workspace."""

import pytest

from gateway.catalog import Changes, Copy, Datasource, Node, Pipe, Snapshot, Workspace
from gateway.control.pipe_graph import cycle, dependencies, dependents, fed, node_dependents
from gateway.control.pipe_sql import names_known


def datasource(name):
    return Datasource(f"id_{name}", "w", name, "", "n UInt8", {}, (), "csv", 1, {}, 0.0, 0.0)


def pipe(name, *sqls, targets=(), copy=None, workspace="w"):
    """A pipe of nodes a, b, …; `targets` are the data sources that they fill."""
    nodes = [
        Node(f"id_{name}_{letter}", letter, sql, materialized=target and f"id_{target}")
        for letter, sql, target in zip("abcd", sqls, [*targets, "", "", "", ""], strict=False)
    ]
    return Pipe(f"id_{name}", workspace, name, "", tuple(nodes), "", copy, {}, 1, "", 0.0, 0.0)


def snapshot(*resources):
    return Snapshot().after(
        Changes(
            1,
            is_complete=True,
            workspaces=(Workspace("w", "w", "ws_1", 0.0), Workspace("v", "v", "ws_2", 0.0)),
            datasources=tuple(each for each in resources if isinstance(each, Datasource)),
            pipes=tuple(each for each in resources if isinstance(each, Pipe)),
        )
    )


def test_a_name_is_a_node_then_a_data_source_then_a_pipe_and_never_the_node_itself():
    events, deeper = datasource("events"), pipe("deeper", "SELECT 1")
    reader = pipe(
        "reader", "SELECT * FROM events, a, deeper", "SELECT * FROM a, deeper_nothing, tinybird.jobs_log, system.one"
    )
    known = snapshot(events, deeper, reader)

    assert dependencies(known, reader, reader.nodes[0]) == ["deeper", "events"]
    assert dependencies(known, reader, reader.nodes[1]) == ["a", "tinybird.jobs_log"]
    assert dependents(known, events) == dependents(known, deeper) == ("reader",)
    assert node_dependents(reader, reader.nodes[0]) == ("b",)


@pytest.mark.parametrize(
    "user",
    [
        pipe("user", "SELECT * FROM events_quarantine"),
        pipe("user", "SELECT * FROM other WHERE n IN events"),
        pipe("user", "SELECT * FROM id_events"),
        pipe("user", "SELECT 1", targets=["events"]),
        pipe("user", "SELECT 1", copy=Copy("id_user_a", "id_events")),
        pipe("user", "% SELECT * FROM {% if defined(x) %} other {% else %} events {% end %}"),
        pipe("user", "% SELECT {{Int8(x)}} FROM other {% if x > 3 %} JOIN events USING n {% end %}"),
        pipe("user", "% SELECT * FROM other WHERE {{error('no')}} OR n IN (SELECT n FROM events)"),
    ],
    ids=["quarantine", "in", "id", "view", "copy", "else", "join", "subquery"],
)
def test_a_pipe_uses_what_it_reads_in_any_way_or_fills(user):
    events = datasource("events")

    assert dependents(snapshot(events, datasource("other"), user), events) == ("user",)


@pytest.mark.parametrize(
    "other",
    [
        pipe("other", "SELECT 'events', events FROM elsewhere -- events"),
        pipe("other", "WITH events AS (SELECT 1) SELECT * FROM events"),
        pipe("other", "SELECT * FROM events", workspace="v"),
        pipe("other", "SELECT FROM events WHERE ((("),
        pipe("other", "% {{ events"),
        pipe("other", ""),
    ],
    ids=["words", "cte", "other workspace", "no sql", "no template", "empty"],
)
def test_a_word_is_not_a_use(other):
    events = datasource("events")

    assert dependents(snapshot(events, other), events) == ()


def test_rows_reach_data_sources_through_views_of_views():
    known = snapshot(
        *(events := datasource("events"), datasource("daily"), datasource("monthly"), datasource("aside")),
        pipe("days", "SELECT * FROM events", "SELECT * FROM a", targets=["", "daily"]),
        pipe("months", "SELECT * FROM daily", targets=["monthly"]),
        pipe("reader", "SELECT * FROM events"),
    )

    assert fed(known, events) == {"daily": ("days",), "monthly": ("months",)}
    assert fed(known, datasource("aside")) == {}


def test_views_in_a_circle_end():
    known = snapshot(
        *(one := datasource("one"), datasource("two")),
        pipe("there", "SELECT * FROM one", targets=["two"]),
        pipe("back", "SELECT * FROM two", targets=["one"]),
    )

    assert fed(known, one) == {"two": ("there",)}


def test_a_circle_is_told_as_the_way_round():
    one, two = pipe("one", "SELECT 1"), pipe("two", "SELECT * FROM one")
    known = snapshot(one, two)

    assert cycle(known, one) == ()
    assert cycle(known, pipe("one", "SELECT 1", "SELECT * FROM two")) == ("one", "two", "one")
    assert cycle(known, pipe("new", "SELECT * FROM b", "SELECT * FROM c", "SELECT * FROM a")) == ("a", "b", "c", "a")
    assert cycle(known, pipe("new", "SELECT * FROM new")) == ("new", "new")


def test_many_nodes_that_read_all_before_them_are_looked_at_once_each():
    nodes = tuple(
        Node(f"id_{i}", f"n{i}", "SELECT * FROM " + ", ".join(f"n{j}" for j in range(i)) if i else "SELECT 1")
        for i in range(40)
    )
    dense = Pipe("id_p", "w", "p", "", nodes, "", None, {}, 1, "", 0.0, 0.0)

    assert cycle(snapshot(dense), dense) == ()


def test_a_template_that_repeats_itself_is_read_in_linear_time():
    assert names_known("% " + "FROM {% x %} " * 5000) == ("FROM",)
