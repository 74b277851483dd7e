"""Queries in place of names: what stands where, and what is refused."""

import pytest

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.query.expand import DEPTH_MAX, QUERIES_MAX
from gateway.query.fence import fence
from gateway.query.resolved import Inlined, Resolved


def world(texts, filters=None, bound=None):
    """A resolver: `texts` by name, each seeing the others and the table `events`."""

    def inside(name):
        if name in texts:
            return Inlined(name, name, texts[name], inside, (bound or {}).get(name, {}))
        return Resolved("ws", "t_events") if name == "events" else None

    def outside(name):
        found = inside(name)
        if found is None or isinstance(found, Resolved):
            return None  # whoever asks may read the pipes only
        return Inlined(found.key, found.title, found.sql, inside, found.bound, (filters or {}).get(name))

    return outside


def test_a_pipe_read_once_stands_where_its_name_stood():
    found = fence("SELECT count() FROM top WHERE top.n > 1", world({"top": "SELECT id AS n FROM events"}))

    assert found.sql == (
        "SELECT count() FROM (SELECT `id` AS `n` FROM `ws`.`t_events` AS `events`) AS `top` WHERE `top`.`n` > 1"
    )
    assert (found.sources, found.hides) == (("top",), True)


def test_a_pipe_read_in_several_places_is_written_once():
    found = fence("SELECT a.n FROM top AS a JOIN top AS b ON a.n = b.n WHERE n IN top", world({"top": "SELECT 1 AS n"}))

    assert found.sql == (
        "WITH `_cte1_top` AS (SELECT 1 AS `n`) SELECT `a`.`n` FROM `_cte1_top` AS `a` JOIN `_cte1_top` AS `b` "
        "ON `a`.`n` = `b`.`n` WHERE `n` IN `_cte1_top`"
    )


def test_what_pipes_read_in_common_stands_before_them_and_before_ctes_of_the_query():
    texts = {"base": "SELECT 1 AS n", "one": "SELECT n FROM base", "two": "SELECT n FROM base UNION ALL SELECT 2"}

    sql = fence("WITH x AS (SELECT n FROM one) SELECT * FROM x, two, one", world(texts)).sql

    places = [sql.index(name) for name in ("_cte2_base` AS", "_cte3_one` AS", "_cte1_x` AS")]
    assert places == sorted(places)
    assert sql.count("SELECT 1 AS `n`") == 1


@pytest.mark.parametrize("query", ["(SELECT n FROM top)", "(SELECT n FROM top) UNION ALL SELECT n FROM top"])
def test_before_a_bracket_stands_no_cte_so_it_is_written_each_time(query):
    sql = fence(query, world({"top": "WITH x AS (SELECT 1 AS n) SELECT n FROM x"})).sql

    assert sql.startswith("(")
    assert sql.count("SELECT 1 AS `n`") == query.count("top")


def test_the_rows_of_a_filtered_pipe_are_those_of_its_result():
    sql = fence("SELECT * FROM top AS t", world({"top": "SELECT 1 AS n"}, {"top": "n = 1"})).sql

    assert sql == (
        "SELECT * FROM (SELECT * FROM (SELECT 1 AS `n`) AS `row_filter` WHERE (`row_filter`.`n` = 1) LIMIT 9223372036854775807) AS `t`"
    )


def test_names_inside_a_pipe_are_not_known_outside_nor_those_outside_inside():
    texts = {"top": "SELECT * FROM events"}

    with pytest.raises(InvalidRequest, match="Resource 'events' not found"):
        fence("SELECT * FROM events, top", world(texts))
    with pytest.raises(InvalidRequest, match="Resource 'mine' not found"):
        fence("WITH mine AS (SELECT 1) SELECT * FROM mine, top", world({"top": "SELECT * FROM mine"}))
    shadowed = fence("WITH events AS (SELECT 1 AS x) SELECT * FROM top, events", world(texts)).sql
    assert "FROM (SELECT * FROM `ws`.`t_events` AS `events`) AS `top`" in shadowed


