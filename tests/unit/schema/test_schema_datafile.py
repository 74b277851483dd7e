"""Datafiles: read as the published parser reads them, written so that they can be read again."""

import pytest

from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile, parse_datafile, render_datafile
from gateway.schema.directives import read_directives
from gateway.schema.engines import parse_engine
from gateway.schema.errors import SchemaError

WHOLE = """\
# a comment
DESCRIPTION >
    Page views,
      of all sites
token "tracker one" append
TOKEN reader READ # for the dashboard
TAGS "team=web, b"

SCHEMA >
    `ts` DateTime64(3) `json:$.ts` DEFAULT now64(3),
    site LowCardinality(String) DEFAULT 'a#b' `json:$.site`, -- the host
    `tags` Array(String) `json:$.tags[:]`,

INDEXES >
    by_site lower(site) TYPE ngrambf_v1(4,1024,1,42) GRANULARITY 1

ENGINE "MergeTree"
ENGINE_PARTITION_KEY toYYYYMM(ts)
ENGINE_SORTING_KEY 'site, ts'
ENGINE_TTL "toDateTime(ts) + INTERVAL 90 DAY"
ENGINE_SETTINGS "index_granularity=32"
KAFKA_TOPIC "views"
BACKFILL skip
SHARED_WITH > ws_a, ws_b
FORWARD_QUERY >
    SELECT *
      FROM views
"""


def test_every_command_is_read():
    datafile = parse_datafile(WHOLE)

    assert datafile.description == "Page views,\n  of all sites"
    assert datafile.tokens == (("tracker one", "APPEND"), ("reader", "READ"))
    assert datafile.tags == ("team=web", "b")
    assert [column.name for column in datafile.schema.columns] == ["ts", "site", "tags"]
    assert [index.name for index in datafile.indexes] == ["by_site"]
    assert datafile.engine.options() == {
        "engine": "MergeTree", "engine_partition_key": "toYYYYMM(ts)", "engine_sorting_key": "site, ts",
        "engine_ttl": "toDateTime(ts) + INTERVAL 90 DAY", "engine_settings": "index_granularity = 32",
    }  # fmt: skip
    assert datafile.ttl == "toDateTime(ts) + INTERVAL 90 DAY"
    assert datafile.connector == (("kafka_topic", "views"),)
    assert (datafile.backfill, datafile.shared_with) == ("skip", ("ws_a", "ws_b"))
    assert datafile.forward_query == "SELECT *\n  FROM views"


def test_a_datafile_is_written_as_the_wire_shows_it():
    schema = parse_schema("id UInt32 `json:$.id`, at DateTime DEFAULT now()")
    engine = parse_engine({"engine": "MergeTree", "engine_sorting_key": "id"}, schema)

    assert render_datafile(Datafile(schema, engine, description="Orders")) == (
        "DESCRIPTION >\n    Orders\n\n"
        "SCHEMA >\n    `id` UInt32 `json:$.id`,\n    `at` DateTime DEFAULT now()\n\n"
        'ENGINE "MergeTree"\nENGINE_SORTING_KEY "id"\n'
    )


def test_what_was_written_is_read_back():
    datafile = parse_datafile(WHOLE)

    assert parse_datafile(render_datafile(datafile)) == datafile


def test_legacy_spellings_are_read():
    datafile = parse_datafile("SCHEMA >\n    a UInt8,\n    d Date\nSORTING_KEY a\nPARTITION_KEY toYYYYMM(d)\nTTL d")

    assert (datafile.engine.sorting_key, datafile.engine.partition_key, datafile.ttl) == ("a", "toYYYYMM(d)", "d")


def test_an_empty_ttl_is_none():
    assert parse_datafile('SCHEMA >\n    a Date\nENGINE MergeTree\nENGINE_TTL ""').ttl == ""


def test_deprecated_commands_are_told():
    datafile = parse_datafile("VERSION 3\nIMPORT_SERVICE x\nSCHEMA >\n    a UInt8\n")

    assert datafile.version == "3"
    assert datafile.warnings == (
        "VERSION has been deprecated and will be ignored.",
        "IMPORT_SERVICE has been deprecated and will be ignored.",
    )


