"""Pipe files: read as the published parser reads them, written so that they can be read again. Source: datafiles-and-deploy.md §4."""

import pytest

from gateway.schema.cron import is_cron
from gateway.schema.errors import SchemaError
from gateway.schema.pipefile import Pipefile, PipefileNode, parse_pipefile, render_pipefile

ENDPOINT = """\
DESCRIPTION >
    Views by day
TOKEN "dash board" READ
token other read # for the team
TAGS "team=web, b"

NODE base
DESCRIPTION the first
SQL >
    SELECT site, toDate(ts) AS day FROM page_views -- all
NODE endpoint
TYPE Endpoint
CACHE 60
SQL >
    %
    SELECT day, '#' AS c
      FROM base

    WHERE site = {{String(site, 'all')}}
"""


def test_every_command_is_read():
    pipe = parse_pipefile(ENDPOINT)

    assert (pipe.description, pipe.tokens, pipe.tags) == ("Views by day", ("dash board", "other"), ("team=web", "b"))
    assert pipe.nodes == (
        PipefileNode("base", "SELECT site, toDate(ts) AS day FROM page_views -- all", "the first"),
        PipefileNode(
            "endpoint",
            "%\nSELECT day, '#' AS c\n  FROM base\n\nWHERE site = {{String(site, 'all')}}",
            kind="endpoint",
            cache_seconds=60,
        ),
    )
    assert pipe.special == pipe.nodes[1]
    assert [node.line for node in pipe.nodes] == [7, 11]


