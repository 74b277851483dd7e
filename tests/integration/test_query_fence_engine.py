"""The fence against the real engine: what it lets through means the same, and reads nothing it may not."""

import pytest

from gateway.core.errors import GatewayError
from gateway.query import functions
from gateway.query.fence import fence
from gateway.query.parse import parse
from gateway.query.render import render
from gateway.query.resolved import Inlined, Resolved
from tests.support.query import ATTACKS, CANARY, SELECTS, TABLES, Database, offences, resolve, without_format


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    found = Database(str(tmp_path_factory.mktemp("fence-engine")))
    yield found
    found.close()


def test_a_fenced_select_answers_what_the_original_answers(database):
    """Names and types of the columns too. The database is the current one, so the originals run as they are."""
    differing = []
    for sql in SELECTS:
        expected = database.result(without_format(sql))
        found = database.result(fence(sql, resolve).sql)
        if "ORDER BY" not in sql and isinstance(found, dict) and isinstance(expected, dict):  # no order was asked for
            found, expected = ({**each, "data": sorted(each["data"], key=repr)} for each in (found, expected))
        if found != expected or str(found).startswith("ERROR"):
            differing.append((sql, expected, found))

    assert len(SELECTS) > 250
    assert differing == []


def test_the_engine_reads_the_rendered_text_as_it_reads_the_original(database):
    differing = [
        sql
        for sql in SELECTS
        if database.formatted(render(parse(sql)[0])) != database.formatted(sql.rstrip().rstrip(";"))
    ]

    assert differing == []


def test_no_attack_leaks(database, tmp_path):
    """Run without `readonly` and without limits: the fence holds alone."""
    file, out = tmp_path / "secret", tmp_path / "out"
    file.write_text(CANARY)
    escaped = []
    for attack in ATTACKS:
        sql = attack.replace("SECRETFILE", str(file)).replace("'OUTFILE'", f"'{out}'")
        try:
            fenced = fence(sql, resolve)
        except GatewayError:
            continue
        answer = database.text(fenced.sql)
        tree = database.tree(fenced.sql)
        if CANARY in answer or (tree and offences(tree, TABLES)):
            escaped.append((sql, fenced.sql, answer))

    assert escaped == []
    assert not out.exists()


def test_what_the_fence_lets_out_names_only_what_it_may(database):
    found = {sql: offences(database.tree(fence(sql, resolve).sql), TABLES) for sql in SELECTS}

    assert {sql: what for sql, what in found.items() if what} == {}


ROW_FILTERED = """
    SELECT * FROM events
    SELECT e.id, e.user_id FROM events AS e WHERE e.id > 0 ORDER BY e.id
    SELECT events.user_id FROM events
    SELECT user_id FROM events FINAL
    SELECT user_id FROM events SAMPLE 1
    SELECT user_id FROM events AS e FINAL SAMPLE 1/2 OFFSET 1/2
    SELECT user_id FROM events PREWHERE id > 1
    SELECT user_id FROM events PREWHERE id > 1 WHERE id < 30 OR 1
    SELECT user_id FROM events AS a JOIN events AS b USING (user_id)
    SELECT b.user_id FROM users AS a RIGHT JOIN events AS b ON 1
    SELECT user_id FROM users AS u, events AS e
    SELECT arrayJoin(groupArray(user_id)) FROM events
    SELECT user_id FROM (SELECT * FROM events)
    WITH x AS (SELECT * FROM events) SELECT user_id FROM x
    WITH (SELECT groupUniqArray(user_id) FROM events) AS x SELECT arrayJoin(x) AS user_id
    SELECT 7 AS id, user_id FROM events UNION ALL SELECT 1, user_id FROM events
    WITH 3 AS user_id SELECT * FROM events
    WITH 3 AS `row_filter` SELECT user_id FROM events
    WITH tuple(3) AS `row_filter` SELECT user_id FROM events
    SELECT 3 AS user_id, events.user_id FROM events
    SELECT user_id FROM events AS `row_filter`
    SELECT user_id FROM events WHERE 1 OR user_id = 3
    SELECT user_id FROM events ARRAY JOIN [1, 2] AS user_ids
    FROM events SELECT user_id
"""


@pytest.mark.parametrize("sql", [line.strip() for line in ROW_FILTERED.strip().splitlines()])
def test_no_row_passes_its_filter(database, sql):
    def filtered(name):
        found = resolve(name)
        return (
            Resolved(found.database, found.table, "user_id IN (1, 2) AND events.id > 0") if name == "events" else found
        )

    answer = database.result(fence(sql, filtered).sql)

    names = [column["name"] for column in answer["meta"]]
    place = max(i for i, name in enumerate(names) if name.endswith("user_id") or "groupArray" in name)
    assert {int(row[place]) for row in answer["data"]} in ({1, 2}, {1}, {2})


