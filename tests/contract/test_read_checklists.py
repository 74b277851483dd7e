"""The checklists of the read side, item by item, as clients call: query.md §5, pipes.md §9, templates.md §11."""

import re
from urllib.parse import urlencode

import pytest
from orjson import dumps

from tests.support.copies import make_copy
from tests.support.gateway import Gateway
from tests.support.pipes import make_endpoint, make_pipe

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLI = {"release_replacements": "true", "cli_version": "5.0.3", "from": "cli"}


@pytest.fixture(scope="module")
def events(gateway: Gateway) -> str:
    name = gateway.create_datasource("day Date `json:$.day`, k String `json:$.k`, n UInt64 `json:$.n`")
    rows = [{"day": f"2030-01-0{1 + n % 3}", "k": "ab"[n % 2], "n": n} for n in range(6)]
    gateway.post_events(name, rows, wait="true")
    return name


@pytest.fixture(scope="module")
def pipe(gateway: Gateway, events: str) -> str:
    sql = f"% SELECT k, sum(n) AS s FROM {events} WHERE k = {{{{String(k, 'a', description='whose')}}}} GROUP BY k"
    return make_endpoint(gateway, ("endpoint", sql))


# query.md §5: what each client sends to /v0/sql, and what it reads of the answer


def test_tb_sql_by_get_with_the_token_in_the_url(gateway, events):
    q = f"SELECT * FROM (SELECT k, n FROM {events} ORDER BY n) LIMIT 100 FORMAT JSON"
    path = f"/v0/sql?{urlencode({'q': q, **CLI, 'token': gateway.token})}"
    answer = gateway.request("GET", path, token="")
    assert (answer.status, answer.json["rows"], answer.json["data"][0]) == (200, 6, {"k": "a", "n": 0})


def test_tb_sql_by_post_of_a_long_query_without_a_content_type(gateway, events):
    many = ", ".join(["'a'"] * 1500)
    q = f"SELECT count() AS c FROM {events} WHERE k IN ({many}) FORMAT CSVWithNames"
    assert len(q) > 4096
    answer = gateway.post("/v0/sql", q.encode(), release_replacements="true")
    assert (answer.status, answer.text) == (200, '"c"\n3\n')


def test_tb_test_compares_the_text_of_a_node_that_is_a_template(gateway, events, pipe):
    q = f"% SELECT k FROM {events} WHERE k = {{{{String(which)}}}} LIMIT 1"
    assert gateway.get("/v0/sql", q=q, pipeline=pipe, which="b", **CLI).text == "b\n"


def test_tb_logs_reads_several_service_data_sources_at_once(gateway):
    since = "parseDateTimeBestEffort('2020-01-01T00:00:00Z')"
    parts = [
        f"SELECT '{name}' AS source, toString({moment}) AS at, formatRowNoNewline('JSONEachRow', *) AS row "
        f"FROM tinybird.{name} WHERE {moment} > {since}"
        for name, moment in (
            ("pipe_stats_rt", "start_datetime"),
            ("datasources_ops_log", "timestamp"),
            ("endpoint_errors", "start_datetime"),
            ("kafka_ops_log", "timestamp"),
            ("sinks_ops_log", "timestamp"),
        )
    ]
    answer = gateway.get("/v0/sql", q=f"SELECT * FROM ({' UNION ALL '.join(parts)}) LIMIT 5 FORMAT JSON", **CLI)
    assert answer.status == 200, answer.text


@pytest.mark.parametrize(
    ("query", "body", "headers"),
    [
        ("?from=ts-sdk", "SELECT 7 AS a", {"Content-Type": "text/plain"}),
        ("?q=SELECT+7+AS+a+FORMAT+JSON", None, {}),
        ("", urlencode({"q": "SELECT 7 AS a FORMAT JSON"}), FORM),
        ("", "SELECT 7 AS a FORMAT JSON", FORM),
        ("", '{"q": "% SELECT {{Int32(n)}} AS a FORMAT JSON", "n": 7}', {"Content-Type": "application/json"}),
        ("?format=json", '{"q": "SELECT 7 AS a FORMAT JSON"}', {"Content-Type": "application/json"}),
    ],
    ids=["sdk", "q in the url", "form", "sql called a form", "php", "crowd"],
)
def test_every_way_to_post_a_query(gateway, query, body, headers):
    answer = gateway.request("POST", f"/v0/sql{query}", body, headers)
    assert (answer.status, answer.json["data"]) == (200, [{"a": 7}])
    assert {"meta", "data", "rows", "statistics"} <= answer.json.keys()


