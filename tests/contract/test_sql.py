"""The Query API, as clients use it. Source: query.md §1, §2, §6."""

import socket
from urllib.parse import quote, urlencode

import pytest
from orjson import dumps, loads

from tests.support.pipes import make_endpoint, make_pipe
from tests.support.waiting import until

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TEXT = {"Content-Type": "text/plain"}
SQL = "SELECT 1 + 1 AS a WHERE 'x+y%20' = 'x+y%20' FORMAT CSV"


@pytest.fixture(scope="module")
def hits(gateway):
    name = gateway.create_datasource("n UInt32 `json:$.n`", gateway.new_name("hits"))
    assert gateway.post_events(name, [{"n": n} for n in range(5)], wait="true").status == 200
    return name


@pytest.fixture(scope="module")
def piped(gateway, hits):
    """A pipe of two nodes, not published."""
    return make_pipe(
        gateway,
        ("evens", f"% SELECT n FROM {hits} WHERE n % 2 = 0 AND n < {{{{Int32(below, 100)}}}}"),
        ("total", "SELECT sum(n) AS s FROM evens"),
        name=gateway.new_name("piped"),
    )


@pytest.mark.parametrize(
    ("target", "body", "headers"),
    [
        (f"?q={quote(SQL)}", None, {}),
        ("", urlencode({"q": SQL}), FORM),
        ("?from=cli", f"cli_version=5&q={quote(SQL)}", {}),
        ("", dumps({"q": SQL}), {"Content-Type": "application/json"}),
        ("", dumps({"q": SQL}), {}),
        ("", SQL, {}),
        ("?release_replacements=true&debug=1", SQL, FORM),
        ("", "\n" + SQL + " ;", TEXT),
        (f"?q={quote(SQL)}", "", {}),
        ("?q=SELECT+2+FORMAT+CSV", SQL, TEXT),
        ("?q=SELECT+3+FORMAT+CSV", dumps({"q": SQL}), {"Content-Type": "application/json"}),
        ("?q=SELECT+3+FORMAT+CSV", urlencode({"q": SQL}), FORM),
        (f"?q={quote(SQL)}", "q=&a=1", FORM),
    ],
    ids=[
        "get",
        "form",
        "form of the cli",
        "json",
        "json unsaid",
        "raw",
        "raw as form",
        "text",
        "post url",
        "both",
        "json and url",
        "form and url",
        "no q in the form",
    ],
)
def test_the_sql_is_found_wherever_it_stands(gateway, target, body, headers):
    answer = gateway.request("GET" if body is None else "POST", "/v0/sql" + target, body, headers)

    assert (answer.status, answer.text) == (200, "2\n"), answer.text
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize("body", ["", "{}", '{"q": 5}', '{"q": ["SELECT 1"]}', "q=", "  "])
def test_without_sql_it_says_that_it_is_missing(gateway, body):
    answer = gateway.post("/v0/sql", body)

    assert answer.status == 400
    assert "'q' parameter" in answer.error


def test_a_template_takes_parameters_from_everywhere_and_lists_stay_lists(gateway):
    q = "% SELECT {{Array(ids, 'Int32')}} AS ids, {{String(name, 'nobody')}} AS name FORMAT JSONCompactEachRow"
    expected = '[[1,2], "x"]\n'

    assert gateway.get("/v0/sql", q=q, ids="1,2", name="x").text == expected
    assert (
        gateway.request("GET", f"/v0/sql?{urlencode([('q', q), ('ids', '1'), ('ids', '2'), ('name', 'x')])}").text
        == expected
    )
    assert gateway.post("/v0/sql", dumps({"q": q, "ids": [1, 2], "name": "x"})).text == expected
    assert gateway.post("/v0/sql", urlencode({"q": q, "ids": "1,2", "name": "x"})).text == expected
    assert gateway.post("/v0/sql", q, ids="1,2", name="x").text == expected
    assert gateway.get("/v0/sql", q=q, ids="1,2").text == '[[1,2], "nobody"]\n'
    missing = gateway.get("/v0/sql", q=q)
    assert (missing.status, "Check the parameter" in missing.error) == (400, True)
    assert missing.json["documentation"]


