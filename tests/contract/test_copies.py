"""Copy pipes: set, run, scheduled, paused, cancelled, on a real gateway. Source: pipes.md §6."""

import re
import time
from threading import Event, Thread

import pytest
from orjson import dumps

from tests.support.copies import NODE, jobs_of, make_copy, make_due, run_copy, set_copy
from tests.support.pipes import make_endpoint, make_pipe
from tests.support.waiting import until

SCHEMA = "n UInt64 `json:$.n`, s String `json:$.s`"
ENDLESS = "SELECT number AS n, 'x' AS s FROM system.numbers WHERE number % 1000000007 = 1000000008"


@pytest.fixture
def target(gateway):
    return gateway.create_datasource(SCHEMA)


def values(gateway, name):
    return [(int(row["n"]), row["s"]) for row in gateway.sql(f"SELECT n, s FROM {name} ORDER BY n, s")]


def logged(gateway, job):
    """The entry of the operations log, which a job worker writes every two seconds."""
    query = f"SELECT * FROM tinybird.datasources_ops_log WHERE job_id = '{job['id']}'"
    (row,) = until(lambda: gateway.sql(query))
    return row


# What is answered


def test_a_copy_is_set_and_its_pipe_says_so(gateway, target):
    pipe = make_pipe(gateway, ("first", "SELECT 1 AS n"), (NODE, "SELECT n, 'a' AS s FROM first"))
    made = set_copy(gateway, pipe, target_datasource=target, schedule_cron="*/15 * * * *", mode="replace")
    assert made.status == 200, made.text
    shown = made.json
    copied = shown["nodes"][1]
    workspace = gateway.get("/v0/workspace").json["id"]
    assert shown["type"] == "copy"
    assert shown["endpoint"] is None
    assert shown["copy_node"] == copied["id"]
    assert shown["copy_target_datasource"] == gateway.datasource_id(target)
    assert shown["copy_target_workspace"] == workspace
    assert shown["copy_mode"] == "replace"
    assert shown["schedule"] == {"timezone": "Etc/UTC", "cron": "*/15 * * * *", "status": "running"}
    assert copied["node_type"] == "copy"
    assert copied["tags"] == {
        "copy_target_datasource": gateway.datasource_id(target),
        "copy_target_workspace": workspace,
    }
    found = gateway.get(f"/v0/pipes/{pipe}").json
    assert {name: found[name] for name in found if name != "nodes"} == {
        name: shown[name] for name in shown if name != "nodes"
    }


def test_a_run_is_answered_with_the_node_and_its_job(gateway, target):
    pipe = make_copy(gateway, "% SELECT {{UInt64(n, 5)}} AS n, {{String(s, 'x')}} AS s", target)
    answer = gateway.post(f"/v0/pipes/{pipe}/copy", n="7").json
    job = answer.pop("job")
    assert answer["node_type"] == "copy"
    assert answer["name"] == NODE
    assert answer["tags"]["copy_target_datasource"] == gateway.datasource_id(target)
    assert job["kind"] == "copy"
    assert job["status"] == "waiting"
    assert job["id"] == job["job_id"]
    assert job["is_cancellable"] is True
    assert job["mode"] == "append"
    assert job["schedule"] is None
    assert job["datasource"] == {"id": gateway.datasource_id(target), "name": target}
    assert job["query_id"]
    assert "7" in job["query_sql"]
    assert job["timeout"] == 3600
    assert (job["pipe_id"], job["pipe_name"]) == (gateway.get(f"/v0/pipes/{pipe}").json["id"], pipe)
    assert job["job_url"].endswith(f"/v0/jobs/{job['id']}")
    done = gateway.await_job(job["id"])
    assert done["status"] == "done", done
    assert "error" not in done
    assert values(gateway, target) == [(7, "x")]


# Runs


