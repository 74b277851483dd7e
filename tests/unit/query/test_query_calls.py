"""Functions: the lists, and every way of calling that the engine knows."""

import pytest

from gateway.core.errors import InvalidRequest
from gateway.query import functions
from gateway.query.fence import fence
from gateway.query.formats import FORMATS, canonical_format, content_type


def fenced(sql):
    return fence(sql, lambda _: None).sql


@pytest.mark.parametrize(
    "name",
    [
        "count",
        "COUNT",
        "countIf",
        "sumMergeState",
        "uniqExactIf",
        "quantilesTDigestIfOrNull",
        "toDate",
        "arrayMap",
        "DATE_DIFF",
    ],
)
def test_a_listed_function_may_be_called(name):
    assert functions.is_allowed(name)


@pytest.mark.parametrize(
    "name",
    [
        "file",
        "dictGet",
        "joinGet",
        "hostName",
        "currentUser",
        "CURRENTUSER",
        "sleep",
        "getSetting",
        "in",
        "__actionName",
    ],
)
def test_a_function_that_does_more_than_compute_may_not(name):
    assert not functions.is_allowed(name)


@pytest.mark.parametrize(
    "name", ["", "OrNull", "fileIf", "countFoo", "TODATE", "IfIf", "countIF", "ſum", "count ", "sum\n"]
)
def test_no_other_name_is_one(name):
    assert not functions.is_allowed(name)


def test_combinators_are_for_aggregates():
    assert functions.is_aggregate("sumArrayIf")
    assert not functions.is_allowed("toDateIf")


def test_a_lambda_may_be_named_and_called():
    assert fenced("WITH x -> x * 2 AS twice SELECT twice(1)") == "WITH `x` -> `x` * 2 AS `twice` SELECT `twice` (1)"
    assert "arrayMap(`twice`" in fenced("WITH x -> x * 2 AS twice SELECT arrayMap(twice, [1])")


@pytest.mark.parametrize(
    "sql",
    [
        "WITH (x -> 1) AS equals SELECT 1 = 2",
        "WITH x -> 1 AS FILE SELECT 1",
        "WITH (x -> 1) AS p, p AS equals SELECT 1 = 2",
        "SELECT twice(1), (WITH x -> x AS twice SELECT 1)",
        "WITH x -> file(x) AS f SELECT f('a')",
    ],
)
def test_a_lambda_takes_no_function_s_place(sql):
    with pytest.raises(InvalidRequest):
        fenced(sql)


@pytest.mark.parametrize("name", ["user", "database", "file", "sleep", "queryID", "count", "version"])
def test_a_column_may_have_a_function_s_name(name):
    assert fenced(f"SELECT {name} FROM system.one") == f"SELECT `{name}` FROM `system`.`one` AS `one`"


def test_formats_are_known_in_any_case_and_have_a_content_type():
    assert {canonical_format(name.lower()) for name in FORMATS} == FORMATS
    assert content_type("JSON") == "application/json; charset=utf-8"
    assert content_type("CSVWithNames").startswith("text/csv")
    assert "ndjson" in content_type("JSONEachRow")
    assert {content_type(name).partition(";")[0] for name in ("TSV", "TabSeparated")} == {"text/tab-separated-values"}
