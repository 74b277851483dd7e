"""DESCRIBE: what it is about, and that it is fenced as the query it stands for."""

import pytest

from gateway.core.errors import GatewayError, InvalidRequest
from gateway.query.describe import described, describing, is_describing
from gateway.query.fence import fence
from gateway.query.resolved import Resolved


def resolve(name: str) -> Resolved | None:
    return Resolved("ws_0123456789ab", "t_1") if name == "events" else None


@pytest.mark.parametrize(
    ("sql", "query"),
    [
        ("DESCRIBE events", "SELECT * FROM events"),
        ("desc table events FORMAT JSON", "SELECT * FROM events FORMAT JSON"),
        ("-- a\n/* b */ Describe TABLE `events`;", "SELECT * FROM `events`;"),
        ("DESCRIBE (SELECT 1 AS a) FORMAT CSV", "(SELECT 1 AS a) FORMAT CSV"),
        ("DESCRIBE SELECT 1 AS a", "SELECT 1 AS a"),
        ("DESC WITH 1 AS x SELECT x", "WITH 1 AS x SELECT x"),
        ("DESCRIBE numbers(3)", "SELECT * FROM numbers(3)"),
    ],
)
def test_it_is_about_a_table_or_a_query(sql, query):
    assert described(sql) == query


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "SELECT desc FROM t", "-- DESCRIBE t\nSELECT 1", "describer", "'desc'", ""]
)
def test_anything_else_is_not_one(sql):
    assert described(sql) is None


@pytest.mark.parametrize("sql", ["DESCRIBE", "DESC;", "describe -- x"])
def test_it_must_say_what(sql):
    with pytest.raises(InvalidRequest, match="needs the name of a table, or a query"):
        described(sql)


def test_the_query_is_fenced_and_then_described():
    fenced = describing(fence(described("DESC events FORMAT CSV") or "", resolve))
    assert fenced.sql == "DESCRIBE (SELECT * FROM `ws_0123456789ab`.`t_1` AS `events`)"
    assert (fenced.format, is_describing(fenced)) == ("CSV", True)


@pytest.mark.parametrize(
    "sql",
    [
        "DESCRIBE secrets",
        "DESCRIBE system.tables",
        "DESC events; DROP TABLE events",
        "DESCRIBE events) UNION ALL (SELECT 1",
        "DESCRIBE url('http://x', 'CSV')",
        "DESCRIBE file('/etc/passwd')",
        "DESCRIBE events SETTINGS readonly = 0",
        "DESCRIBE events INTO OUTFILE '/tmp/x'",
        "DESCRIBE DESCRIBE events",
        "DESCRIBE (DESCRIBE events)",
        "DESCRIBE (SELECT hostName())",
    ],
)
def test_it_reaches_nothing_a_query_would_not(sql):
    with pytest.raises(GatewayError):
        fence(described(sql) or "", resolve)
