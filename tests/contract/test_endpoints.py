"""Endpoints, called as clients call them. Source: pipes.md §4, query.md §2.7; templates.md §5.1, §7, §8."""

import gzip
from urllib.parse import urlencode

import pytest
from orjson import dumps, loads

from tests.property.test_templates_injection import PIECES
from tests.support.pipes import make_endpoint, make_pipe, rows


@pytest.fixture(scope="module")
def visits(gateway):
    """Ten visits: n from 0, odd ones from ES."""
    name = gateway.create_datasource("n UInt64 `json:$.n`, country String `json:$.c`", gateway.new_name("visits"))
    sent = [{"n": n, "c": "ES" if n % 2 else "FR"} for n in range(10)]
    assert gateway.post_events(name, sent, wait="true").status == 200
    return name


@pytest.fixture(scope="module")
def daily(gateway, visits):
    """Two nodes, two parameters."""
    return make_endpoint(
        gateway,
        ("of_country", f"% SELECT * FROM {visits} WHERE country = {{{{String(country, 'ES')}}}}"),
        ("counted", "% SELECT n FROM of_country ORDER BY n LIMIT {{Int32(page_size, 2)}}"),
        name=gateway.new_name("daily"),
    )


def test_an_endpoint_answers_with_types_rows_and_statistics(gateway, daily):
    answer = gateway.get(f"/v0/pipes/{daily}.json")

    found = answer.json
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert found["meta"] == [{"name": "n", "type": "UInt64"}]
    assert found["data"] == [{"n": 1}, {"n": 3}]
    assert (found["rows"], found["rows_before_limit_at_least"]) == (2, 5)
    assert set(found["statistics"]) == {"elapsed", "rows_read", "bytes_read"}
    assert found["statistics"]["rows_read"] == 10


def test_parameters_reach_every_node_from_wherever_they_are_sent(gateway, daily):
    params = {"country": "FR", "page_size": "3", "unknown": "x", "cli_version": "1", "__tb__client": "x", "from": "ts"}
    path = f"/v0/pipes/{daily}.ndjson"
    expected = '{"n":0}\n{"n":2}\n{"n":4}\n'

    assert gateway.get(path, **params).text == expected
    assert gateway.post(path, urlencode(params).encode()).text == expected
    assert gateway.post(path, dumps({**params, "page_size": 3})).text == expected
    assert gateway.post(path, b"page_size=3", country="FR").text == expected
    assert gateway.post(path, b"page_size=3&country=ES", country="FR").text == expected, "the URL goes first"


@pytest.mark.parametrize(
    ("extension", "kind", "body"),
    [
        ("csv", "text/csv; charset=utf-8", '"n"\n1\n3\n'),
        ("csvwithnames", "text/csv; charset=utf-8", '"n"\n1\n3\n'),
        ("ndjson", "application/x-ndjson", '{"n":1}\n{"n":3}\n'),
    ],
)
def test_the_extension_decides_the_format(gateway, daily, extension, kind, body):
    for q in ("", "SELECT * FROM _ FORMAT JSON"):
        answer = gateway.get(f"/v0/pipes/{daily}.{extension}", **({"q": q} if q else {}))
        assert (answer.status, answer.headers["Content-Type"], answer.text) == (200, kind, body)


def test_parquet_and_prometheus(gateway, daily):
    parquet = gateway.get(f"/v0/pipes/{daily}.parquet")
    assert (parquet.headers["Content-Type"], parquet.body[:4]) == ("application/octet-stream", b"PAR1")

    metric = make_endpoint(gateway, "SELECT 'hits' AS name, toFloat64(3) AS value, map('site', 'a') AS labels")
    shown = gateway.get(f"/v0/pipes/{metric}.prometheus")
    assert shown.headers["Content-Type"] == "text/plain; version=0.0.4"
    assert 'hits{site="a"} 3' in shown.text
    assert gateway.get(f"/v0/pipes/{daily}.prometheus").status == 400, "no name, no value"


@pytest.mark.parametrize("send", ["url", "raw", "json", "form", "template"])
def test_a_query_over_the_result(gateway, daily, send):
    path, q = f"/v0/pipes/{daily}.json", "select sum(n) as s from _"
    answer = {
        "url": lambda: gateway.get(path, q=q, page_size="4"),
        "raw": lambda: gateway.request("POST", path + "?page_size=4", q.encode(), {"Content-Type": FORM}),
        "json": lambda: gateway.post(path, dumps({"q": q, "page_size": 4})),
        "form": lambda: gateway.post(path, urlencode({"q": q, "page_size": "4"}).encode()),
        "template": lambda: gateway.get(
            path, q="% select sum(n) as {{symbol(as_name)}} from _", as_name="s", page_size="4"
        ),
    }[send]()

    assert answer.json["data"] == [{"s": 16}]