def test_windows_line_ends_and_a_byte_order_mark_are_no_content():
    assert parse_datafile("\ufeffSCHEMA >\r\n    a UInt8\r\nENGINE Null\r\n").engine.name == "Null"


def test_a_block_ends_only_at_a_known_command_in_the_first_column():
    (description, schema) = read_directives(
        "DESCRIPTION >\nfoo bar\n  SCHEMA >\n\n# not a comment\nschema >\n  a UInt8", frozenset({"DESCRIPTION", "SCHEMA"}), "datasource"
    )  # fmt: skip

    assert description.block == "foo bar\n  SCHEMA >\n\n# not a comment"
    assert (schema.name, schema.line, schema.block_line) == ("SCHEMA", 6, 7)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("DESCRIPTION x", "SCHEMA is mandatory"),
        ("FOO bar", "FOO is not a valid option in datasource files. at 1:1"),
        ('INCLUDE "x.incl"', "INCLUDE is not supported yet at 1:1"),
        ("SETTINGS x", "SETTINGS option is not allowed, use ENGINE_SETTINGS instead at 1:1"),
        ("SCHEMA >\n  a UInt8\nENGINE >\n  Null", "ENGINE does not support multiline arguments at 3:1"),
        ("SCHEMA a UInt8", "SCHEMA must be multiline"),
        ("SOURCE x", "SOURCE is not supported any more at 1:1"),
        ("SCHEMA >\n  a UInt8\nTOKEN x WRITE", "Invalid permission: WRITE. Only READ and APPEND are supported at 3:1"),
        ("SCHEMA >\n  a UInt8\nTOKEN x", "TOKEN takes two arguments"),
        ("SCHEMA >\n  a UInt8\nENGINE Null\nENGINE Null", "ENGINE is already defined in line 3 at 4:1"),
        ("SCHEMA >\n  a UInt8,\n\n  b Foo", "Type 'Foo' is not supported at 4:5"),
        ("SCHEMA >\n  a UInt8, INDEX i a TYPE minmax", "Forbidden INDEX definition at 2:12"),
        ("SCHEMA >\n  a UInt8\nENGIN Null", "wrong value"),
        ("INDEXES >\n\n  i b TYPE minmax\nSCHEMA >\n  a UInt8", "'b' column is not present in schema at 3:1"),
        ("SCHEMA >\n  a UInt8\nENGINE MergeTree\n\nENGINE_SORTING_KEY b", "reason: 'b' column is not present in schema at 5:1"),
        ("SCHEMA >\n  a UInt8\nENGINE Foo", "Engine Foo is not supported"),
        ("SCHEMA >\n  a UInt8\nBACKFILL all", "BACKFILL takes only the value skip at 3:1"),
    ],
)  # fmt: skip
def test_an_error_says_what_and_where(text, reason):
    with pytest.raises(SchemaError) as caught:
        parse_datafile(text)

    assert reason in str(caught.value)


def test_nothing_that_is_written_can_become_a_command():
    schema = parse_schema("a UInt8")
    engine = parse_engine({}, schema)
    description = "x\nTOKEN thief READ\u2028TOKEN thief READ\x0bTOKEN thief READ"

    written = render_datafile(Datafile(schema, engine, description=description, forward_query="SELECT 1\nTOKEN t READ"))

    assert parse_datafile(written).tokens == ()
    assert not [line for line in written.splitlines() if line.startswith("TOKEN")]


@pytest.mark.parametrize("name", ["a\nTOKEN thief READ", "a\u2028b", "\"both' kinds"])
def test_a_name_that_cannot_be_written_is_refused(name):
    schema = parse_schema("a UInt8")
    engine = parse_engine({}, schema)

    with pytest.raises(SchemaError, match="cannot be written"):
        render_datafile(Datafile(schema, engine, tokens=((name, "READ"),)))
    with pytest.raises(SchemaError, match="cannot be written"):
        render_datafile(Datafile(schema, engine, shared_with=(name + ",",)))
