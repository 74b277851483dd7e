"""What an OpenAPI document says of a parameter, by what its template says."""

import pytest

from gateway.control.openapi import example_of, schema_of


def known(kind, **more):
    return {"name": "x", "type": kind, "default": None, **more}


@pytest.mark.parametrize(
    "parameter, schema, example",
    [
        (known("String"), {"type": "string"}, "text"),
        (known("String", default=5), {"type": "string", "default": "5"}, "5"),
        (known("Symbol"), {"type": "string"}, None),
        (known("String", used_in="function_call"), {"type": "string"}, None),
        (known("Int8", default="5"), {"type": "integer", "x-clickhouse-type": "Int8", "minimum": -128, "maximum": 127, "default": 5}, "5"),
        (known("UInt8"), {"type": "integer", "x-clickhouse-type": "UInt8", "minimum": 0, "maximum": 255}, "1"),
        (known("UInt64"), {"type": "integer", "x-clickhouse-type": "UInt64", "minimum": 0}, "1"),
        (known("Int256", default="9" * 30), {"type": "integer", "x-clickhouse-type": "Int256"}, "1"),
        (known("Integer", enum=[1, "2", "x"]), {"type": "integer", "x-clickhouse-type": "Integer", "minimum": -(2**31), "maximum": 2**31 - 1, "enum": [1, 2]}, "1"),
        (known("Float64", default="nan"), {"type": "number", "x-clickhouse-type": "Float64"}, "1"),
        (known("Float32", default=1.5), {"type": "number", "x-clickhouse-type": "Float32", "default": 1.5}, "1.5"),
        (known("Boolean", default=0), {"type": "boolean", "default": False}, "false"),
        (known("Date", default="2030-02-01"), {"type": "string", "format": "date", "default": "2030-02-01"}, "2030-02-01"),
        (known("Array(Int32)", default="1,2"), {"type": "array", "items": {"type": "integer", "x-clickhouse-type": "Int32", "minimum": -(2**31), "maximum": 2**31 - 1}, "default": [1, 2]}, "1,2"),
        (known("Array(String)", enum=["a", "b"]), {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}, "a"),
        (known("Array(Int32)", default="a,b"), {"type": "array", "items": {"type": "integer", "x-clickhouse-type": "Int32", "minimum": -(2**31), "maximum": 2**31 - 1}}, "1"),
        (known("JSON"), {}, "{}"),
        (known("Int32", example="7", default=1, required=False), {"type": "integer", "x-clickhouse-type": "Int32", "minimum": -(2**31), "maximum": 2**31 - 1, "default": 1}, "7"),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) and "name" in value else "",
)  # fmt: skip
def test_a_parameter_has_the_schema_of_its_type_and_a_value_to_try(parameter, schema, example):
    assert schema_of(parameter) == schema
    assert example_of(parameter) == example


def test_the_time_of_an_example_has_a_fraction_where_one_is_needed():
    assert example_of(known("DateTime")) == "2030-01-31 10:00:00"
    assert example_of(known("DateTime64")) == "2030-01-31 10:00:00.000"