@pytest.mark.parametrize(
    "lines, expected",
    [
        ("TYPE MATERIALIZED\nDATASOURCE ds\nDEPLOYMENT_METHOD alter", {"kind": "materialized", "datasource": "ds", "deployment_method": "alter"}),
        (
            "TYPE materialized\nDATASOURCE ds\nENGINE \"MergeTree\"\nENGINE_SORTING_KEY 'a, b'",
            {"kind": "materialized", "datasource": "ds", "engine": (("engine", "MergeTree"), ("engine_sorting_key", "a, b"))},
        ),
        ("TYPE COPY\nTARGET_DATASOURCE ds", {"kind": "copy", "target_datasource": "ds"}),
        (
            "TYPE copy\nTARGET_DATASOURCE ds\nCOPY_SCHEDULE 0 * * * *\nCOPY_MODE replace\nON_DEMAND_COMPUTE true",
            {"kind": "copy", "target_datasource": "ds", "copy_schedule": "0 * * * *", "copy_mode": "replace", "on_demand_compute": True},
        ),
        ("TYPE copy\nTARGET_DATASOURCE ds\nCOPY_SCHEDULE @on-demand\nMODE append", {"kind": "copy", "target_datasource": "ds"}),
        (
            "TYPE sink\nEXPORT_CONNECTION_NAME \"s3\"\nEXPORT_BUCKET_URI s3://b/p\nEXPORT_FILE_TEMPLATE \"o_{ts, '%Y'}\"\nEXPORT_SCHEDULE \"0 * * * *\"",
            {
                "kind": "sink",
                "exports": (
                    ("export_connection_name", "s3"),
                    ("export_bucket_uri", "s3://b/p"),
                    ("export_file_template", "o_{ts, '%Y'}"),
                    ("export_schedule", "0 * * * *"),
                ),
            },
        ),
        ("TYPE standard", {}),
        ("TYPE stream", {"kind": "stream"}),
        ("", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_before", [True, False])
def test_a_node_is_what_its_type_says(lines, expected, is_before):
    body = "SQL >\n  SELECT 1"
    pipe = parse_pipefile("NODE n\n" + (f"{lines}\n{body}" if is_before else f"{body}\n\n{lines}"))

    assert pipe.nodes == (PipefileNode("n", "SELECT 1", **expected),)
    assert parse_pipefile(render_pipefile(pipe)) == pipe


def test_what_is_written_is_what_was_read():
    pipe = parse_pipefile(ENDPOINT)

    assert parse_pipefile(render_pipefile(pipe)) == pipe
    assert render_pipefile(parse_pipefile(render_pipefile(pipe))) == render_pipefile(pipe)
    assert render_pipefile(Pipefile((PipefileNode("a", "SELECT 1\nTYPE copy", kind="endpoint"),), tokens=("t",))) == (
        'TOKEN "t" READ\n\nNODE a\nSQL >\n    SELECT 1\n    TYPE copy\n\nTYPE endpoint\n'
    )


def test_what_is_deprecated_is_read_with_a_warning():
    pipe = parse_pipefile("VERSION 3\nSCOPE old\nSQL >\n SELECT 1\n\nTYPE sink\nEXPORT_SERVICE s3_iamrole\nFILTER x\n"
                          "EXPORT_CONNECTION_NAME k\nEXPORT_KAFKA_TOPIC t\nEXPORT_SCHEDULE @on-demand\nEXPORT_FORMAT json")  # fmt: skip

    assert pipe.nodes[0].name == "old"
    assert pipe.warnings == tuple(
        f"{name} has been deprecated and will be ignored." for name in ("VERSION", "EXPORT_SERVICE", "FILTER")
    )


NODE = "NODE a\nSQL >\n  SELECT 1\n"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", "Pipe data file must have at least one node"),
        ("SQL >\n  SELECT 1", "SQL must follow a NODE at 1:1"),
        ("NODE a\nSQL SELECT 1", "SQL must be multiline (use >) at 2:1\nSELECT 1"),
        ("NODE a", "Node 'a' has no SQL at 1:1"),
        ("NODE a\nSQL >\n\n", "Node 'a' has no SQL at 2:1"),
        ("NODE a b\nSQL >\n 1", "Node name 'a b' is not valid: it must start with a letter and contain only letters, digits and underscores at 1:1"),
        (NODE + NODE, "Node 'a' is already defined in line 1 at 4:1"),
        (NODE + "TYPE endpoint\n" + NODE.replace("a", "b") + "TYPE copy\nTARGET_DATASOURCE t", "Multiple non-standard nodes in pipe. There can only be one at 8:1"),
        (NODE + "TYPE foo", "Invalid node ''a'' of type (foo). Allowed node types: {copy, endpoint, materialized, sink, standard, stream} at 4:1"),
        (NODE + "TYPE materialized", "Some materialized node params have been provided, but the following required ones are missing: ['datasource'] at 1:1"),
        (NODE + "TYPE copy\nCOPY_MODE append", "Some copy node params have been provided, but the following required ones are missing: ['target_datasource'] at 1:1"),
        (NODE + "TYPE copy\nTARGET_DATASOURCE t\nCOPY_SCHEDULE hourly", "COPY node schedule must be @on-demand or a valid cron expression. at 6:1"),
        (NODE + 'TYPE copy\nTARGET_DATASOURCE t\nCOPY_SCHEDULE {{ tb_secret("a") }}', "COPY node schedule must be @on-demand or a valid cron expression. at 6:1"),
        (NODE + "TYPE copy\nTARGET_DATASOURCE t\nCOPY_MODE upsert", "COPY_MODE takes only append or replace at 6:1"),
        (NODE + "FILTER x", "Standard node 'a' has an invalid attribute (filter) at 4:1"),
        (NODE + "TYPE endpoint\nDATASOURCE x", "Endpoint node 'a' has an invalid attribute (datasource) at 5:1"),
        (NODE + "TYPE materialized\nDATASOURCE x\nDEPLOYMENT_METHOD swap", "DEPLOYMENT_METHOD takes only alter at 6:1"),
        (NODE + "TYPE endpoint\nCACHE soon", "CACHE takes a number of seconds at 5:1"),
        (NODE + "TYPE sink", "Sink node 'a' is missing required parameter 'export_connection_name' at 1:1"),
        (NODE + "TYPE sink\nEXPORT_CONNECTION_NAME k\nEXPORT_KAFKA_TOPIC t\nEXPORT_BUCKET_URI b", "Sink node 'a' writes either to Kafka or to a bucket at 1:1"),
        (NODE + "TYPE endpoint\nTYPE endpoint", "TYPE is already defined in line 4 at 5:1"),
        ("TOKEN t APPEND\n" + NODE, "Invalid permission APPEND for token t. Only READ is allowed for pipes at 1:1"),
        ("TOKEN t\n" + NODE, 'TOKEN takes two arguments, TOKEN "name" READ at 1:1'),
        ("TAGS >\n a\n" + NODE, "TAGS does not support multiline arguments at 1:1"),
        ("FOO x\n" + NODE, "FOO is not a valid option in pipe files. at 1:1\nFOO x"),
        ("INCLUDE x\n" + NODE, "INCLUDE is not supported yet at 1:1\nINCLUDE x"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(text, expected):
    with pytest.raises(SchemaError) as caught:
        parse_pipefile(text)
    assert str(caught.value) == expected


@pytest.mark.parametrize("text", ["* * * * *", "*/15 0-6,22 1 jan-MAR mon", "59 23 31 12 7", "0 0 * * 0-6/2"])
def test_a_cron_expression_has_five_fields(text):
    assert is_cron(text)


@pytest.mark.parametrize("text", ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "@daily", "٣ * * * *", "1,,2 * * * *"])  # fmt: skip
def test_what_is_no_cron_expression(text):
    assert not is_cron(text)
