"""Row filters: rows outside the filter are not there for the query, whatever it says."""

import pytest

from gateway.core.errors import InvalidRequest
from gateway.query.fence import fence
from gateway.query.resolved import Resolved

TABLE = "`ws`.`t`"
ROWS = f"(SELECT * FROM {TABLE} AS `row_filter` WHERE (`row_filter`.`shop` = 7) LIMIT {2**63 - 1})"


def fenced(sql, condition="shop = 7"):
    return fence(sql, lambda name: Resolved("ws", "t", condition) if name == "sales" else None).sql


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM sales", f"SELECT * FROM {ROWS} AS `sales`"),
        ("SELECT s.x FROM sales s", f"SELECT `s`.`x` FROM {ROWS} AS `s`"),
        ("SELECT x IN sales", f"SELECT `x` IN {ROWS}"),
        ("SELECT 1 FROM sales PREWHERE a WHERE b", f"SELECT 1 FROM {ROWS} AS `sales` WHERE (`a`) AND (`b`)"),
        (
            "SELECT 1 FROM sales FINAL SAMPLE 1/2",
            f"SELECT 1 FROM {ROWS.replace(' WHERE', ' FINAL SAMPLE 1 / 2 WHERE')} AS `sales`",
        ),
    ],
)
def test_the_filter_stands_where_the_table_stood(sql, expected):
    assert fenced(sql) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("shop = 7 OR 1", "(`row_filter`.`shop` = 7 OR 1)"),
        ("sales.shop = 7", "(`row_filter`.`shop` = 7)"),
        ("a.b.c = 1", "(`row_filter`.`a`.`b`.`c` = 1)"),
        ("shop", "(`row_filter`.`shop`)"),
        ("shop IN ('a', 'b') AND lower(country) LIKE 'e%'", "(`row_filter`.`shop` IN ('a', 'b') AND lower(`row_filter`.`country`) LIKE 'e%')"),
        ("1 -- ", "(1)"),
    ],
)  # fmt: skip
def test_the_columns_of_a_filter_are_those_of_the_table(condition, expected):
    assert expected in fenced("SELECT 1 FROM sales", condition)


@pytest.mark.parametrize(
    "condition",
    [
        "1) OR (1", "1; SELECT 1", " ", "shop IN (SELECT 1)", "shop IN users", "shop IN (country)", "(SELECT 1)", "file('x') = ''",
        "arrayExists(x -> x, tags)", "arrayExists(file, tags)", "1 AS one", "EXISTS (SELECT 1)", "1 FORMAT CSV", "1 SETTINGS a = 1",
        "1 UNION ALL SELECT 1", "/*", "'", "1 = {x:Identifier}",
    ],
)  # fmt: skip
def test_a_filter_is_one_condition_over_its_own_table(condition):
    with pytest.raises(InvalidRequest):
        fenced("SELECT 1 FROM sales", condition)


@pytest.mark.parametrize(
    ("where", "hinted"),
    [
        ("day = '2026-01-01'", ["`day` = '2026-01-01'"]),
        ("day > now() - INTERVAL 1 DAY AND (id BETWEEN 1 AND 2)", ["`day` > now() - INTERVAL 1 DAY", "`id` BETWEEN 1 AND 2"]),
        ("id IN (1, 2) AND id != 3 AND NOT id = 4 AND id NOT IN (5)", ["`id` IN (1, 2)"]),
        ("id = 1 OR id = 2", []),
        ("toUInt8(secret) = 1 AND throwIf(id = 1) = 0 AND id = other AND id = rand()", []),
        ("one = 1 AND renamed = 'x' AND scalar = 1 AND e = 1 AND e.id = 1", []),
    ],
)  # fmt: skip
def test_conditions_that_run_on_no_row_choose_what_is_read(where, hinted):
    sql = fenced(f"WITH 1 AS scalar SELECT 1 AS one, upper(x) AS renamed FROM sales AS e WHERE {where}")

    inside = sql.partition("(`row_filter`.`shop` = 7)")[2].partition(" LIMIT ")[0]
    assert sorted(inside.split(" AND indexHint(")[1:]) == sorted(f"`row_filter`.{each})" for each in hinted)


@pytest.mark.parametrize("condition", ["count() > 1", "max(shop) = 7", "sumIf(shop, 1) = 7", "row_number() OVER () = 1", "arrayJoin([0, 1]) = 1"])  # fmt: skip
def test_a_filter_is_about_one_row(condition):
    with pytest.raises(InvalidRequest, match="about one row"):
        fenced("SELECT 1 FROM sales", condition)