@pytest.mark.parametrize(
    ("texts", "circle"),
    [
        ({"a": "SELECT * FROM a"}, "a → a"),
        ({"a": "SELECT * FROM b", "b": "SELECT 1 IN c", "c": "SELECT (SELECT 1 FROM b)"}, "b → c → b"),
    ],
)
def test_a_pipe_that_reads_itself_is_refused_with_the_way_round(texts, circle):
    with pytest.raises(InvalidRequest, match=f"A pipe cannot read itself: {circle}$"):
        fence("SELECT * FROM a", world(texts))


def test_pipes_go_as_deep_as_the_limit_and_no_deeper():
    texts = {f"p{n}": f"SELECT (n) FROM p{n - 1}" for n in range(1, DEPTH_MAX + 1)} | {"p0": "SELECT 1 AS n"}

    assert fence(f"SELECT n FROM p{DEPTH_MAX - 1}", world(texts)).sql.count("SELECT") == DEPTH_MAX + 1
    with pytest.raises(TooLarge, match="too deeply"):
        fence(f"SELECT n FROM p{DEPTH_MAX}", world(texts))


def test_what_doubles_with_each_pipe_is_refused_before_the_engine_has_to_read_it():
    texts = {f"p{n}": f"SELECT 1 FROM p{n - 1}, p{n - 1}" for n in range(1, 12)} | {"p0": "SELECT 1"}

    with pytest.raises(TooLarge, match=f"the limit is {QUERIES_MAX} queries"):
        fence("SELECT n FROM p11", world(texts))


def test_a_whole_that_is_too_long_is_refused():
    long = "SELECT " + ", ".join(["1234567890"] * 4000)
    texts = {f"p{n}": f"SELECT '{n}', * FROM ({long})" for n in range(30)}

    with pytest.raises(TooLarge, match="too long with all the pipes"):
        fence("SELECT 1 FROM " + ", ".join(texts), world(texts))


@pytest.mark.parametrize("words", ["top FINAL", "top SAMPLE 1/10"])
def test_what_is_said_of_tables_only_is_refused(words):
    with pytest.raises(InvalidRequest, match="FINAL and SAMPLE are for data sources"):
        fence(f"SELECT * FROM {words}", world({"top": "SELECT 1"}))


def test_prewhere_on_a_pipe_is_where():
    sql = fence("SELECT n FROM top PREWHERE n = 1", world({"top": "SELECT 1 AS n"})).sql

    assert sql.endswith("AS `top` WHERE (`n` = 1)")


@pytest.mark.parametrize(
    "text",
    ["SELECT * FROM secret", "SELECT file('/etc/passwd')", "DROP TABLE x", "SELECT 1; SELECT 2", "SELECT 1 FORMAT CSV"],
)
def test_the_text_of_a_pipe_is_fenced_like_any_other(text):
    with pytest.raises(InvalidRequest):
        fence("SELECT * FROM top", world({"top": text}))


def test_a_placeholder_belongs_to_the_text_it_was_given_for():
    bound = {"top": {"password": "s3cret"}, "other": {"password": "other"}}
    texts = {"top": "SELECT {password:String} AS p", "other": "SELECT {password: String} AS p"}
    found = fence("SELECT top.p FROM top, other WHERE 1 = {mine:UInt8}", world(texts, bound=bound), {"mine": "1"})

    assert sorted(found.bound.values()) == ["1", "other", "s3cret"]
    assert len({name for name in found.bound if f"{{{name}:" in found.sql.replace(" ", "")}) == 3
    for stolen in ("SELECT {password:String} FROM top", "SELECT {_bound1:String} FROM top"):
        with pytest.raises(InvalidRequest, match="is not set"):
            fence(stolen, world(texts, bound=bound))


def test_settings_inside_count_for_the_whole_and_the_smallest_wins():
    texts = {"top": "SELECT 1 AS n SETTINGS max_threads = 2"}

    assert fence("SELECT * FROM top SETTINGS max_threads = 4", world(texts)).settings == {"max_threads": 2}
