"""Materialized nodes: made, refused, unlinked, populated. Source: pipes.md §5."""

import re

import pytest

from tests.support.gateway import WORKERS, Gateway
from tests.support.pipes import make_pipe
from tests.support.waiting import until

SCHEMA = "k String `json:$.k`, n UInt32 `json:$.n`"
COUNTS = "SELECT k, count() AS c, sum(n) AS s FROM {t} GROUP BY k"


def trigger(gateway: Gateway, rows: int = 0) -> str:
    name = gateway.create_datasource(SCHEMA)
    if rows:
        send(gateway, name, rows)
    return name


def send(gateway: Gateway, name: str, rows: int) -> None:
    body = "\n".join(f'{{"k": "k{i % 3}", "n": {i}}}' for i in range(rows))
    assert gateway.post_events(name, body.encode(), wait="true").status == 200


def pipe_over(gateway: Gateway, name: str, sql: str = COUNTS) -> str:
    return make_pipe(gateway, ("agg", sql.replace("{t}", name)))


def link(gateway: Gateway, pipe: str, target: str, node: str = "agg", **params: str):
    return gateway.post(f"/v0/pipes/{pipe}/nodes/{node}/materialization", datasource=target, **params)


def total(gateway: Gateway, target: str) -> int:
    return int(gateway.sql(f"SELECT sum(c) AS n FROM {target}")[0]["n"])


def test_a_node_fills_a_data_source_that_is_made_for_it(gateway):
    name = trigger(gateway, 3)
    pipe, target = pipe_over(gateway, name), gateway.new_name("target")

    made = link(gateway, pipe, target)

    assert made.status == 200, made.text
    target_id = gateway.datasource_id(target)
    assert (made.json["materialized"], made.json["node_type"]) == (target_id, "materialized")
    assert made.json["datasource"] == {"id": target_id, "name": target}
    assert (made.json["warnings"], "job" in made.json) == ([], False)
    send(gateway, name, 6)
    assert total(gateway, target) == 6, "rows from before the view are not in it"
    shown = gateway.get(f"/v0/pipes/{pipe}").json
    assert (shown["type"], shown["materialized_datasource"]) == ("materialized", target)
    assert f"DATASOURCE {target}" in gateway.get(f"/v1/pipes/{pipe}.pipe").text


def test_unlinked_rows_do_not_come_any_more_and_those_there_stay(gateway):
    name = trigger(gateway)
    pipe, target = pipe_over(gateway, name), gateway.new_name("target")
    link(gateway, pipe, target)
    send(gateway, name, 3)

    gone = gateway.request("DELETE", f"/v0/pipes/{pipe}/nodes/agg/materialization")

    assert (gone.status, gone.text) == (204, "")
    send(gateway, name, 3)
    assert total(gateway, target) == 3
    again = gateway.request("DELETE", f"/v0/pipes/{pipe}/nodes/agg/materialization")
    assert (again.status, again.error) == (400, f"Node 'agg' of '{pipe}' is not materialized")


def test_with_populate_each_row_is_counted_once(gateway):
    name = trigger(gateway, 300)
    pipe, target = pipe_over(gateway, name), gateway.new_name("target")

    made = link(gateway, pipe, target, populate="true")

    assert made.status == 200, made.text
    job = made.json["job"]
    assert (job["kind"], job["id"] == job["job_id"]) == ("populateview", True)
    assert (job["datasource"], job["pipe_name"]) == ({"id": gateway.datasource_id(target), "name": target}, pipe)
    assert job["job_url"].endswith(f"/v0/jobs/{job['id']}")
    done = gateway.await_job(job["id"])
    assert (done["status"], done["progress_percentage"]) == ("done", 100), done
    assert total(gateway, target) == 300
    send(gateway, name, 30)
    assert total(gateway, target) == 330
    assert gateway.sql(f"SELECT sum(s) AS s FROM {target}") == gateway.sql(f"SELECT sum(n) AS s FROM {name}")