def test_a_pipe_is_called_through_a_template_to_get_round_the_length_of_a_url(gateway, pipe):
    body = dumps({"q": f"% SELECT * FROM {pipe} FORMAT JSON", "k": "b", "format": "json"})
    assert gateway.post("/v0/sql", body).json["data"] == [{"k": "b", "s": 9}]


def test_redash_and_maple_look_round_and_bring_settings(gateway, events, pipe):
    names = {each["name"] for each in gateway.get("/v0/datasources").json["datasources"]}
    endpoints = {each["name"] for each in gateway.get("/v0/pipes").json["pipes"] if each["endpoint"]}
    assert (events in names, pipe in endpoints) == (True, True)
    for name in (events, pipe):
        assert gateway.get("/v0/sql", q=f"SELECT * FROM {name} LIMIT 1 FORMAT JSON").json["meta"]
    assert gateway.get("/v0/sql", q="SELECT count() FROM tinybird.pipe_stats LIMIT 1").status == 200
    settings = f"SELECT n FROM {events} SETTINGS max_execution_time=30, max_memory_usage=1000000000"
    assert gateway.get("/v0/sql", q=settings).status == 200


# pipes.md §9: what each client needs of pipes


def test_tb_endpoint_ls_url_and_stats(gateway, pipe):
    listed = gateway.get("/v0/pipes", attrs="name,updated_at,type", node_attrs="name", **CLI).json["pipes"]
    found = next(each for each in listed if each["name"] == pipe)
    assert (len(found["nodes"]), found["type"], len(found["updated_at"])) == (1, "endpoint", 26)
    url = gateway.get("/examples/query.http", format="json", pipe=pipe, q="", token=gateway.token)
    assert url.headers["Content-Type"] == "text/plain"
    assert f"/v0/pipes/{pipe}.json?" in url.text
    stats = (
        "SELECT pipe_id, sumIf(view_count, date > now() - interval 7 day) AS views, "
        "sumIf(error_count, date > now() - interval 7 day) AS errors, avgMergeIf(avg_duration_state, date > now() - "
        "interval 7 day) AS seconds FROM tinybird.pipe_stats GROUP BY pipe_id FORMAT JSON"
    )
    assert gateway.get("/v0/sql", q=stats).status == 200


def test_tb_endpoint_data_by_get_and_by_post(gateway, pipe):
    assert gateway.get(f"/v0/pipes/{pipe}.json", k="b", **CLI).json["data"] == [{"k": "b", "s": 9}]
    assert gateway.request("POST", f"/v0/pipes/{pipe}.json", urlencode({"k": "b"}), FORM).json["rows"] == 1
    assert gateway.post(f"/v0/pipes/{pipe}.json", '{"k": "b"}').json["rows"] == 1


def test_tb_test_compares_ndjson_byte_by_byte(gateway, pipe):
    answer = gateway.get(f"/v0/pipes/{pipe}.ndjson", k="b")
    assert (answer.headers["Content-Type"], answer.text) == ("application/x-ndjson", '{"k":"b","s":9}\n')


def test_tb_copy_lists_runs_pauses_and_finds_the_target(gateway, events):
    target = gateway.create_datasource("k String")
    copy = make_copy(gateway, f"SELECT k FROM {events}", target, schedule_cron="0 0 1 1 *")
    run = gateway.post(f"/v0/pipes/{copy}/copy", **CLI).json
    assert gateway.get(f"/v0/datasources/{run['tags']['copy_target_datasource']}").json["name"] == target
    assert gateway.await_job(run["job"]["job_id"])["status"] == "done"
    assert run["job"]["job_url"].endswith(f"/v0/jobs/{run['job']['id']}")
    for way, status in (("pause", "paused"), ("resume", "running")):
        assert gateway.post(f"/v0/pipes/{copy}/copy/{way}").json["schedule"]["status"] == status


