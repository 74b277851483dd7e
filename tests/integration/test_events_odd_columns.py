"""Columns whose names are words of SQL, from the schema to the row. Last of all: a failure here may spoil the list."""

import pytest

from tests.support.gateway import shared_gateway, show_gateway_log  # noqa: F401  fixtures


@pytest.mark.parametrize("column", ["`a b`", "`1`", "`é`", "`null`", "`select`", "`from`", "`with`", "`case`"])
def test_a_first_column_of_any_name_can_be_the_sorting_key(gateway, column):
    name = gateway.new_name("keyed")

    answer = gateway.post("/v0/datasources", name=name, schema=f"{column} String `json:$.a`")

    assert answer.status == 200, answer.text
    assert gateway.get("/v0/datasources").status == 200
    assert gateway.post_events(name, [{"a": "1"}], wait="true").counts == (200, 1, 0)


def test_a_column_may_have_a_name_that_has_to_be_quoted(gateway):
    odd = "`select` String `json:$.a`, `a b` String `json:$.b`, `x'); DROP TABLE y; --` String `json:$.c`, `é` String `json:$.d`"
    name = gateway.create_datasource(odd, engine="MergeTree")

    assert gateway.post_events(name, [{"a": "1", "b": "2", "c": "3", "d": "4"}], wait="true").counts == (200, 1, 0)
    (row,) = gateway.sql(f"SELECT * FROM {name}")
    assert list(row.values()) == ["1", "2", "3", "4"]