def test_without_a_percent_sign_nothing_is_rendered(gateway):
    assert gateway.get("/v0/sql", q="SELECT '{{x}}' FORMAT CSV", x="1").text == '"{{x}}"\n'


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((each, "application/json; charset=utf-8") for each in ("JSON", "JSONStrings", "JSONCompact")),
        ("JSONEachRow", "application/x-ndjson"),
        *((each, "text/csv; charset=utf-8") for each in ("CSV", "CSVWithNames")),
        *(
            (each, "text/tab-separated-values; charset=utf-8")
            for each in ("TSV", "TSVWithNames", "TabSeparated", "TabSeparatedWithNamesAndTypes")
        ),
        *((each, "application/octet-stream") for each in ("Parquet", "Native", "RowBinaryWithNamesAndTypes")),
        *((each, "text/plain") for each in ("PrettyCompact", "Markdown")),
        *((each, None) for each in ("JSONCompactEachRow", "JSONCompactEachRowWithNamesAndTypes", "ODBCDriver2")),
        ("JSONStringsEachRowWithProgress", None),
    ],
)
def test_each_format_has_its_content_type(gateway, name, kind):
    for spelled in (name, name.lower()):
        answer = gateway.get("/v0/sql", q=f"SELECT 1 AS a\nformat {spelled}")
        assert answer.status == 200, answer.text
        assert answer.body
        assert kind in (None, answer.headers["Content-Type"])


def test_a_format_that_is_none_is_400(gateway):
    assert "Unknown format 'Vertical'" in gateway.get("/v0/sql", q="SELECT 1 FORMAT Vertical").error


def test_without_a_format_it_is_tsv_or_json_for_the_sdks(gateway):
    assert gateway.get("/v0/sql", q="SELECT 1 AS a").text == "1\n"
    assert gateway.request("POST", "/v0/sql?from=ts-sdk", "SELECT 1 AS a", TEXT).json["data"] == [{"a": 1}]
    assert gateway.get("/v0/sql", q="SELECT 1 AS a", format="json").json["data"] == [{"a": 1}]
    assert gateway.get("/v0/sql", q="SELECT 1 AS a FORMAT CSV", format="json").text == "1\n"
    assert gateway.get("/v0/sql", q="SELECT 1 AS a", format="nonsense").text == "1\n"


def test_json_says_names_types_and_what_was_read(gateway, hits):
    found = gateway.get("/v0/sql", q=f"SELECT n, toUInt64(n) AS big FROM {hits} ORDER BY n LIMIT 2 FORMAT JSON").json

    assert found["meta"] == [{"name": "n", "type": "UInt32"}, {"name": "big", "type": "UInt64"}]
    assert found["data"] == [{"n": 0, "big": 0}, {"n": 1, "big": 1}]
    assert (found["rows"], found["rows_before_limit_at_least"], found["statistics"]["rows_read"]) == (2, 5, 5)


def test_numbers_as_asked_for(gateway):
    q = "SELECT toInt128(5) AS i, nan AS f, 1 AS s FORMAT JSONEachRow"

    assert gateway.get("/v0/sql", q=q).text == '{"i":5,"f":null,"s":1}\n'
    quoted = gateway.post(
        "/v0/sql",
        dumps({"q": q, "output_format_json_quote_64bit_integers": 1, "output_format_json_quote_denormals": True}),
    )
    assert quoted.text == '{"i":"5","f":"nan","s":1}\n'


def test_pipes_are_read_by_their_output_and_pipeline_gives_their_nodes(gateway, hits, piped):
    assert gateway.get("/v0/sql", q=f"SELECT s FROM {piped}").text == "6\n"
    assert gateway.get("/v0/sql", q=f"SELECT s FROM {piped}", below="3").text == "2\n"
    assert gateway.get("/v0/sql", q="SELECT s FROM _", pipeline=piped).text == "6\n"
    assert gateway.get("/v0/sql", q="SELECT count() FROM evens", pipeline=piped).text == "3\n"
    assert (
        gateway.get("/v0/sql", q="% SELECT max(n) FROM evens LIMIT {{Int32(x, 1)}}", pipeline=piped, below="4").text
        == "2\n"
    )
    assert gateway.get("/v0/sql", q="SELECT count() FROM evens").error == "Resource 'evens' not found"
    assert gateway.get("/v0/sql", q="SELECT count() FROM _").error == "Resource '_' not found"
    assert gateway.get("/v0/sql", q="SELECT 1", pipeline="nothing").status == 404
    mixed = (
        f"WITH x AS (SELECT n FROM {hits}) SELECT count() FROM x JOIN {piped} AS p ON x.n < p.s WHERE p.s IN {piped}"
    )
    assert gateway.get("/v0/sql", q=mixed).text == "5\n"


