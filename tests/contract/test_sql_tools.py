"""Helpers of the Query API that command lines call. Source: query.md §7."""

from urllib.parse import urlencode

import pytest
from orjson import dumps

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def form(gateway, path, **params):
    return gateway.request("POST", path, urlencode(params), FORM)


def test_a_query_is_written_anew_and_a_template_stays(gateway):
    ugly = "select a,'it''s' as b from t where x=1 /* why */"

    assert gateway.get("/v0/sql_format", q=ugly, with_clickhouse_format="true").json["q"] == (
        "SELECT\n    a,\n    'it\\'s' AS b\nFROM t\nWHERE x = 1"
    )
    assert gateway.get("/v0/sql_format", q="% select {{Int32(x)}}").json == {"q": "% select {{Int32(x)}}"}
    assert gateway.get("/v0/sql_format", q="selec 1").status == 400
    assert gateway.get("/v0/sql_format").status == 400


@pytest.mark.parametrize(
    "sql, tables",
    [
        ("SELECT 1", []),
        ("SELECT * FROM a JOIN tinybird.pipe_stats_rt USING x", [["", "a"], ["tinybird", "pipe_stats_rt"]]),
        (
            "WITH c AS (SELECT * FROM a) SELECT * FROM c, (SELECT * FROM b) WHERE n IN (SELECT n FROM c)",
            [["", "b"], ["", "a"]],
        ),
        ("WITH a AS (SELECT * FROM a) SELECT * FROM a", [["", "a"]]),
        ("SELECT * FROM a UNION ALL SELECT * FROM `a b`, numbers(3)", [["", "a"], ["", "a b"]]),
        ("% SELECT * FROM a WHERE x = {{String(y)}}", [["", "a"]]),
    ],
)
def test_the_tables_of_a_query_are_named(gateway, sql, tables):
    answer = form(gateway, "/v0/sql_tables", q=sql, raising="true", table_functions="false", is_copy="false")

    assert answer.status == 200, answer.text
    assert sorted(answer.json["tables"]) == sorted(tables)


def test_table_functions_are_named_on_request_and_bad_sql_raises_on_request(gateway):
    found = form(gateway, "/v0/sql_tables", q="SELECT * FROM numbers(3), a", table_functions="true").json["tables"]

    assert sorted(found) == [["", "", "numbers"], ["", "a"]]
    assert form(gateway, "/v0/sql_tables", q="SELEC 1", raising="false").json == {"tables": []}
    assert form(gateway, "/v0/sql_tables", q="SELEC 1", raising="true").status == 400


@pytest.mark.parametrize(
    "sql, names, expected",
    [
        ("SELECT a.x FROM a -- a", {"a": "b"}, "SELECT a.x FROM b AS `a` -- a"),
        ("SELECT 'a' FROM `a` AS t, c.a", {"a": "b", "c.a": ["d", "e"]}, "SELECT 'a' FROM b AS t, d.e AS `a`"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", {"a": "b"}, "WITH a AS (SELECT 1) SELECT * FROM a"),
        ("SELECT 1 FROM a", {"a": "x y"}, "SELECT 1 FROM `x y` AS `a`"),
        ("SELECT 1 FROM a", {}, "SELECT 1 FROM a"),
    ],
)
def test_tables_get_other_names_and_nothing_else_changes(gateway, sql, names, expected):
    answer = form(gateway, "/v0/sql_replace", q=sql, replacements=dumps(names).decode())

    assert (answer.status, answer.json) == (200, {"query": expected})


@pytest.mark.parametrize("names", ["[]", "x", '{"a": 1}', '{"a": ["b"]}'])
def test_replacements_of_the_wrong_shape_are_refused(gateway, names):
    assert form(gateway, "/v0/sql_replace", q="SELECT 1 FROM a", replacements=names).status == 400