def test_tb_pull_and_the_sdks_take_the_text_of_a_pipe(gateway, pipe):
    for version in ("v0", "v1"):
        answer = gateway.get(f"/{version}/pipes/{pipe}.pipe")
        assert (answer.headers["Content-Type"], "TYPE endpoint" in answer.text) == ("text/plain", True)


def test_grafana_asks_with_a_slash_at_the_end(gateway, pipe):
    assert pipe in {each["name"] for each in gateway.get("/v0/pipes/").json["pipes"]}
    assert gateway.get(f"/v0/pipes/{pipe}.json/").status == 200


# templates.md §11


@pytest.mark.parametrize(
    ("template", "params", "expected"),
    [
        ("% SELECT '{{!x}}' AS a", {}, "{{x}}"),
        ("  % SELECT {{String(x)}} AS a", {"x": "it's \"\\ \n`"}, "it's \"\\ \n`"),
        ("% SELECT toTypeName({{Int16(x)}}) AS a", {"x": "5"}, "Int16"),
        ("% SELECT {{Date(x)}} AS a", {"x": "2024-13-45"}, "2024-13-45"),
        ("% SELECT {{DateTime(x)}} AS a", {"x": "2024-01-02T03:04:05Z"}, "2024-01-02T03:04:05Z"),
        ("% SELECT {% if defined(x) %} 'yes' {% else %} 'no' {% end %} AS a", {"x": ""}, "yes"),
        ("% SELECT {{Array(x, 'Int32')}}[2] AS a", {"x": "4,9"}, 9),
        ("% SELECT {{Array(x, 'Int32')}}[2] AS a", {"x": [4, 9]}, 9),
        ("% SELECT {% if x == '0' %} 'zero' {% else %} 'other' {% end %} AS a", {"x": "0"}, "zero"),
        ("% SELECT {{Int32(page, 0) * Int32(size, 100)}} AS a", {"page": "2"}, 200),
    ],
    ids=["delimiters", "escapes", "types", "dates", "times", "defined", "csv", "list", "raw texts", "arithmetic"],
)
def test_templates_render_as_clients_know_them(gateway, template, params, expected):
    answer = gateway.post("/v0/sql", dumps({"q": f"{template} FORMAT JSON", **params}))
    assert answer.status == 200, answer.text
    assert answer.json["data"] == [{"a": expected}]


def test_what_is_missing_is_named_and_errors_of_the_author_are_his(gateway):
    missing = gateway.get("/v0/sql", q="% SELECT {{String(a)}}, {{Int32(b)}}, {{Date(c)}}, {{String(d, '')}}", a="x")
    own = gateway.get("/v0/sql", q="% SELECT {{custom_error({'error_id': 10, 'error': 'no'}, 403)}}")
    assert (missing.status, "Check the parameters a, b and c." in missing.error) == (400, True)
    assert (own.status, own.json) == (403, {"error_id": 10, "error": "no"})


def test_a_secret_is_a_bound_parameter_and_parameters_are_described(gateway):
    secret = gateway.new_name("secret")
    gateway.post("/v0/variables", name=secret, value="hush-hush")
    sql = f"% SELECT {{{{tb_secret('{secret}')}}}} = {{{{String(guess, 'x', required=True)}}}} AS a"
    explained = gateway.get("/v0/sql", q=sql, explain="true", guess="y")
    assert "hush-hush" not in explained.text
    assert re.search(r"\{\w+ ?: ?String\}", explained.json["debug_query"]), explained.text
    pipe = make_pipe(gateway, ("n", "% SELECT {{Int32(n, 10)}} AS a {% if defined(flag) %} , 1 AS b {% end %}"))
    (node,) = gateway.get(f"/v0/pipes/{pipe}").json["nodes"]
    assert {"name": "n", "type": "Int32", "default": 10} in node["params"]
    assert {"name": "flag", "type": "String", "default": None, "used_in": "function_call"} in node["params"]