def test_append_adds_and_replace_replaces_whatever_the_copy_says_itself(gateway, target):
    pipe = make_copy(gateway, "% SELECT number + {{UInt64(base)}} AS n, 'v' AS s FROM numbers(3)", target)
    assert run_copy(gateway, pipe, base="0")["status"] == "done"
    assert run_copy(gateway, pipe, base="10")["status"] == "done"
    assert [n for n, _ in values(gateway, target)] == [0, 1, 2, 10, 11, 12]
    assert run_copy(gateway, pipe, base="20", _mode="replace")["status"] == "done"
    assert [n for n, _ in values(gateway, target)] == [20, 21, 22]
    assert gateway.post_events(target, [{"n": 1, "s": "event"}], wait="true").counts == (200, 1, 0)
    assert run_copy(gateway, pipe, base="30", _mode="replace")["status"] == "done"
    assert [n for n, _ in values(gateway, target)] == [30, 31, 32]


def test_columns_go_by_name_and_those_that_may_be_left_out_have_their_defaults(gateway):
    target = gateway.create_datasource(
        "a Int64 `json:$.a`, b Nullable(String) `json:$.b`, c LowCardinality(String) `json:$.c` DEFAULT 'd', "
        "d DateTime64(3) `json:$.d`, e Array(Nullable(Int32)) `json:$.e`"
    )
    pipe = make_copy(gateway, "SELECT [1, 2] AS e, toDateTime('2026-01-02 03:04:05') AS d, toUInt32(9) AS a", target)
    assert run_copy(gateway, pipe)["status"] == "done"
    (row,) = gateway.sql(f"SELECT * FROM {target}")
    assert row == {"a": 9, "b": None, "c": "d", "d": "2026-01-02 03:04:05.000", "e": [1, 2]}


def test_a_copy_reads_data_sources_pipes_and_itself(gateway, target):
    source = gateway.create_datasource(SCHEMA)
    gateway.post_events(source, [{"n": number, "s": "e"} for number in range(10)], wait="true")
    inner = make_pipe(gateway, ("some", f"SELECT * FROM {source} WHERE n > 3"))
    pipe = make_copy(gateway, f"SELECT n, s FROM {inner} UNION ALL SELECT n + 100 AS n, s FROM {target}", target)
    assert run_copy(gateway, pipe)["status"] == "done"
    assert run_copy(gateway, pipe)["status"] == "done"
    assert [n for n, _ in values(gateway, target)] == sorted([*range(4, 10), *range(4, 10), *range(104, 110)])


def test_a_copy_compares_with_a_variable_and_does_not_write_it(gateway, target):
    secret = "s3cret-value-of-nobody"
    assert gateway.post("/v0/variables", name="copied_secret", value=secret).status == 200
    compared = "% SELECT 1 AS n, 'x' AS s WHERE {{tb_secret('copied_secret')}} != 'nothing'"
    job = run_copy(gateway, make_copy(gateway, compared, target))
    assert job["status"] == "done", job
    assert values(gateway, target) == [(1, "x")]

    name = gateway.new_name("pipe")
    written = "% SELECT 1 AS n, {{tb_secret('copied_secret')}} AS s"
    assert gateway.post("/v0/pipes", name=name, sql=written).status == 200
    refused = gateway.post(f"/v0/pipes/{name}/nodes/{name}_0/copy", target_datasource=target)
    assert (refused.status, "would expose the secret 'copied_secret'" in refused.error) == (400, True)