def test_explain(gateway, piped):
    found = gateway.get("/v0/sql", q=f"SELECT s FROM {piped} FORMAT JSON", explain="true")

    assert set(found.json) == {"debug_query", "query_explain"}
    assert found.json["debug_query"].startswith("SELECT `s` FROM (SELECT sum(`n`)")
    assert "Aggregating" in found.json["query_explain"]
    assert "EXPLAIN" in gateway.get("/v0/sql", q="EXPLAIN SELECT 1").error.upper()


@pytest.mark.parametrize(
    ("q", "sentence"),
    [
        ("SELECT foo", "[Error] Unknown expression"),
        ("SELECT * FROM nothing", "Resource 'nothing' not found"),
        ("SELECT * FROM db.nothing", "Resource 'db.nothing' not found"),
        ("SELECT no_such(1)", "[Error] Function with name 'no_such' does not exist"),
        ("INSERT INTO x VALUES (1)", "Only SELECT or DESCRIBE queries are supported. Got: InsertQuery"),
        ("SELECT 1; SELECT 2", "Multi-statements are not allowed"),
        ("SELECT * FROM url('http://x')", "The url table function is only allowed in Copy Pipes"),
        ("SELECT * FROM file('x')", "The query uses disabled table functions: 'file'"),
        ("SELECT sleep(1)", "is restricted"),
        ("SELECT 1 SETTINGS max_result_rows = 5", "Usage of setting 'max_result_rows' is restricted"),
        ("SELECT", "Syntax error"),
    ],
)
def test_errors_are_400_in_words_clients_know(gateway, q, sentence):
    answer = gateway.get("/v0/sql", q=q)

    assert answer.status == 400
    assert sentence in answer.error
    assert "DB::Exception" not in answer.error
    assert "version 2" not in answer.error


@pytest.fixture(scope="module")
def tight(gateway):
    """The token of a workspace with limits of its own."""
    made = gateway.create_workspace(gateway.new_name("tight"))

    async def limit(store, _):
        own = {"query.milliseconds": 300, "query.result_bytes": 100_000, "query.rows_read": 5_000_000}
        async with store.change() as change:
            await change.limit_workspace(made["id"], {**own, "query.memory_bytes": 200_000_000})

    gateway.in_catalog(limit)
    return made["token"]


def test_what_takes_too_long_is_408(gateway, tight):
    answer = gateway.get(
        "/v0/sql",
        token=tight,
        q="SELECT max(sipHash64(number)) FROM numbers(4000000) WHERE NOT ignore(arrayMap(x -> sipHash64(x + number), range(100)))",
    )

    assert answer.status == 408, answer.text
    assert "[Error] Timeout exceeded: elapsed" in answer.error


@pytest.mark.parametrize(
    ("q", "sentence"),
    [
        (
            "SELECT repeat('x', 1000) FROM numbers(1000)",
            "[Error] Limit for result exceeded, max bytes: 0.10 MiB, current bytes: 0.95 MiB",
        ),
        ("SELECT count() FROM numbers(1000000000)", "[Error] Limit for rows"),
        ("SELECT length(groupArray(repeat('x', 100))) FROM numbers(4900000)", "[Error] "),
    ],
    ids=["result", "rows read", "memory"],
)
def test_what_takes_too_much_is_400(gateway, tight, q, sentence):
    answer = gateway.get("/v0/sql", token=tight, q=q)

    assert answer.status in {400, 408}, answer.text
    assert answer.status == 400 or "memory" not in sentence
    assert sentence in answer.error


def test_a_query_may_not_raise_its_limits(gateway, tight):
    q = "SELECT count() FROM numbers(4000000) WHERE NOT ignore(arrayMap(x -> sipHash64(x + number), range(100))) SETTINGS max_execution_time = 60"

    assert gateway.get("/v0/sql", token=tight, q=q).status == 408


def test_a_long_query_is_refused_before_it_is_read(gateway):
    answer = gateway.post("/v0/sql", "SELECT " + "1," * 500_000 + "1")

    assert answer.status == 413
    assert "too long" in answer.error


