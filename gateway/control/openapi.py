"""OpenAPI: the published endpoints of a workspace as an OpenAPI 3.1 document. Pure. Source: pipes.md §1.4.

What a parameter may be comes from its template. Nothing is promised that the template does not hold: a parameter is
required if its author said so, and a default or an example that is not of its type is left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.catalog import Pipe

_INTEGERS: Final = ("Int8", "Int16", "Int32", "Int64", "Int128", "Int256")
_UNSIGNED: Final = ("UInt8", "UInt16", "UInt32", "UInt64", "UInt128", "UInt256")
_EXACT_BITS: Final = 53  # bounds beyond these are not numbers that every reader of JSON can hold
_NUMBERS: Final = frozenset({"integer", "number"})

_STATUSES: Final = {
    "400": "A parameter is missing or wrong, or the query fails",
    "403": "The token may not read this endpoint",
    "404": "The endpoint does not exist, or is not published",
    "408": "The query took longer than it may",
    "429": "Too many requests: come back after `Retry-After` seconds",
    "500": "The gateway failed",
}
_RESULT: Final = {
    "type": "object",
    "required": ["meta", "data", "rows"],
    "properties": {
        "meta": {
            "type": "array",
            "description": "The columns, in order, with their ClickHouse types",
            "items": {
                "type": "object",
                "required": ["name", "type"],
                "properties": {"name": {"type": "string"}, "type": {"type": "string"}},
            },
        },
        "data": {"type": "array", "description": "The rows, by column", "items": {"type": "object"}},
        "rows": {"type": "integer"},
        "rows_before_limit_at_least": {"type": "integer"},
        "statistics": {
            "type": "object",
            "properties": {
                "elapsed": {"type": "number", "description": "Seconds"},
                "rows_read": {"type": "integer"},
                "bytes_read": {"type": "integer"},
            },
        },
    },
}
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "documentation": {"type": "string"}},
}


def openapi(
    workspace: str, base_url: str, endpoints: Iterable[tuple[Pipe, Sequence[Mapping[str, Any]]]]
) -> dict[str, Any]:
    """Return the document.

    Args:
        workspace: its name.
        base_url: scheme and host, as the client reached us.
        endpoints: published pipes, each with what is known of its parameters (templates.md §6.3).
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{workspace} endpoints", "version": "v0"},
        "servers": [{"url": base_url}],
        "security": [{"bearer": []}, {"token": []}],
        "paths": {f"/v0/pipes/{pipe.name}.json": _path(pipe, parameters) for pipe, parameters in endpoints},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "token": {"type": "apiKey", "in": "query", "name": "token"},
            },
            "schemas": {"Result": _RESULT, "Error": _ERROR},
            "responses": {
                f"Error{status}": {
                    "description": text,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for status, text in _STATUSES.items()
            },
        },
    }