def test_a_filtered_table_behind_in_is_filtered(database):
    def filtered(name):
        found = resolve(name)
        return Resolved(found.database, found.table, "id = 1") if name == "ids" else found

    for sql in (
        "SELECT 3 IN ids, 1 IN ids",
        "SELECT 3 IN (ids), 1 GLOBAL IN (ids)",
        "SELECT NOT 3 NOT IN ids, 1 IN ids",
    ):
        assert database.text(fence(sql, filtered).sql) == "0\t1\n"


def test_every_function_of_the_engine_has_been_looked_at(database):
    """A later engine has more: put each on one of the lists in `functions`."""
    names = database.text("SELECT name FROM system.functions").split()

    assert len(names) > 1500
    assert [name for name in names if not functions.is_allowed(name) and not functions.is_restricted(name)] == []


def test_a_listed_name_is_known_in_the_cases_the_engine_knows_it_in(database):
    rows = database.result("SELECT name, case_insensitive FROM system.functions")["data"]

    wrong = [
        name
        for name, in_any_case in rows
        if functions.is_allowed(name)
        and name.swapcase() != name
        and functions.is_allowed(name.swapcase()) != bool(in_any_case)
    ]
    assert [name for name in wrong if name.swapcase() not in {row[0] for row in rows}] == []


def test_a_bare_word_the_engine_would_call_is_refused(database):
    """But for three that are good names for a column, and tell only the engine's user and default database."""
    names = database.text("SELECT name FROM system.functions").split()
    called = [name for name in names if functions.is_restricted(name) and _is_called(database, f"SELECT `{name}`")]

    assert {name.lower() for name in called if not functions.is_call_without_brackets(name)} <= {
        "user",
        "database",
        "schema",
    }


def test_the_functions_that_take_functions_are_known(database):
    names = [name for name in database.text("SELECT name FROM system.functions").split() if functions.is_allowed(name)]
    taking = {
        name
        for name in names
        for arguments in ("lower, ['A']", "lower, 1, ['A']")
        if _is_called(database, f"SELECT `{name}`({arguments})")
    }
    plain = {name for name in taking if _is_called(database, f"SELECT `{name}`(nothing_of_the_sort, ['A'])")}

    assert {name for name in taking - plain if not functions.takes_a_function(name)} == set()


def _is_called(database, sql):
    answer = database.text(sql)
    return not any(code in answer for code in ("UNKNOWN_IDENTIFIER", "SYNTAX_ERROR"))


PIPES = {
    "busy": "SELECT user_id, count() AS n FROM events GROUP BY user_id",
    "top": "WITH m AS (SELECT max(n) AS most FROM busy) SELECT user_id, n FROM busy WHERE n IN m ORDER BY user_id",
    "both": "SELECT n FROM top UNION ALL SELECT n FROM busy",
    "ranked": "(SELECT n FROM busy) UNION ALL (SELECT n FROM top)",
}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM top",
        "SELECT sum(n), count() FROM both",
        "SELECT a.user_id, b.n FROM top AS a INNER JOIN busy AS b ON a.user_id = b.user_id ORDER BY ALL",
        "SELECT user_id, n FROM busy WHERE user_id IN (SELECT user_id FROM top) AND n IN both ORDER BY ALL",
        "WITH top AS (SELECT 5 AS n) SELECT sum(n) FROM top, busy AS b",
        "(SELECT sum(n) FROM ranked) UNION ALL (SELECT sum(n) FROM ranked)",
        "SELECT sum(n) FROM (SELECT n FROM top UNION ALL SELECT n FROM both)",
        "WITH (SELECT max(n) FROM top) AS most SELECT most, count() FROM busy WHERE n = most AND most IN both",
    ],
)
def test_a_pipe_reads_as_its_query_in_brackets(database, sql):
    """What the engine makes of it is what it makes of the same thing written by hand, with views of those names."""

    def inside(name):
        return Inlined(name, name, PIPES[name], inside) if name in PIPES else resolve(name)

    for name, text in PIPES.items():
        database.text(f"CREATE OR REPLACE VIEW plain.{name} AS {text.replace('events', 'plain.events')}")
    fenced = database.result(fence(sql, inside).sql)
    plain = database.result(sql)

    assert fenced["data"] == plain["data"]
    assert fenced["data"]
    assert [column["name"] for column in fenced["meta"]] == [column["name"] for column in plain["meta"]]
    for name in PIPES:
        database.text(f"DROP VIEW plain.{name}")