def test_a_run_is_in_the_logs(gateway, target):
    pipe = make_copy(gateway, "SELECT number AS n, '' AS s FROM numbers(5)", target)
    job = run_copy(gateway, pipe)
    row = logged(gateway, job)
    assert (row["event_type"], row["result"], row["rows"], row["error"]) == ("copy", "ok", 5, None)
    assert (row["pipe_name"], row["datasource_name"]) == (pipe, target)
    (row,) = gateway.sql(f"SELECT job_type, status FROM tinybird.jobs_log WHERE job_id = '{job['id']}'")
    assert row == {"job_type": "copy", "status": "done"}


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_query_that_fails_in_the_middle_leaves_the_data_source_as_it_was(gateway, target, mode):
    gateway.post_events(target, [{"n": 1, "s": "before"}], wait="true")
    sql = "SELECT number AS n, toString(intDiv(1, 2999999 - number)) AS s FROM numbers(3000000)"
    pipe = make_copy(gateway, sql, target, mode=mode)
    job = run_copy(gateway, pipe)
    assert job["status"] == "error"
    assert "division by zero" in job["error"].lower()
    assert "ws_" not in job["error"]
    assert values(gateway, target) == [(1, "before")]
    assert logged(gateway, job)["result"] == "error"


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_what_is_streamed_meanwhile_is_lost_by_no_copy(gateway, mode):
    """A source that is written all the time is copied; each copy is one moment of it, and then it is all there."""
    source, target = gateway.create_datasource("n UInt64 `json:$.n`"), gateway.create_datasource("n UInt64 `json:$.n`")
    pipe = make_copy(gateway, f"SELECT n FROM {source} WHERE n > (SELECT max(n) FROM {target})", target, mode="append")
    if mode == "replace":
        pipe = make_copy(gateway, f"SELECT n FROM {source}", target, mode="replace")
    gateway.post_events(target, [{"n": 0}], wait="true")
    stop, sent = Event(), 0

    def send():
        nonlocal sent
        while not stop.is_set() and sent < 50_000:
            body = [{"n": sent + number} for number in range(1, 101)]
            assert gateway.post_events(source, body, wait="true").counts == (200, 100, 0)
            sent += 100

    sender = Thread(target=send)
    sender.start()
    try:
        for _ in range(4):
            assert run_copy(gateway, pipe)["status"] == "done"
    finally:
        stop.set()
        sender.join()
    assert run_copy(gateway, pipe)["status"] == "done"
    (row,) = gateway.sql(f"SELECT count() AS rows, uniqExact(n) AS different, max(n) AS last FROM {target} WHERE n > 0")
    assert row == {"rows": sent, "different": sent, "last": sent}


# Schedules


def test_a_schedule_that_is_due_runs_once_with_its_time_in_job_timestamp(gateway, target):
    sql = "% SELECT 1 AS n, {{String(job_timestamp)}} AS s"
    pipe = make_copy(gateway, sql, target, schedule_cron="0 0 1 1 *")
    assert jobs_of(gateway, pipe) == []
    make_due(gateway, pipe, 1_700_000_000.0)
    until(lambda: jobs_of(gateway, pipe))
    (job,) = jobs_of(gateway, pipe)
    assert gateway.await_job(job["id"])["status"] == "done"
    assert job["schedule"] == {"timezone": "Etc/UTC", "cron": "0 0 1 1 *"}
    year = time.gmtime().tm_year
    assert values(gateway, target) == [(1, f"{year}-01-01 00:00:00")], "the last of the times that went by"
    assert len(jobs_of(gateway, pipe)) == 1


def test_a_run_that_is_due_while_the_one_before_goes_on_is_left_out_and_counted(gateway, target):
    pipe = make_copy(gateway, ENDLESS, target, schedule_cron="0 0 1 1 *")
    job_id = gateway.post(f"/v0/pipes/{pipe}/copy").json["job"]["id"]
    gateway.await_job(job_id, "working")
    counted = re.compile(r'^sluice_jobs_skipped_total\{kind="copy"\} ([1-9]\d*)', re.MULTILINE)
    before = counted.search(gateway.get("/metrics", token="").text)
    make_due(gateway, pipe, 1_700_000_000.0)
    told = f"SELECT error FROM tinybird.datasources_ops_log WHERE pipe_name = '{pipe}' AND event_type = 'copy'"
    (row,) = until(lambda: gateway.sql(told))
    assert row["error"] == "Skipped: the run before it has not ended"
    after = counted.search(gateway.get("/metrics", token="").text)
    assert int(after[1]) == (int(before[1]) if before else 0) + 1
    assert [job["id"] for job in jobs_of(gateway, pipe)] == [job_id]
    gateway.post(f"/v0/pipes/{pipe}/copy/cancel")
    assert gateway.await_job(job_id)["status"] == "cancelled"