def test_a_population_is_refused_where_rows_would_count_twice_and_done_with_truncate(gateway):
    name = trigger(gateway, 9)
    pipe, target = pipe_over(gateway, name), gateway.new_name("target")
    link(gateway, pipe, target)
    send(gateway, name, 6)
    path = f"/v0/pipes/{pipe}/nodes/agg/population"

    refused = gateway.post(path)
    started = gateway.post(path, truncate="true")

    assert refused.status == 409
    assert "truncate=true" in refused.error
    assert started.status == 200, started.text
    assert gateway.await_job(started.json["job"]["id"])["status"] == "done"
    assert total(gateway, target) == 15


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"populate_condition": "n < 4"}, 4),
        ({"populate_subset": "0.5"}, 5),
        ({"populate_subset": "1", "populate_condition": "n < 4"}, 10),
    ],
)
def test_a_part_of_the_rows_is_populated(gateway, params, expected):
    name = trigger(gateway, 10)
    pipe, target = pipe_over(gateway, name), gateway.new_name("target")

    made = link(gateway, pipe, target, populate="true", **params)

    assert gateway.await_job(made.json["job"]["id"])["status"] == "done"
    assert total(gateway, target) == expected


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("% SELECT k, count() AS c FROM {t} WHERE n > {{UInt32(n, 1)}} GROUP BY k", "support templates"),
        ("SELECT number AS c FROM numbers(3)", "must read from a Data Source first"),
        ("SELECT count() AS c FROM tinybird.pipe_stats", "service Data Sources"),
        ("SELECT k FROM {t} UNION ALL SELECT k FROM {t}", "UNION"),
        ("SELECT a.k AS k FROM {t} AS a JOIN {t} AS b ON a.k = b.k", "contains a join that is not optimized"),
        ("SELECT k, count() AS c FROM {t} GROUP BY k SETTINGS max_threads = 1", "FORMAT or SETTINGS"),
    ],
)
def test_a_node_that_cannot_be_a_view_is_refused(gateway, sql, words):
    name = trigger(gateway)
    pipe, target = pipe_over(gateway, name, sql), gateway.new_name("target")

    refused = link(gateway, pipe, target)

    assert refused.status == 400, refused.text
    assert words in refused.error
    assert gateway.get(f"/v0/datasources/{target}").status == 404
    assert gateway.get(f"/v0/pipes/{pipe}").json["type"] == "default"


def test_a_join_with_what_was_picked_before_is_fine(gateway):
    name, names = trigger(gateway), gateway.create_datasource("k String `json:$.k`, title String `json:$.title`")
    gateway.post_events(names, b'{"k": "k0", "title": "zero"}', wait="true")
    sql = (
        f"SELECT l.k AS k, r.title AS title, count() AS c FROM {name} AS l INNER JOIN "
        f"(SELECT k, title FROM {names} WHERE k IN (SELECT k FROM {name})) AS r ON l.k = r.k GROUP BY k, title"
    )
    pipe, target = make_pipe(gateway, ("agg", sql)), gateway.new_name("target")
    send(gateway, name, 3)

    made = link(gateway, pipe, target, populate="true")

    assert made.status == 200, made.text
    assert gateway.await_job(made.json["job"]["id"])["status"] == "done"
    send(gateway, name, 3)
    assert gateway.sql(f"SELECT title, sum(c) AS c FROM {target} GROUP BY title") == [{"title": "zero", "c": 2}]


def test_a_target_with_other_columns_is_refused_with_their_names(gateway):
    name = trigger(gateway)
    pipe = pipe_over(gateway, name)
    target = gateway.create_datasource("k UInt8, c UInt64, extra String")

    refused = link(gateway, pipe, target)

    assert refused.status == 400
    for words in ("'k' is String in the node and UInt8 there", "'s' (UInt64)", "'extra' (String)"):
        assert words in refused.error
    assert gateway.get(f"/v0/pipes/{pipe}").json["type"] == "default"


