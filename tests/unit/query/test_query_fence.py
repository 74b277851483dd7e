"""The fence, in plain sight: what goes in, what comes out, and the words it refuses with."""

import pytest

from gateway.core.errors import Forbidden, InvalidRequest, TooLarge
from gateway.query.fence import FencedQuery, fence
from gateway.query.parse import NESTING_MAX, SQL_BYTES_MAX
from gateway.query.resolved import Resolved
from tests.support.query import ATTACKS, SELECTS


def resolve(name):
    return Resolved("ws", "t_" + name.rpartition(".")[2]) if name in ("events", "users", "tinybird.stats") else None


def fenced(sql) -> str:
    return fence(sql, resolve).sql


def refused(sql) -> str:
    with pytest.raises(InvalidRequest) as caught:
        fence(sql, resolve)
    return str(caught.value)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", "SELECT 1"),
        ("SELECT a.b FROM events a", "SELECT `a`.`b` FROM `ws`.`t_events` AS `a`"),
        ("SELECT events.x FROM events", "SELECT `events`.`x` FROM `ws`.`t_events` AS `events`"),
        ("SELECT tinybird.stats.x FROM tinybird.stats", "SELECT `stats`.`x` FROM `ws`.`t_stats` AS `stats`"),
        ("SELECT 1 -- DROP TABLE events", "SELECT 1"),
        ("SELECT /* x */ 1 # y", "SELECT 1"),
        ("SELECT 1;", "SELECT 1"),
        ("SELECT x IN users", "SELECT `x` IN `ws`.`t_users`"),
        ("SELECT x IN y", "SELECT `x` IN identity(`y`)"),
        (
            "WITH u AS (SELECT 1 AS a) SELECT u.a FROM u",
            "WITH `_cte1_u` AS (SELECT 1 AS `a`) SELECT `u`.`a` FROM `_cte1_u` AS `u`",
        ),
        (
            "WITH users AS (SELECT 1 FROM users) SELECT x IN users",
            "WITH `_cte1_users` AS (SELECT 1 FROM `ws`.`t_users` AS `users`) SELECT `x` IN `_cte1_users`",
        ),
        ("SELECT dummy FROM system.one", "SELECT `dummy` FROM `system`.`one` AS `one`"),
        ("SELECT * FROM VALUES('a UInt8', 1)", "SELECT * FROM values('`a` UInt8', 1)"),
        ("SELECT 'it''s', 'a\\nb'", "SELECT 'it\\'s', 'a\\nb'"),
        ("SELECT [1, 2]::Array(UInt8), -1::Int8", "SELECT [1, 2]::Array ( UInt8 ), -1::Int8"),
        ("SELECT inf, `inf`", "SELECT inf, `inf`"),
    ],
)
def test_the_text_is_written_anew(sql, expected):
    assert fenced(sql) == expected


def test_a_cte_is_seen_where_it_is_declared_and_below():
    assert "`_cte1_a`" in fenced("SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM (SELECT * FROM a))")
    with pytest.raises(InvalidRequest, match="Resource 'a' not found"):
        fenced("SELECT * FROM (WITH a AS (SELECT 1) SELECT 1), a")
    with pytest.raises(InvalidRequest, match="Resource 'b' not found"):
        fenced("WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a")


def test_what_is_not_sql_is_told_apart_from_the_query():
    found = fence("SELECT 1 SETTINGS max_threads = 2, max_execution_time = 3 format jsoneachrow", resolve)

    assert found == FencedQuery("SELECT 1", "JSONEachRow", {"max_threads": 2, "max_execution_time": 3}, (), {})


def test_settings_of_subqueries_count_and_the_smallest_wins():
    found = fence(
        "SELECT * FROM (SELECT 1 SETTINGS max_threads = 2) SETTINGS max_threads = 4, max_memory_usage = 0", resolve
    )

    assert (found.sql, found.settings) == ("SELECT * FROM (SELECT 1)", {"max_threads": 2})


def test_the_format_of_a_union_is_that_of_its_last_select():
    assert fence("SELECT 1 UNION ALL SELECT 2 FORMAT CSV", resolve).format == "CSV"
    assert fence("(SELECT 1) UNION ALL (SELECT 2) FORMAT CSV", resolve).format == "CSV"
    assert "FORMAT is only allowed at the end" in refused("SELECT 1 FORMAT CSV UNION ALL SELECT 2")


def test_it_says_what_was_read_and_by_which_name():
    found = fence("WITH c AS (SELECT 1) SELECT * FROM events JOIN c ON 1 WHERE x IN users", resolve)

    assert sorted(found.sources) == ["events", "users"]
    assert found.shown == {"ws.t_events": "events", "ws.t_users": "users", "_cte1_c": "c"}


def test_what_resolve_raises_is_heard():
    def forbidding(name):
        raise Forbidden(name)

    with pytest.raises(Forbidden):
        fence("SELECT * FROM events", forbidding)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("INSERT INTO events VALUES (1)", "Only SELECT or DESCRIBE queries are supported. Got: InsertQuery"),
        ("drop table events", "Only SELECT or DESCRIBE queries are supported. Got: DropQuery"),
        ("WITH x AS (SELECT 1) INSERT INTO events SELECT 1", "Syntax error"),
        ("SELECT 1; SELECT 2", "Multi-statements are not allowed"),
        ("SELECT * FROM s3('x')", "The s3 table function is only allowed in Copy Pipes"),
        ("SELECT * FROM file('x')", "The query uses disabled table functions: 'file'"),
        ("SELECT file('x')", "The function file is restricted"),
        ("SELECT nothing_like_it(1)", "Function with name 'nothing_like_it' does not exist"),
        ("SELECT 1 SETTINGS max_rows_to_read = 1", "Usage of setting 'max_rows_to_read' is restricted"),
        ("SELECT 1 FORMAT Null", "Unknown format 'Null'"),
        ("SELECT (1", "Unmatched parentheses"),
        ("SELECT 'a", "is not closed"),
        ("", "the query is empty"),
        ("SELECT '\ud800'", "not text in UTF-8"),
        ("SELECT {x:Identifier}", "parameters of type Identifier are not supported"),
    ],
)
def test_a_refusal_says_what_is_wrong(sql, words):
    assert words in refused(sql)


@pytest.mark.parametrize(
    "sql", ["SELECT 1" + " " * SQL_BYTES_MAX, "SELECT " + "(" * NESTING_MAX + "((1))" + ")" * NESTING_MAX]
)
def test_a_query_that_is_too_much_is_refused_before_it_is_read(sql):
    with pytest.raises(TooLarge):
        fence(sql, resolve)


def test_long_is_not_deep():
    """A chain of operators or of UNIONs is a deep tree; it takes no recursion."""
    assert fenced("SELECT " + " + ".join(["1"] * 5000)).count("+") == 4999
    assert fenced(" UNION ALL ".join(["SELECT 1"] * 2000)).count("UNION") == 1999
    assert fenced("SELECT 1 FROM events" + " JOIN users USING id" * 200).count("JOIN") == 200


def test_the_corpora_are_as_large_as_they_are_said_to_be():
    assert len(SELECTS) > 250
    assert len(ATTACKS) > 400