def _path(pipe: Pipe, parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    node = pipe.node(pipe.endpoint)
    about = "\n\n".join(text for text in (pipe.description, node.description if node else "") if text)
    responses = {
        "200": {
            "description": "The rows",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Result"}}},
        },
        **{status: {"$ref": f"#/components/responses/Error{status}"} for status in _STATUSES},
    }
    common = {"summary": pipe.name, **({"description": about} if about else {}), "responses": responses}
    wire = [_parameter(each) for each in parameters]
    get = {"operationId": pipe.name, **common, **({"parameters": wire} if wire else {})}
    post = {"operationId": f"{pipe.name}_post", **common, **({"requestBody": _form(wire)} if wire else {})}
    return {"get": get, "post": post}


def _parameter(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return one parameter of the query string."""
    schema = schema_of(known)
    made: dict[str, Any] = {"name": known["name"], "in": "query", "required": known.get("required") is True}
    if known.get("description"):
        made["description"] = str(known["description"])
    if schema.get("type") == "array":
        made |= {"style": "form", "explode": False}
    example = _fitting(known.get("example"), schema)
    if example is not None:
        made["example"] = example
    if known["type"] == "JSON":
        return {**made, "content": {"application/json": {"schema": schema}}}
    return {**made, "schema": schema}


def _form(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the same parameters as the fields of a form."""
    needed = [each["name"] for each in parameters if each["required"]]
    fields = {
        each["name"]: {
            **each.get("schema", {"type": "string", "contentMediaType": "application/json"}),
            **({"description": each["description"]} if "description" in each else {}),
        }
        for each in parameters
    }
    schema = {"type": "object", "properties": fields, **({"required": needed} if needed else {})}
    return {"required": bool(needed), "content": {"application/x-www-form-urlencoded": {"schema": schema}}}


def schema_of(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a parameter."""
    schema = _type(str(known["type"]))
    wanted = known.get("enum")
    listed = list(wanted) if isinstance(wanted, list | tuple) else []
    allowed = [value for each in listed if (value := _fitting(each, schema)) is not None]
    if allowed:
        target = schema["items"] if schema.get("type") == "array" else schema
        target["enum"] = list(dict.fromkeys(each for value in allowed for each in _flat(value)))
    default = _fitting(known.get("default"), schema)
    if default is not None:
        schema["default"] = default
    return schema


def example_of(known: Mapping[str, Any]) -> str | None:
    """Return a value for a parameter, as it is written in a URL: what its author gave, or one that it would take.

    None if nothing is known of it: the name of a column, say, could be any.
    """
    schema = schema_of(known)
    values = (_fitting(known.get("example"), schema), schema.get("default"), *schema.get("enum", ()))
    found = next((value for value in values if value is not None), None)
    if found is None:
        if "used_in" in known or known["type"] in ("Symbol", "Column"):
            return None
        found = _neutral(schema)
    if isinstance(found, list):
        return ",".join(str(each) for each in found)
    return str(found).lower() if isinstance(found, bool) else str(found)


def _neutral(schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == "array":
        return [_neutral(schema["items"])]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") in _NUMBERS:
        return 1
    if schema.get("type") == "boolean":
        return True
    return schema.get("examples", ["2030-01-31" if schema.get("format") == "date" else "{}" if not schema else "text"])[
        0
    ]


def _type(name: str) -> dict[str, Any]:
    if name.startswith("Array(") and name.endswith(")"):
        return {"type": "array", "items": _type(name[6:-1])}
    kind = {"x-clickhouse-type": name}
    if name in ("Int", "Integer"):
        return {"type": "integer", **kind, **_bounds("Int32")}
    if name in _INTEGERS or name in _UNSIGNED:
        return {"type": "integer", **kind, **_bounds(name)}
    if name.startswith("Float"):
        return {"type": "number", **kind}
    if name == "Boolean":
        return {"type": "boolean"}
    if name == "Date":
        return {"type": "string", "format": "date"}
    if name.startswith("DateTime"):
        return {"type": "string", **kind, "examples": ["2030-01-31 10:00:00" + (".000" if name != "DateTime" else "")]}
    return {} if name == "JSON" else {"type": "string"}


def _bounds(name: str) -> dict[str, int]:
    bits = int(name.removeprefix("U").removeprefix("Int"))
    if name.startswith("U"):
        return {"minimum": 0, **({"maximum": 2**bits - 1} if bits <= _EXACT_BITS else {})}
    return {"minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1} if bits <= _EXACT_BITS else {}


def _fitting(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return `value` as `schema` wants it; None if it is not of that kind, or not there."""
    kind = schema.get("type")
    if value is None or kind is None:
        return value
    if kind == "array":
        items = value if _is_list(value) else str(value).split(",") if value != "" else []
        fitting = [_fitting(each, schema["items"]) for each in items]
        return None if None in fitting else fitting
    if kind == "boolean":
        return str(value).lower() not in ("0", "false", "")
    if kind in _NUMBERS:
        return _number(value, kind)
    return value if isinstance(value, str) else str(value) if isinstance(value, bool | int | float) else None


def _number(value: Any, kind: str) -> int | float | None:
    try:
        found = float(value) if kind == "number" else int(value)
    except (TypeError, ValueError):
        return None
    return found if abs(found) <= 2**_EXACT_BITS else None  # also nan and inf are no numbers of JSON


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _flat(value: Any) -> list[Any]:
    return list(value) if _is_list(value) else [value]