def test_a_paused_schedule_waits_and_a_resumed_one_does_not_make_up_for_it(gateway, target):
    pipe = make_copy(gateway, "SELECT 1 AS n, '' AS s", target, schedule_cron="0 0 1 1 *")
    other = make_copy(gateway, "SELECT 1 AS n, '' AS s", target, schedule_cron="0 0 1 1 *")
    paused = gateway.post(f"/v0/pipes/{pipe}/copy/pause")
    assert paused.status == 200
    assert paused.json["schedule"]["status"] == "paused"
    assert gateway.post(f"/v0/pipes/{pipe}/copy/pause").json["schedule"]["status"] == "paused"
    make_due(gateway, pipe, 1_700_000_000.0)
    make_due(gateway, other, 1_700_000_000.0)
    until(lambda: jobs_of(gateway, other))
    assert jobs_of(gateway, pipe) == []
    assert gateway.post(f"/v0/pipes/{pipe}/copy/resume").json["schedule"]["status"] == "running"
    make_due(gateway, other, 1_700_000_000.0)
    until(lambda: len(jobs_of(gateway, other)) == 2)
    assert jobs_of(gateway, pipe) == []
    assert run_copy(gateway, pipe)["status"] == "done"


def test_a_schedule_is_changed_and_taken_away(gateway, target):
    pipe = make_copy(gateway, "SELECT 1 AS n, '' AS s", target)
    assert gateway.get(f"/v0/pipes/{pipe}").json["schedule"] is None
    changed = set_copy(gateway, pipe, method="PUT", schedule_cron="5 4 * * mon")
    assert changed.json["schedule"] == {"timezone": "Etc/UTC", "cron": "5 4 * * mon", "status": "running"}
    other = gateway.create_datasource(SCHEMA)
    changed = set_copy(gateway, pipe, method="PUT", target_datasource=other, mode="replace").json
    assert (changed["copy_target_datasource"], changed["copy_mode"]) == (gateway.datasource_id(other), "replace")
    assert changed["schedule"]["cron"] == "5 4 * * mon"
    assert set_copy(gateway, pipe, method="PUT", schedule_cron="None").json["schedule"] is None
    assert gateway.post(f"/v0/pipes/{pipe}/copy/pause").status == 400
    removed = gateway.request("DELETE", f"/v0/pipes/{pipe}/nodes/{NODE}/copy")
    assert (removed.status, removed.body) == (204, b"")
    shown = gateway.get(f"/v0/pipes/{pipe}").json
    assert shown["type"] == "default"
    assert "copy_node" not in shown
    assert gateway.post(f"/v0/pipes/{pipe}/copy").status == 400


# Cancelled


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_run_is_cancelled_while_its_query_works(gateway, target, mode):
    gateway.post_events(target, [{"n": 1, "s": "before"}], wait="true")
    pipe = make_copy(gateway, ENDLESS, target, mode=mode)
    job_id = gateway.post(f"/v0/pipes/{pipe}/copy").json["job"]["id"]
    gateway.await_job(job_id, "working")
    answer = gateway.post(f"/v0/pipes/{pipe}/copy/cancel")
    assert answer.status == 200
    assert answer.json["name"] == NODE
    assert [(job["id"], job["status"]) for job in answer.json["jobs"]] == [(job_id, "cancelling")]
    assert gateway.await_job(job_id)["status"] == "cancelled"
    assert values(gateway, target) == [(1, "before")]
    assert gateway.post(f"/v0/pipes/{pipe}/copy/cancel").json["jobs"] == []


def test_a_data_source_that_is_dropped_ends_its_copy(gateway):
    target = gateway.create_datasource(SCHEMA)
    pipe = make_copy(gateway, ENDLESS, target)
    job_id = gateway.post(f"/v0/pipes/{pipe}/copy").json["job"]["id"]
    gateway.await_job(job_id, "working")
    assert gateway.request("DELETE", f"/v0/datasources/{target}?force=true").status == 204
    gateway.post(f"/v0/jobs/{job_id}/cancel")
    assert gateway.await_job(job_id)["status"] in {"cancelled", "error"}
    assert gateway.post(f"/v0/pipes/{pipe}/copy").status == 400