FORM = "application/x-www-form-urlencoded"


def test_lists_are_repeated_joined_or_json(gateway, visits):
    pipe = make_endpoint(
        gateway, f"% SELECT groupArray(n) AS found FROM {visits} WHERE n IN {{{{Array(ids, 'UInt64')}}}}"
    )

    assert rows(gateway, pipe, ids="1,2") == [{"found": [1, 2]}]
    assert gateway.request("GET", f"/v0/pipes/{pipe}.json?ids=1&ids=2").json["data"] == [{"found": [1, 2]}]
    assert gateway.post(f"/v0/pipes/{pipe}.json", dumps({"ids": [1, 2]})).json["data"] == [{"found": [1, 2]}]


def test_64_bit_numbers_and_denormals_as_the_client_wants_them(gateway):
    pipe = make_endpoint(gateway, "SELECT toUInt64(18446744073709551615) AS big, 1 / 0 AS inf")

    assert rows(gateway, pipe) == [{"big": 18446744073709551615, "inf": None}]
    quoted = rows(gateway, pipe, output_format_json_quote_64bit_integers="1", output_format_json_quote_denormals="true")
    assert quoted == [{"big": "18446744073709551615", "inf": "inf"}]
    assert gateway.get(f"/v0/pipes/{pipe}.json", output_format_json_quote_denormals="x").status == 400


def test_a_change_of_a_node_is_seen_by_the_next_call_on_every_worker(gateway):
    pipe = make_endpoint(gateway, ("only", "SELECT 0 AS x"))

    for version in range(1, 9):
        gateway.request("PUT", f"/v0/pipes/{pipe}/nodes/only", f"SELECT {version} AS x".encode())
        assert [rows(gateway, pipe) for _ in range(3)] == [[{"x": version}]] * 3


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"page_size": "5a"}, "Error validating '5a' to type Int32"),
        ({"page_size": ""}, "Error validating '' to type Int32"),
        ({"q": "SELECT foo FROM _"}, "[Error] Unknown expression"),
        ({"q": "SELECT * FROM nothing"}, "Resource 'nothing' not found"),
        ({"q": "DROP TABLE _"}, "Only SELECT or DESCRIBE queries are supported. Got: DropQuery"),
        ({"q": "SELECT throwIf(n = 3) FROM _"}, "[Error] Value passed to 'throwIf' function is non-zero"),
    ],
)
def test_what_is_wrong_is_400_with_a_sentence(gateway, daily, params, sentence):
    answer = gateway.get(f"/v0/pipes/{daily}.json", **params)

    assert answer.status == 400
    assert sentence in answer.error


def test_required_parameters(gateway):
    pipe = make_endpoint(
        gateway,
        "% SELECT {{String(a)}} AS a, {{String(b, 'x')}} AS b, {{String(c, 'dflt', required=True)}} AS c",
    )

    assert "a and c" not in gateway.get(f"/v0/pipes/{pipe}.json", a="1", c="2").text
    for sent in ({}, {"a": "1"}):
        answer = gateway.get(f"/v0/pipes/{pipe}.json", **sent)
        assert answer.status == 400
        assert "Required parameter is not defined. Check the parameter" in answer.error
        assert "c" in answer.error.split("parameter")[-1]
    assert rows(gateway, pipe, a="", c="") == [{"a": "", "b": "x", "c": ""}]
    through_sql = gateway.get("/v0/sql", q=f"SELECT c FROM {pipe}", a="1")
    assert through_sql.text == "dflt\n", "only a call of the endpoint requires it"


def test_errors_of_the_author_are_sent_as_they_are(gateway):
    pipe = make_endpoint(
        gateway,
        "% {% if defined(own) %}{{custom_error({'error_id': 10, 'error': 'no'}, 403)}}{% end %}"
        "{% if defined(plain) %}{{error('bad thing')}}{% end %} SELECT 1 AS x",
    )

    own = gateway.get(f"/v0/pipes/{pipe}.json", own="1")
    assert (own.status, own.json) == (403, {"error_id": 10, "error": "no"})
    plain = gateway.get(f"/v0/pipes/{pipe}.json", plain="1")
    assert (plain.status, plain.json["error"]) == (400, "bad thing")


def test_what_is_not_there_is_404_and_other_methods_are_405(gateway, visits):
    unpublished = make_pipe(gateway, ("first", f"SELECT * FROM {visits}"))

    assert gateway.get("/v0/pipes/no_such_pipe.json").error == "Pipe 'no_such_pipe' not found"
    assert gateway.get("/v0/pipes/no_such_pipe.json").status == 404
    assert gateway.get(f"/v0/pipes/{unpublished}.json").status == 404
    assert "no endpoint" in gateway.get(f"/v0/pipes/{unpublished}.json").error
    for method in ("PUT", "DELETE", "PATCH"):
        assert gateway.request(method, f"/v0/pipes/{unpublished}.json").status == 405