def test_rows_cannot_go_in_a_circle(gateway):
    one, other = gateway.create_datasource(SCHEMA), gateway.create_datasource(SCHEMA)
    there, back = make_pipe(gateway, ("a", f"SELECT * FROM {one}")), make_pipe(gateway, ("a", f"SELECT * FROM {other}"))
    assert link(gateway, there, other, "a").status == 200

    refused = link(gateway, back, one, "a")
    itself = link(gateway, back, other, "a")

    assert (refused.status, "circle" in refused.error) == (400, True)
    assert (itself.status, "what it reads" in itself.error) == (400, True)


def test_states_of_aggregates_are_kept_and_brought_together(gateway):
    name = trigger(gateway)
    pipe = pipe_over(gateway, name, "SELECT k, countState() AS c, uniqState(n) AS u FROM {t} GROUP BY k")
    target = gateway.new_name("target")
    proposed = gateway.get(f"/v0/pipes/{pipe}/nodes/agg/analysis", datasource=target).json

    made = link(gateway, pipe, target, populate="true")

    assert made.status == 200, made.text
    gateway.await_job(made.json["job"]["id"])
    send(gateway, name, 6)
    send(gateway, name, 6)
    rows = gateway.sql(f"SELECT countMerge(c) AS c, uniqMerge(u) AS u FROM {target}")
    assert rows == [{"c": 12, "u": 6}]
    assert gateway.get(f"/v0/datasources/{target}").json["engine"]["engine"] == "AggregatingMergeTree"
    assert "AggregatingMergeTree" in proposed["analysis"]["datasource"]["datafile"]
    assert f"DATASOURCE {target}" in proposed["analysis"]["pipe"]["datafile"]
    assert proposed["warnings"] == []


@pytest.mark.parametrize("path", ["population", "materialization", "analysis"])
def test_who_may_not_change_pipes_gets_none_of_it(gateway, path):
    name = trigger(gateway)
    pipe = pipe_over(gateway, name)
    token = gateway.make_token(f"DATASOURCES:READ:{name}", f"PIPES:READ:{pipe}")
    method = "GET" if path == "analysis" else "POST"

    assert gateway.request(method, f"/v0/pipes/{pipe}/nodes/agg/{path}", token=token).status == 403


def test_the_ops_log_says_that_a_view_was_populated(gateway):
    name = trigger(gateway, 3)
    pipe, target = pipe_over(gateway, name), gateway.new_name("target")
    gateway.await_job(link(gateway, pipe, target, populate="true").json["job"]["id"])

    query = f"SELECT DISTINCT event_type FROM tinybird.datasources_ops_log WHERE datasource_name = '{target}'"
    until(lambda: {row["event_type"] for row in gateway.sql(query)}, lambda types: {"populateview-queued"} <= types)


def test_who_waits_hears_at_once_that_a_view_fails_and_the_rows_flow_when_it_is_unlinked(gateway):
    name = trigger(gateway)
    pipe = pipe_over(gateway, name, "SELECT k, toUInt64(1 + throwIf(n = 66)) AS c FROM {t}")
    target = gateway.new_name("target")
    assert link(gateway, pipe, target).status == 200

    told = gateway.post_events(name, b'{"k": "a", "n": 66}', wait="true")

    assert told.status == 422, told.text
    assert (told.json["successful_rows"], told.json["quarantined_rows"]) == (1, 0)
    assert f"a materialized view of them fails: node 'agg' of '{pipe}': " in told.error
    assert "Do not send them again" in told.error
    assert "throwIf" in told.error
    assert "ws_" not in told.error
    assert gateway.count(name) == 1
    assert gateway.post_events(name, b'{"k": "a", "n": 1}').status == 202
    assert gateway.request("DELETE", f"/v0/pipes/{pipe}/nodes/agg/materialization").status == 204
    assert gateway.await_count(name, 2) == 2
    assert gateway.count(target) == 0