# Refused


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT toInt64(1) AS n, 's' AS s", "The column 'n' is Int64 in the node and UInt64 in the Data Source"),
        ("SELECT toInt64(1) AS n, 's' AS s", "write toUInt64(…) AS n"),
        ("SELECT 1 AS n, NULL AS s", "The column 's' is Nullable(Nothing)"),
        ("SELECT 1 AS n, 's' AS s, 2 AS m", "The column 'm' of the node is not in the Data Source"),
        ("SELECT 1 AS n", "has the column 's' (String), which the node lacks"),
    ],
)
def test_columns_that_do_not_go_with_the_data_source_are_refused(gateway, target, sql, says):
    pipe = make_pipe(gateway, (NODE, sql))
    answer = set_copy(gateway, pipe, target_datasource=target)
    assert answer.status == 400
    assert says in answer.error


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"target_datasource": "nobody"}, "The target Data Source 'nobody' does not exist"),
        ({}, "The 'target_datasource' parameter is required"),
        ({"schedule_cron": "61 * * * *"}, "is not a valid cron expression"),
        ({"schedule_cron": "0 0 30 2 *"}, "is not a valid cron expression"),
        ({"mode": "upsert"}, "'append' or 'replace'"),
        ({"target_workspace": "elsewhere"}, "'target_workspace'"),
    ],
)
def test_what_a_copy_cannot_be_is_refused(gateway, target, params, says):
    pipe = make_pipe(gateway, (NODE, "SELECT 1 AS n, '' AS s"))
    sent = params if not params or "target_datasource" in params else {"target_datasource": target, **params}
    answer = set_copy(gateway, pipe, **sent)
    assert answer.status == 400
    assert says in answer.error
    assert gateway.get(f"/v0/pipes/{pipe}").json["type"] == "default"


def test_a_pipe_is_one_thing_only(gateway, target):
    endpoint = make_endpoint(gateway, (NODE, "SELECT 1 AS n, '' AS s"))
    assert "unpublish it first" in set_copy(gateway, endpoint, target_datasource=target).error
    pipe = make_copy(gateway, "SELECT 1 AS n, '' AS s", target)
    assert "a copy pipe already" in set_copy(gateway, pipe, target_datasource=target).error
    assert gateway.post(f"/v0/pipes/{pipe}/nodes/{NODE}/endpoint").status == 400
    assert gateway.request("DELETE", f"/v0/pipes/{pipe}/nodes/{NODE}").status == 409
    assert set_copy(gateway, pipe, node="nobody", target_datasource=target).status == 404
    assert set_copy(gateway, "nobody", target_datasource=target).status == 404
    assert gateway.post("/v0/pipes/nobody/copy").status == 404


def test_a_run_that_cannot_go_well_is_refused_at_once(gateway, target):
    sql = "% SELECT {{UInt64(n, required=True)}} AS n, '' AS s"
    pipe = make_copy(gateway, sql, target)
    for params in ({}, {"n": "many"}, {"n": "1", "_mode": "merge"}):
        assert gateway.post(f"/v0/pipes/{pipe}/copy", **params).status == 400, params
    assert set_copy(gateway, pipe, method="PUT", schedule_cron="* * * * *").status == 400, "nobody sends `n` then"
    assert jobs_of(gateway, pipe) == []


def test_rights(gateway, target):
    pipe = make_pipe(gateway, (NODE, "SELECT 1 AS n, '' AS s"))
    pipe_id, target_id = gateway.get(f"/v0/pipes/{pipe}").json["id"], gateway.datasource_id(target)
    path, body = f"/v0/pipes/{pipe}/nodes/{NODE}/copy", f"target_datasource={target}".encode()
    creator = gateway.make_token("PIPES:CREATE")
    assert gateway.post(path, body, token=creator).status == 403
    assert gateway.post(path, body, token=gateway.make_token(f"DATASOURCES:APPEND:{target_id}")).status == 403
    both = gateway.make_token("PIPES:CREATE", f"DATASOURCES:APPEND:{target_id}")
    assert gateway.post(path, body, token=both).status == 200
    run = f"/v0/pipes/{pipe}/copy"
    assert gateway.post(run, token=gateway.make_token("PIPES:READ:t_other")).status == 403
    reader = gateway.make_token(f"PIPES:READ:{pipe_id}")
    started = gateway.post(run, token=reader)
    assert started.status == 200, started.text
    assert gateway.get(f"/v0/jobs/{started.json['job']['id']}", token=reader).status == 200
    for action in ("pause", "resume", "cancel"):
        assert gateway.post(f"{run}/{action}", token=reader).status == 403