def test_a_pipe_may_be_called_by_its_id(gateway, daily):
    pipe_id = gateway.get(f"/v0/pipes/{daily}").json["id"]

    assert rows(gateway, pipe_id) == rows(gateway, daily)


def test_a_token_reads_the_pipes_it_names_and_nothing_beneath_them(gateway, daily, visits):
    other = make_endpoint(gateway, "SELECT 1 AS x")
    token = gateway.make_token(f"PIPES:READ:{gateway.get(f'/v0/pipes/{daily}').json['id']}")

    assert gateway.get(f"/v0/pipes/{daily}.json", token=token).json["data"] == [{"n": 1}, {"n": 3}]
    assert gateway.get("/v0/sql", q=f"SELECT sum(n) FROM {daily}", token=token).text == "4\n"
    for refused in (
        gateway.get(f"/v0/pipes/{other}.json", token=token),
        gateway.get("/v0/sql", q=f"SELECT * FROM {other}", token=token),
        gateway.get("/v0/sql", q=f"SELECT * FROM {visits}", token=token),
        gateway.get(f"/v0/pipes/{daily}.json", q=f"SELECT * FROM {visits}", token=token),
        gateway.get("/v0/sql", q=f"SELECT * FROM {visits}", pipeline=daily, token=token),
    ):
        assert refused.status == 403, refused.text
    for node in ("of_country", "counted"):
        for path, more in ((f"/v0/pipes/{daily}.json", {}), ("/v0/sql", {"pipeline": daily})):
            answer = gateway.get(path, q=f"SELECT * FROM {node}", token=token, **more)
            assert (answer.status, answer.error) == (400, f"Resource '{node}' not found")


def test_the_row_filter_of_a_token_is_about_the_result(gateway, daily):
    token = gateway.make_token(f"PIPES:READ:{gateway.get(f'/v0/pipes/{daily}').json['id']}:n > 2")

    for answer in (
        gateway.get(f"/v0/pipes/{daily}.json", token=token),
        gateway.get(f"/v0/pipes/{daily}.json", token=token, q="SELECT * FROM _"),
        gateway.get("/v0/sql", token=token, q=f"SELECT * FROM {daily} FORMAT JSON"),
        gateway.get("/v0/sql", token=token, q="SELECT * FROM _ WHERE 1 OR n = 1 FORMAT JSON", pipeline=daily),
    ):
        assert answer.json["data"] == [{"n": 3}]
    assert gateway.get(f"/v0/pipes/{daily}.json").json["data"] == [{"n": 1}, {"n": 3}], "others see all"


def test_pipes_read_pipes_and_a_circle_is_refused(gateway, daily):
    outer = make_endpoint(gateway, f"SELECT a.n FROM {daily} AS a JOIN {daily} AS b ON a.n = b.n ORDER BY a.n")

    assert rows(gateway, outer, country="FR", page_size="2") == [{"n": 0}, {"n": 2}]
    top = make_endpoint(gateway, f"SELECT sum(n) AS s FROM {outer}")
    assert rows(gateway, top, page_size="5") == [{"s": 25}]


def test_secrets_are_bound_and_appear_nowhere(gateway, visits):
    secret = "tops3cret'\\\t\n`x"
    gateway.post("/v0/variables", urlencode({"name": "pw", "value": secret}).encode())
    pipe = make_endpoint(
        gateway,
        f"% SELECT count() AS c FROM {visits} WHERE {{{{tb_secret('pw')}}}} = {{{{String(guess)}}}}",
    )
    cast = make_endpoint(gateway, f"% SELECT count() AS c FROM {visits} WHERE toUInt8({{{{tb_secret('pw')}}}}) = n")
    missing = make_endpoint(
        gateway, f"% SELECT count() AS c FROM {visits} WHERE country = {{{{tb_secret('no', 'ES')}}}}"
    )

    assert rows(gateway, pipe, guess=secret) == [{"c": 10}]
    assert rows(gateway, pipe, guess="other") == [{"c": 0}]
    assert rows(gateway, missing) == [{"c": 5}]
    failed = gateway.get(f"/v0/pipes/{cast}.json")
    assert (failed.status, "tops3cret" in failed.text) == (400, False)
    explained = gateway.get(f"/v0/pipes/{pipe}.json", explain="true", guess="x")
    assert set(explained.json) == {"debug_query", "query_explain"}
    assert "tops3cret" not in explained.text
    stolen = gateway.get("/v0/sql", q=f"SELECT {{pw:String}} FROM {pipe}", guess="x")
    assert (stolen.status, stolen.error) == (400, "[Error] Substitution `pw` is not set")