def test_a_populate_waits_for_rows_that_another_view_holds_and_counts_them_once(gateway):
    name = trigger(gateway, 5)
    broken = pipe_over(gateway, name, "SELECT k, toUInt64(1 + throwIf(n = 66)) AS c FROM {t}")
    assert link(gateway, broken, gateway.new_name("target")).status == 200
    assert gateway.post_events(name, b'{"k": "a", "n": 66}', wait="true").status == 422
    pipe, target = pipe_over(gateway, name), gateway.new_name("target")

    job = link(gateway, pipe, target, populate="true").json["job"]
    until(lambda: re.search(rf"hold.ended .*{gateway.datasource_id(name)}", gateway.log.read_text()))
    assert gateway.request("DELETE", f"/v0/pipes/{broken}/nodes/agg/materialization").status == 204

    assert gateway.await_job(job["id"])["status"] == "done"
    assert gateway.await_count(name, 6) == 6
    send(gateway, name, 2)
    assert total(gateway, target) == 8


def test_who_waits_behind_rows_that_a_view_fails_on_hears_of_it_at_once_too(gateway):
    name = trigger(gateway)
    pipe = pipe_over(gateway, name, "SELECT k, toUInt64(1 + throwIf(n = 66)) AS c FROM {t}")
    assert link(gateway, pipe, gateway.new_name("target")).status == 200
    for _ in range(12):  # whichever worker is asked looks what there is
        assert gateway.get(f"/v0/pipes/{pipe}").json["type"] == "materialized"

    told = [gateway.post_events(name, b'{"k": "a", "n": 66}', wait="true") for _ in range(WORKERS + 1)]

    assert [answer.status for answer in told] == [422] * len(told)
    behind = [answer for answer in told if "wait behind others" in answer.error]
    assert behind, [answer.error for answer in told]
    assert all(f"node 'agg' of '{pipe}': " in answer.error for answer in behind)
    assert gateway.request("DELETE", f"/v0/pipes/{pipe}/nodes/agg/materialization").status == 204
    assert gateway.await_count(name, len(told)) == len(told)


def test_what_a_view_stands_on_is_neither_changed_nor_dropped_unless_forced(gateway):
    name, other = trigger(gateway), trigger(gateway)
    pipe, target = pipe_over(gateway, name), gateway.new_name("target")
    link(gateway, pipe, target)
    node = f"/v0/pipes/{pipe}/nodes/agg"

    changed = gateway.request("PUT", node, f"SELECT k, count() AS c, max(n) AS s FROM {name} GROUP BY k")
    dropped = gateway.request("DELETE", f"/v0/pipes/{pipe}")
    without = [gateway.request("DELETE", f"/v0/datasources/{each}") for each in (name, target)]
    exchanged = gateway.post("/v0/datasources/exchange", datasource_a=name, datasource_b=other)

    for refused in (changed, dropped, *without, exchanged):
        assert refused.status == 409, refused.text
    assert all(pipe in refused.error for refused in (changed, dropped, *without, exchanged))
    send(gateway, name, 3)
    assert total(gateway, target) == 3
    assert gateway.request("DELETE", f"/v0/datasources/{target}?force=true").status == 204
    assert gateway.get(f"/v0/pipes/{pipe}").json["type"] == "default"
    send(gateway, name, 3)
    assert gateway.count(name) == 6
    assert link(gateway, pipe, gateway.new_name("target")).status == 200
    assert gateway.request("DELETE", f"/v0/pipes/{pipe}?force=true").status == 204
    send(gateway, name, 3)
    assert gateway.count(name) == 9


def test_a_pipe_file_makes_a_materialized_pipe_and_its_target_or_neither(gateway):
    name, target = trigger(gateway), gateway.new_name("target")
    text = f"NODE agg\nSQL >\n    {COUNTS.replace('{t}', name)}\nTYPE materialized\nDATASOURCE {target}\nENGINE SummingMergeTree\n"
    pipe, broken = gateway.new_name("pipe"), gateway.new_name("pipe")

    made = gateway.request("POST", f"/v0/pipes?name={pipe}", text)
    refused = gateway.request(
        "POST", f"/v0/pipes?name={broken}", text.replace(f"DATASOURCE {target}", f"DATASOURCE {name}")
    )

    assert made.status == 200, made.text
    assert (made.json["type"], made.json["materialized_datasource"]) == ("materialized", target)
    assert gateway.get(f"/v0/datasources/{target}").json["engine"]["engine"] == "SummingMergeTree"
    send(gateway, name, 3)
    assert total(gateway, target) == 3
    assert refused.status == 400
    assert gateway.get(f"/v0/pipes/{broken}").status == 404
    again = gateway.request("POST", f"/v0/pipes?name={pipe}&force=true", text)
    assert again.status == 200, again.text
    assert again.json["type"] == "materialized"