def test_what_a_copy_fills_is_not_taken_from_under_it(gateway, target):
    pipe = make_copy(gateway, "SELECT 1 AS n, '' AS s", target)
    dropped = gateway.request("DELETE", f"/v0/datasources/{target}")
    assert dropped.status == 409
    assert pipe in dropped.error
    renamed = gateway.request("PUT", f"/v0/datasources/{target}?name={target}_new")
    assert renamed.status == 409
    altered = gateway.post(f"/v0/datasources/{target}/alter", schema=f"{SCHEMA}, m UInt8 `json:$.m`")
    assert altered.status == 409
    assert pipe in altered.error
    fine = gateway.post(f"/v0/datasources/{target}/alter", schema=f"{SCHEMA}, m UInt8 `json:$.m` DEFAULT 3")
    assert fine.status == 200, fine.text
    assert run_copy(gateway, pipe)["status"] == "done"
    assert gateway.sql(f"SELECT n, s, m FROM {target}") == [{"n": 1, "s": "", "m": 3}]


# As files, and as command lines push them


def test_a_copy_is_made_of_a_file_and_given_back_as_one(gateway, target):
    name = gateway.new_name("pipe")
    text = (
        f"NODE {NODE}\nSQL >\n    SELECT 1 AS n, '' AS s\nTYPE copy\nTARGET_DATASOURCE {target}\n"
        "COPY_SCHEDULE 0 * * * *\nCOPY_MODE replace\n"
    )
    made = gateway.post("/v0/pipes", text.encode(), name=name)
    assert made.status == 200, made.text
    assert made.json["type"] == "copy"
    assert made.json["schedule"]["cron"] == "0 * * * *"
    given = gateway.get(f"/v1/pipes/{name}.pipe").text
    for line in ("TYPE copy", f"TARGET_DATASOURCE {target}", "COPY_SCHEDULE 0 * * * *", "COPY_MODE replace"):
        assert line in given
    gateway.post(f"/v0/pipes/{name}/copy/pause")
    again = gateway.post("/v0/pipes", given.encode(), name=name, force="true")
    assert again.status == 200, again.text
    assert again.json["schedule"]["status"] == "paused", "what was paused is not begun by pushing the same again"


def test_a_copy_is_pushed_as_json(gateway, target):
    name = gateway.new_name("pipe")
    node = {"name": NODE, "sql": "SELECT 1 AS n, '' AS s", "type": "copy", "target_datasource": target}
    made = gateway.post("/v0/pipes", dumps({"name": name, "nodes": [{**node, "mode": "append"}]}))
    assert made.status == 200, made.text
    assert (made.json["type"], made.json["schedule"]) == ("copy", None)
    node |= {"copy_schedule": "0 3 * * *", "mode": "replace"}
    again = gateway.post("/v0/pipes", dumps({"name": name, "nodes": [node]}), force="true")
    assert again.json["schedule"]["cron"] == "0 3 * * *"
    assert again.json["copy_mode"] == "replace"
    wrong = gateway.post("/v0/pipes", dumps({"name": name, "nodes": [{**node, "copy_schedule": "x"}]}), force="true")
    assert "is not a valid cron expression" in wrong.error


def test_the_rows_of_a_query_without_a_pipe_are_appended(gateway, target):
    gateway.post_events(target, [{"n": 1, "s": "before"}], wait="true")

    started = gateway.post(f"/v0/sql_copy?copy_to={target}", "SELECT number + 2 AS n, 'x' AS s FROM numbers(2)")

    assert started.status == 200, started.text
    job = gateway.await_job(started.json["job_id"])
    assert (job["status"], job["kind"], started.json["job"]["id"]) == ("done", "copy", job["id"]), job
    assert values(gateway, target) == [(1, "before"), (2, "x"), (3, "x")]
    assert started.json["job_url"].endswith(job["id"])