def test_explain_shows_the_query_and_the_plan(gateway, daily):
    for path in (
        f"/v0/pipes/{daily}/explain",
        f"/v0/pipes/{daily}.json?explain=true",
        f"/v0/pipes/{daily}?explain=true",
        f"/v0/pipes/{daily}/nodes/counted/explain",
    ):
        found = gateway.request("GET", path).json
        assert "of_country" in found["debug_query"]
        assert "toInt32('2')" in found["debug_query"]
        assert "ReadFromMergeTree" in found["query_explain"]
        assert "ws_" not in found["debug_query"] + found["query_explain"]
    assert gateway.get(f"/v0/pipes/{daily}/nodes/nothing/explain").status == 404


def test_an_answer_may_be_kept_for_a_while_if_the_template_says_so(gateway, visits):
    kept = make_endpoint(gateway, f"% {{{{cache_ttl('1h')}}}} SELECT max(n) AS n, generateUUIDv4() AS id FROM {visits}")
    plain = make_endpoint(gateway, f"SELECT max(n) AS n, generateUUIDv4() AS id FROM {visits}")

    # Each worker keeps its own.
    assert len({gateway.get(f"/v0/pipes/{kept}.json").json["data"][0]["id"] for _ in range(20)}) <= 2
    assert len({gateway.get(f"/v0/pipes/{plain}.json").json["data"][0]["id"] for _ in range(5)}) == 5
    assert gateway.get(f"/v0/pipes/{kept}.csv").text.startswith('"n","id"')


def test_large_answers_are_compressed_and_whole(gateway):
    pipe = make_endpoint(gateway, "% SELECT number AS n, toString(number) AS s FROM numbers({{Int32(n)}})")

    for count in (10, 100, 300_000):
        answer = gateway.request("GET", f"/v0/pipes/{pipe}.ndjson?n={count}", headers={"Accept-Encoding": "gzip"})
        body = gzip.decompress(answer.body) if answer.headers["Content-Encoding"] == "gzip" else answer.body
        assert (answer.headers["Content-Encoding"] == "gzip") == (len(body) >= 1024)
        lines = body.splitlines()
        assert (len(lines), loads(lines[-1])) == (count, {"n": count - 1, "s": str(count - 1)})


def test_browsers_may_call_it(gateway, daily):
    answer = gateway.get(f"/v0/pipes/{daily}.json")

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["X-Request-Id"]
    assert gateway.request("OPTIONS", f"/v0/pipes/{daily}.json", token="").status == 204


def test_no_payload_of_the_corpus_leaves_its_place_on_the_way_to_the_engine(gateway, visits):
    """All families of `tests/property/test_templates_injection.py`, over HTTP, for every kind of parameter."""
    echo = make_endpoint(
        gateway,
        ("told", f"% SELECT {{{{String(x)}}}} AS x, {{{{Array(l)}}}} AS l, count() AS c FROM {visits} GROUP BY ALL"),
        ("counted", "% SELECT x, l, c FROM told WHERE x = {{String(x)}} AND {{JSON(j, '{}').get('k', 'none')}} != x"),
    )
    typed = {
        kind: make_endpoint(
            gateway, f"% SELECT count() AS c FROM {visits} WHERE 1 = 1 OR toString({{{{{kind}(x)}}}}) = ''"
        )
        for kind in ("Int32", "UInt64", "Float64", "Date", "DateTime", "DateTime64", "Boolean", "Symbol")
    }
    payloads = [piece for piece in PIECES if piece.strip()]
    for payload in payloads:
        # Escaped as templates.md §4 says, for LIKE; to ClickHouse these two are no escapes, and the backslash stays.
        arrived = payload.replace("\x1a", "\\z").replace("%", "\\%")
        sent = dumps({"x": payload, "l": [payload, "b"], "j": dumps({"k": payload + "!"}).decode()})
        assert gateway.post(f"/v0/pipes/{echo}.json", sent).json["data"] == [
            {"x": arrived, "l": [arrived, "b"], "c": 10}
        ]
        in_sql = dumps(
            {
                "q": f"% SELECT c FROM {echo} WHERE x = {{{{String(x)}}}} FORMAT CSV",
                "x": payload,
                "l": payload,
                "j": "{}",
            }
        )
        assert gateway.post("/v0/sql", in_sql).text in {"10\n", ""}
    for kind, pipe in typed.items():
        for payload in payloads[:: len(typed) - 1]:
            answer = gateway.get(f"/v0/pipes/{pipe}.json", x=payload)
            assert answer.status == 400 or answer.json["data"] == [{"c": 10}], (kind, payload, answer.text)
    assert gateway.count(visits) == 10
