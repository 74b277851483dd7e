"""JSONPath: the forms of the wire, and nothing more."""

import pytest

from gateway.schema.errors import SchemaError
from gateway.schema.jsonpath import EACH, parse_jsonpath


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$", ()),
        ("$.id", ("id",)),
        ("$.user.name", ("user", "name")),
        ("$.event-data.event", ("event-data", "event")),
        ("$.$browser", ("$browser",)),
        ("$.tags[:]", ("tags", EACH)),
        ("$.items[:].sku", ("items", EACH, "sku")),
        ("$.items[:].sub[:].id", ("items", EACH, "sub", EACH, "id")),
        ("$.matrix[:][:]", ("matrix", EACH, EACH)),
        ("$['a b'].c", ("a b", "c")),
        ('$["a.b"][:]', ("a.b", EACH)),
        ("$.größe", ("größe",)),
    ],
)
def test_a_path_is_read_as_its_steps(text, steps):
    path = parse_jsonpath(text)

    assert path.text == text
    assert path.steps == steps
    assert path.array_depth == steps.count(EACH)


@pytest.mark.parametrize(
    "text",
    ["", "id", "$id", "$.", "$.a.", "$..a", "$.a..b", "$.*", "$.a[*]", "$.a[0]", "$.a[-1]", "$.a[?(@.x)]", "$.a[1:2]",
     "$[:]", "$.a b", "$.a'b", "$['a`b']", "$['[:]']", "$.a[", "$.a]", "$.a\u2028b", "$['a\nb']", "$" + ".a" * 33],
)  # fmt: skip
def test_anything_else_of_jsonpath_is_refused(text):
    with pytest.raises(SchemaError, match=r"Invalid JSONPath"):
        parse_jsonpath(text)


def test_a_path_too_long_is_refused():
    with pytest.raises(SchemaError, match="the limit is"):
        parse_jsonpath("$." + "a" * 2000)