def test_a_query_that_cannot_be_copied_is_refused(gateway, target):
    appends = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(target)}")
    for query, where, token, status, says in (
        ("INSERT INTO x SELECT 1", target, None, 400, "Only SELECT"),
        ("SELECT 1 AS other", target, None, 400, "'other'"),
        ("SELECT * FROM nobody", target, None, 400, "nobody"),
        ("SELECT 1 AS n", "nobody", None, 400, "does not exist"),
        ("SELECT 1 AS n, 'x' AS s", "", None, 400, "target_datasource"),
        ("", target, None, 400, ""),
        ("SELECT 1 AS n, 'x' AS s", target, appends, 403, ""),
        ("SELECT * FROM file('/etc/passwd')", target, None, 400, "file"),
    ):
        refused = gateway.post("/v0/sql_copy", query, token=token, copy_to=where)
        assert (refused.status, says in refused.error) == (status, True), refused.text
    assert values(gateway, target) == []


def test_no_rows_are_a_copy_too(gateway, target):
    gateway.post_events(target, [{"n": 1, "s": "before"}], wait="true")
    pipe = make_copy(gateway, "SELECT number AS n, '' AS s FROM numbers(0)", target)
    job = run_copy(gateway, pipe)
    assert (job["status"], job["rows_copied"]) == ("done", 0)
    assert values(gateway, target) == [(1, "before")]
    job = run_copy(gateway, pipe, _mode="replace")
    assert (job["status"], job["rows_copied"]) == ("done", 0)
    assert values(gateway, target) == []


def test_rows_of_many_partitions_are_copied(gateway):
    target = gateway.create_datasource("n UInt64 `json:$.n`", engine="MergeTree", engine_partition_key="n % 150")
    pipe = make_copy(gateway, "SELECT number AS n FROM numbers(300)", target)
    assert run_copy(gateway, pipe)["rows_copied"] == 300
    assert run_copy(gateway, pipe, _mode="replace")["rows_copied"] == 300
    assert gateway.count(target) == 300


def test_a_refusal_of_the_author_is_their_answer_and_makes_no_run(gateway, target):
    sql = "% {% if defined(bad) %} {{custom_error({'why': 'bad'}, 418)}} {% end %} SELECT 1 AS n, '' AS s"
    pipe = make_copy(gateway, sql, target)
    answer = gateway.post(f"/v0/pipes/{pipe}/copy", bad="1")
    assert (answer.status, answer.json) == (418, {"why": "bad"})
    assert jobs_of(gateway, pipe) == []


def test_as_many_copies_wait_or_run_as_may(gateway, target):
    pipe = make_copy(gateway, ENDLESS, target)
    answers = [gateway.post(f"/v0/pipes/{pipe}/copy") for _ in range(21)]
    try:
        assert [answer.status for answer in answers] == [200] * 20 + [429]
        assert answers[-1].headers["Retry-After"] == "10"
        assert "20 copies of this workspace" in answers[-1].error
    finally:
        cancelled = gateway.post(f"/v0/pipes/{pipe}/copy/cancel").json["jobs"]
    assert len(cancelled) == 20
    for job in cancelled:
        assert gateway.await_job(job["id"])["status"] == "cancelled"


def test_a_copy_fills_the_name_it_was_set_for_when_data_sources_are_exchanged(gateway, target):
    other = gateway.create_datasource(SCHEMA)
    pipe = make_copy(gateway, "SELECT 1 AS n, '' AS s", target)
    answer = gateway.post(f"/v0/datasources/exchange?datasource_a={target}&datasource_b={other}")
    assert answer.status == 200, answer.text
    assert gateway.get(f"/v0/pipes/{pipe}").json["copy_target_datasource"] == gateway.datasource_id(target)
    assert run_copy(gateway, pipe)["status"] == "done"
    assert (gateway.count(target), gateway.count(other)) == (1, 0)