def test_a_pipe_that_is_pushed_with_populate_has_the_rows_from_before(gateway):
    name, target, pipe = trigger(gateway, 30), gateway.new_name("target"), gateway.new_name("pipe")
    text = f"NODE agg\nSQL >\n    {COUNTS.replace('{t}', name)}\nTYPE materialized\nDATASOURCE {target}\n"

    made = gateway.request("POST", f"/v0/pipes?name={pipe}&populate=true&populate_condition=n%3C20", text)

    assert made.status == 200, made.text
    assert (made.json["datasource"]["name"], made.json["created_datasource"]) == (target, True)
    assert gateway.await_job(made.json["job"]["job_id"])["status"] == "done"
    assert total(gateway, target) == 20
    forced = f"/v0/pipes?name={pipe}&force=true&populate=true"
    refused, again = gateway.request("POST", forced, text), gateway.request("POST", f"{forced}&truncate=true", text)
    assert (refused.status, "truncate=true" in refused.error) == (409, True)
    assert gateway.await_job(again.json["job"]["job_id"])["status"] == "done"
    assert total(gateway, target) == 30


@pytest.mark.parametrize(
    ("altered", "schema", "says"),
    [
        ("trigger", "k String, n Nullable(UInt32)", "'n' is Nullable(UInt32) in the node and UInt32 there"),
        ("trigger", "k String, n UInt32, more String DEFAULT 'x'", "'more' (String) is not a column of it"),
        ("target", "k String, n UInt32, extra UInt8", "'extra' (UInt8) is not in the node"),
    ],
)
def test_an_alter_that_a_view_could_not_go_on_with_is_refused_with_its_name(gateway, altered, schema, says):
    by_k = {"engine": "MergeTree", "engine_sorting_key": "k"}
    names = {each: gateway.create_datasource("k String, n UInt32", **by_k) for each in ("trigger", "target")}
    pipe = make_pipe(gateway, ("agg", f"SELECT * FROM {names['trigger']}"))
    assert link(gateway, pipe, names["target"]).status == 200
    path = f"/v0/datasources/{names[altered]}/alter"

    refused = [gateway.post(path, schema=schema, **dry) for dry in ({}, {"dry": "true"})]

    for answer in refused:
        assert answer.status == 409, answer.text
        assert pipe in answer.error, answer.error
        assert says in answer.error, answer.error
    assert gateway.post_events(names["trigger"], b'{"k": "a", "n": 1}', wait="true").status == 200
    assert gateway.count(names["target"]) == 1
    gateway.request("DELETE", f"/v0/pipes/{pipe}/nodes/agg/materialization")
    assert gateway.post(path, schema=schema).status == 200


def test_a_column_that_is_new_in_the_target_first_comes_through_a_view_of_everything(gateway):
    name, target = gateway.create_datasource("k String"), gateway.create_datasource("k String")
    pipe = make_pipe(gateway, ("agg", f"SELECT * FROM {name}"))
    assert link(gateway, pipe, target).status == 200
    plain = gateway.create_datasource("k String")
    named = make_pipe(gateway, ("agg", f"SELECT k FROM {name}"))
    assert link(gateway, named, plain).status == 200

    altered = [
        gateway.post(f"/v0/datasources/{each}/alter", schema="k String, n UInt32 DEFAULT 7") for each in (target, name)
    ]

    assert [answer.status for answer in altered] == [200, 200], [answer.text for answer in altered]
    assert gateway.post_events(name, b'{"k": "a", "n": 1}', wait="true").status == 200
    assert gateway.sql(f"SELECT k, n FROM {target}") == [{"k": "a", "n": 1}]
    assert gateway.sql(f"SELECT * FROM {plain}") == [{"k": "a"}]
