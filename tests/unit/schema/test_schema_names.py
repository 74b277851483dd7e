"""Names: what may be called what, and how it is quoted."""

import pytest

from gateway.schema.errors import SchemaError
from gateway.schema.names import check_resource_name, normalize_name, quote_identifier, quote_string


@pytest.mark.parametrize("name", ["orders", "Orders_2", "_x", "events__v0", "x" * 128])
def test_a_good_name_is_taken(name):
    check_resource_name(name, "Data Source")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is not valid"),
        ("1st", "must start with a letter"),
        ("a-b", "is not valid"),
        ("a b", "is not valid"),
        ("a.b", "is not valid"),
        ("größe", "is not valid"),
        ("a\n", "is not valid"),
        ("x" * 129, "too long"),
        ("select", "reserved word"),
        ("String", "reserved word"),
        ("TINYBIRD", "reserved word"),
        ("orders_quarantine", "reserved for quarantine tables"),
    ],
)
def test_a_bad_name_is_refused_with_a_sentence(name, reason):
    with pytest.raises(SchemaError, match=reason):
        check_resource_name(name, "Data Source")


def test_the_sentence_says_what_was_to_be_named():
    with pytest.raises(SchemaError, match=r"^Pipe name 'a b'"):
        check_resource_name("a b", "Pipe")


def test_quotes_cannot_be_left():
    assert quote_identifier("a`b\\") == "`a\\`b\\\\`"
    assert quote_string("it's \\ \n\0") == "'it\\'s \\\\ \\n\\0'"


def test_other_characters_are_normalized():
    assert normalize_name("event-data.x") == "event_data_x"
    assert normalize_name("1st") == "c_1st"