def test_a_query_nobody_waits_for_is_ended_and_recorded(gateway):
    """Its 10 seconds would be recorded as a time-out."""
    mark = gateway.new_name("left")
    q = f"SELECT count() AS {mark} FROM numbers(100000000000) WHERE NOT ignore(sipHash64(number))"
    client = gateway.connect()
    client.sendall(f"GET /v0/sql?{urlencode({'q': q, 'token': gateway.token})} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    idle = gateway.engine_cpu_seconds()
    until(gateway.engine_cpu_seconds, lambda seconds: seconds > idle + 0.2)
    client.shutdown(socket.SHUT_RDWR)
    client.close()

    log = f"SELECT status_code, duration FROM tinybird.pipe_stats_rt WHERE url LIKE '%{mark}%'"
    (row,) = until(lambda: gateway.sql(log))
    assert row["status_code"] == 499
    assert row["duration"] < 8


def test_every_answer_has_an_id_and_may_be_read_by_browsers(gateway):
    good, bad = gateway.get("/v0/sql", q="SELECT 1"), gateway.get("/v0/sql", q="SELECT")

    for answer in (good, bad):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert good.headers["X-Request-Id"] != bad.headers["X-Request-Id"]


def test_who_asked_what_is_in_pipe_stats(gateway, hits):
    pipe = make_endpoint(gateway, f"% SELECT n FROM {hits} WHERE n < {{{{Int32(below, 3)}}}}")
    gateway.get(f"/v0/pipes/{pipe}.json", below="2", token=gateway.token)
    gateway.request(
        "POST", f"/v0/pipes/{pipe}.csv?token={gateway.token}&below=1", None, {"User-Agent": "test/1"}, token=""
    )
    gateway.get(f"/v0/pipes/{pipe}.json", below="no")
    pipe_id = gateway.get(f"/v0/pipes/{pipe}").json["id"]

    log = f"SELECT * FROM tinybird.pipe_stats_rt WHERE pipe_name = '{pipe}' ORDER BY parameters['below']"
    rows = until(lambda: gateway.sql(log), lambda found: len(found) == 3)  # each worker writes its own
    assert [row["status_code"] for row in rows] == [200, 200, 400]
    assert [row["method"] for row in rows] == ["POST", "GET", "GET"]
    assert [row["error"] for row in rows] == [0, 0, 1]
    assert [row["result_rows"] for row in rows] == [1, 2, 0]
    assert [row["read_rows"] for row in rows] == [5, 5, 0]
    assert {row["pipe_id"] for row in rows} == {pipe_id}
    assert {row["token_name"] for row in rows} == {"workspace admin token"}
    assert (rows[0]["user_agent"], rows[0]["client_ip"]) == ("test/1", "127.0.0.1")
    assert rows[0]["url"] == f"/v0/pipes/{pipe}.csv?below=1"
    assert rows[2]["error_message"].startswith("Template Syntax Error: Error validating 'no'")
    (failed,) = gateway.sql(f"SELECT * FROM tinybird.endpoint_errors WHERE pipe_name = '{pipe}'")
    assert (failed["status_code"], loads(failed["params"])) == (400, {"below": "no"})
    states = (
        "SELECT sum(view_count) AS views, sum(error_count) AS errors, avgMerge(avg_duration_state) > 0 AS is_timed, "
        "length(quantilesTimingMerge(0.9, 0.95, 0.99)(quantile_timing_state)) AS quantiles, any(toTypeName(avg_duration_state)) AS kind "
    )
    (daily,) = gateway.sql(f"{states} FROM tinybird.pipe_stats WHERE pipe_id = '{pipe_id}'")
    assert daily == {"views": 3, "errors": 1, "is_timed": 1, "quantiles": 3, "kind": "AggregateFunction(avg, Float32)"}
    (slowest,) = gateway.sql(
        f"SELECT max(duration) * 1000 AS ms FROM tinybird.pipe_stats_rt WHERE pipe_id = '{pipe_id}'"
    )
    timing = "quantilesTimingMerge(0.9, 0.95, 0.99)(quantile_timing_state)[3] AS ms"
    (slow,) = gateway.sql(f"SELECT {timing} FROM tinybird.pipe_stats WHERE pipe_id = '{pipe_id}'")
    assert abs(slow["ms"] - slowest["ms"]) <= 1 + 0.05 * slowest["ms"]  # whole milliseconds, coarser above a second
    assert 'sluice_http_endpoint_seconds_count{pipe="' in gateway.get("/metrics", token="").text


def test_a_workspace_that_reads_about_itself_is_not_recorded(gateway):
    mark = gateway.new_name("watching")
    gateway.get("/v0/sql", q=f"SELECT count() AS {mark} FROM tinybird.pipe_stats_rt")
    gateway.get("/v0/sql", q=f"SELECT count() AS {mark} FROM numbers(2)")

    log = f"SELECT url FROM tinybird.pipe_stats_rt WHERE url LIKE '%{mark}%numbers%' AND pipe_name = 'query_api'"
    (row,) = until(lambda: gateway.sql(log))
    assert "numbers" in row["url"]
    assert gateway.sql(f"SELECT url FROM tinybird.pipe_stats_rt WHERE url LIKE '%{mark}%pipe_stats_rt'") == []


@pytest.mark.parametrize("form", ["JSON", "TSV", "Parquet", "JSONEachRow"])
def test_a_result_of_a_billion_rows_is_refused_and_the_engine_goes_on(gateway, form):
    answer = gateway.get("/v0/sql", q=f"SELECT number, toString(number) AS s FROM numbers(1000000000) FORMAT {form}")

    assert answer.status in (400, 408), answer.text[:300]
    assert answer.error.startswith("[Error] Limit for result exceeded" if answer.status == 400 else "[Error] Timeout")
    assert gateway.get("/v0/sql", q="SELECT 1 FORMAT CSV").text == "1\n"


def test_describe_says_the_columns_of_what_the_token_may_read(gateway, hits, piped):
    assert gateway.get("/v0/sql", q=f"DESCRIBE {hits} FORMAT JSON").json["data"][0] == {
        "name": "n", "type": "UInt32", "default_type": "", "default_expression": "", "comment": "",
        "codec_expression": "", "ttl_expression": "",
    }  # fmt: skip
    assert gateway.get("/v0/sql", q=f"DESC TABLE {piped}").text.startswith("s\tUInt64\t")
    assert gateway.get("/v0/sql", q="% DESCRIBE (SELECT {{Int8(x, 1)}} AS a) FORMAT CSV").text.startswith('"a","Int8",')
    other = gateway.create_datasource("secret String `json:$.secret`", gateway.new_name("other"))
    token = gateway.make_token(f"DATASOURCES:READ:{hits}")
    refused = gateway.get("/v0/sql", q=f"DESCRIBE {other}", token=token)
    assert (refused.status, "secret" in refused.text) == (403, False)
    assert "has no plan" in gateway.get("/v0/sql", q=f"DESCRIBE {hits}", explain="true").json["error"]


@pytest.mark.parametrize(
    ("call", "rows"),
    [
        ("zeros(3)", "3\t0"), ("zeros_mt(3) AS z", "3\t0"), ("numbers_mt(3)", "3\t3"), ("numbers(0)", "0\t0"),
        ("generateRandom('zero UInt8', 1, 2, 2) LIMIT 1", ""), ("values('zero UInt8', 0, 0)", "2\t0"),
        ("null('zero UInt8')", "0\t0"),
    ],
)  # fmt: skip
def test_each_table_function_of_the_list_runs_where_one_may_only_read(gateway, call, rows):
    column = "number" if "numbers" in call else "zero"
    answer = gateway.get("/v0/sql", q=f"SELECT count(), toUInt64(sum({column})) FROM (SELECT * FROM {call})")
    assert answer.status == 200, answer.text
    assert answer.text.startswith(rows)


def test_a_function_of_templates_outside_of_one_says_how_it_is_meant(gateway):
    answer = gateway.get("/v0/sql", q="SELECT tb_secret('x')")
    assert answer.json["error"] == "Unknown function tb_secret. Usage: {{tb_secret('secret_name')}}"


@pytest.mark.parametrize(
    ("clause", "totals"),
    [("ALL", None), ("e", None), ("ALL WITH TOTALS", 5), ("e WITH TOTALS", 5), ("e WITH ROLLUP", None)],
)
def test_format_and_settings_may_follow_any_group_by(gateway, hits, clause, totals):
    q = f"SELECT n % 2 AS e, count() AS c FROM {hits} GROUP BY {clause}"
    found = [
        gateway.get("/v0/sql", q=f"{q} {end}").json for end in ("FORMAT JSON", "SETTINGS max_threads=1 FORMAT JSON")
    ]
    for each in found:
        counts = sorted(row["c"] for row in each["data"])
        assert counts == ([2, 3, 5] if "ROLLUP" in clause else [2, 3])
        assert each.get("totals", {}).get("c") == totals


@pytest.mark.parametrize("body", ['{"q": "SELECT 1"', "[1]", '["SELECT 1"]', '{"q": "SELECT 1"} x', "{} {}"])
def test_a_body_that_says_it_is_json_and_is_no_object_is_told_so(gateway, body):
    answer = gateway.request("POST", "/v0/sql", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.json["error"]) == (400, "The body is not a JSON object, as its Content-Type says")
