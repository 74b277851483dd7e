"""Schemas, types, paths, engines and datafiles: what is written is read back as the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.schema.alter import alter_operations
from gateway.schema.columns import Schema, parse_schema
from gateway.schema.datafile import Datafile, parse_datafile, render_datafile
from gateway.schema.directives import read_directives
from gateway.schema.engines import parse_engine
from gateway.schema.jsonpath import EACH, parse_jsonpath
from gateway.schema.lexer import Scanner, decode_string
from gateway.schema.names import normalize_name, quote_string
from gateway.schema.pipefile import Pipefile, PipefileNode, parse_pipefile, plain_sql, render_pipefile
from gateway.schema.quarantine import AFTER, BEFORE, quarantine_columns
from gateway.schema.types import parse_type

BOUNDED = settings(max_examples=100, deadline=None)

words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
printable = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" "), max_size=12)
quoted_names = printable.filter(
    lambda name: name.strip() and name.isprintable() and not set(name) & set("`\\\n") and not name.startswith("json:")
)
literals = printable.map(quote_string)

scalars = st.one_of(
    st.sampled_from(
        ["UInt8", "Int256", "Float64", "String", "UUID", "date", "bool", "IPv6", "DateTime", "JSON", "Point"]
    ),
    st.integers(1, 76).flatmap(lambda digits: st.integers(0, digits).map(lambda scale: f"Decimal({digits},{scale})")),
    st.integers(0, 9).map(lambda digits: f"datetime64( {digits} , 'UTC')"),
    st.integers(1, 300).map(lambda size: f"FixedString({size})"),
    st.lists(literals, min_size=1, max_size=4, unique_by=decode_string).map(lambda names: f"Enum({', '.join(names)})"),
)


def wrapped(inner):
    return st.one_of(
        inner.map(lambda text: f"Array({text})"),
        inner.map(lambda text: f"Map(String, {text})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda texts: f"Tuple({','.join(texts)})"),
        st.dictionaries(quoted_names.filter(lambda name: name != "null"), inner, min_size=1, max_size=3).map(
            lambda found: "Tuple(" + ", ".join(f"`{name}` {text}" for name, text in found.items()) + ")"
        ),
    )


types = st.recursive(
    scalars | st.just("Nullable(String)") | st.just("LowCardinality(Nullable(String))"), wrapped, max_leaves=5
)

keys = st.one_of(
    words,
    st.just("a-b"),
    quoted_names.filter(lambda name: not set(name) & set("'\"") and name != EACH).map(lambda name: f"['{name}']"),
)
paths = st.lists(keys, max_size=4).map(
    lambda found: "$" + "".join(key if key.startswith("[") else f".{key}" for key in found)
)
defaults = st.one_of(
    st.just(""),
    literals.map(lambda text: f"DEFAULT {text}"),
    st.sampled_from(["DEFAULT now()", "MATERIALIZED concat('a',  'b') -- x\n || 'c'", "DEFAULT -1", "default [1,  2]"]),
)
codecs = st.sampled_from(["", "CODEC(ZSTD(1))", "codec(Delta(4),  LZ4)", "CODEC(NONE)"])


@st.composite
def columns(draw, name):
    kind = draw(types)
    path = draw(st.one_of(st.none(), paths))
    parts = [f"`json:{path}`"] if path is not None else []
    parts = draw(st.permutations([*parts, draw(defaults)]))
    return " ".join([f"`{name}`", kind, *parts, draw(codecs)])


@st.composite
def schemas(draw):
    names = draw(st.lists(quoted_names, min_size=1, max_size=5, unique=True))
    return draw(st.sampled_from([", ", ",\n    ", " , "])).join(draw(columns(name)) for name in names)


@BOUNDED
@given(types)
def test_the_spelling_of_a_type_is_a_fixed_point(text):
    kind = parse_type(text)

    assert parse_type(kind.text) == kind


@BOUNDED
@given(paths)
def test_a_path_has_a_step_for_every_key(text):
    path = parse_jsonpath(text)

    assert path.text == text
    assert EACH not in path.steps


@BOUNDED
@given(schemas())
def test_a_schema_is_read_back_from_what_the_wire_shows(text):
    schema = parse_schema(text)

    again = parse_schema(schema.sql_schema())

    assert again == schema
    assert alter_operations(schema, again) == []
    assert [column["name"] for column in schema.wire_columns(detail=True)] == [column.name for column in schema.columns]


@BOUNDED
@given(schemas())
def test_what_stands_in_ddl_is_a_schema_without_paths(text):
    schema = parse_schema(text)

    again = parse_schema(schema.ddl())

    assert again.ddl() == schema.ddl()
    assert not again.has_jsonpaths


@BOUNDED
@given(schemas())
def test_a_quarantine_has_a_place_for_every_column_under_a_name_of_its_own(text):
    schema = Schema((*parse_schema(text).columns, *AFTER[:1]))

    found = quarantine_columns(schema)

    names = [column.name for column in found]
    assert len(set(names)) == len(names) == len(BEFORE) + len(schema.columns) + len(AFTER)
    own = {column.name for column in (*BEFORE, *AFTER)}
    for column, kept in zip(schema.columns, found[len(BEFORE) :], strict=False):
        assert kept.name == column.name or (column.name in own and kept.name.startswith(column.name + "_"))


lines = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" "), max_size=20),
    max_size=4,
)


@BOUNDED
@given(
    schemas(),
    lines.map("\n".join),
    st.lists(
        st.tuples(printable.filter(lambda name: name.strip() and '"' not in name), st.sampled_from(["READ", "APPEND"])),
        max_size=2,
    ),
    st.lists(words, max_size=3),
    lines.map(lambda found: "\n".join(["SELECT 1", *found])),
)
def test_a_datafile_is_read_back(text, description, tokens, tags, forward_query):
    schema = parse_schema(text)
    written = Datafile(
        schema, parse_engine({}, schema), description=description, tokens=tuple(tokens), tags=tuple(tags), shared_with=tuple(tags),
        forward_query=forward_query,
    )  # fmt: skip

    read = parse_datafile(render_datafile(written))

    assert parse_datafile(render_datafile(read)) == read
    assert (read.schema, read.engine, read.tokens) == (schema, written.engine, written.tokens)
    assert (read.tags, read.shared_with) == (tuple(tags), tuple(tags))
    assert read.description.split() == description.split()
    assert read.forward_query.split() == forward_query.split()


sql_lines = st.lists(
    st.sampled_from(["SELECT 1", "  FROM t", "TYPE copy", "NODE x", "%", "{{String(x)}}", "", "   ", "\t-- c # c", "'a  ", "SQL >", "é"]),
    min_size=1, max_size=6,
).map(lambda found: plain_sql("\n".join(found)))  # fmt: skip
node_kinds = st.one_of(
    st.sampled_from([{}, {"kind": "endpoint"}, {"kind": "endpoint", "cache_seconds": 60}, {"kind": "stream"}]),
    st.builds(lambda name: {"kind": "materialized", "datasource": name}, words),
    st.builds(
        lambda name, mode, cron, flag: {
            "kind": "copy", "target_datasource": name, "copy_mode": mode, "copy_schedule": cron, "on_demand_compute": flag,
        },
        words, st.sampled_from(["append", "replace"]), st.sampled_from(["", "*/5 * * * *"]), st.booleans(),
    ),
)  # fmt: skip


@BOUNDED
@given(
    st.lists(words.map(lambda word: "n_" + word), min_size=1, max_size=4, unique=True),
    st.lists(sql_lines.filter(bool), min_size=4, max_size=4),
    node_kinds,
    st.lists(st.sampled_from(["token", "the token", "it's"]), max_size=2),
    st.lists(words, max_size=3),
    st.lists(st.sampled_from(["A pipe", "  of two lines", "NODE y", ""]), max_size=3),
)
def test_a_pipe_file_is_read_back(names, queries, kind, tokens, tags, description):
    text = "\n".join(description).strip("\n").strip()
    nodes = [PipefileNode(name, sql, description=text) for name, sql in zip(names, queries, strict=False)]
    nodes[-1] = PipefileNode(names[-1], queries[0], **kind)
    written = Pipefile(tuple(nodes), description=text, tokens=tuple(tokens), tags=tuple(tags))

    assert parse_pipefile(render_pipefile(written)) == written


@BOUNDED
@given(printable)
def test_a_string_is_read_back_from_its_literal(value):
    token = Scanner(quote_string(value)).token

    assert token.kind == "string"
    assert decode_string(token.text) == value


@BOUNDED
@given(st.text(max_size=20))
def test_a_normal_name_is_plain(text):
    name = normalize_name(text)

    assert name == normalize_name(name)
    assert not name or (name.isascii() and name.isidentifier())


@BOUNDED
@given(st.lists(st.sampled_from(["A x", "B >", "  A y", "foo", "", "# c", "b >", "> z"]), max_size=12))
def test_every_line_of_a_block_is_kept(found):
    text = "\n".join(["B >", *found])

    directives = read_directives(text, frozenset({"A", "B", "FOO", ">"}), "test")

    assert all(1 <= directive.line <= len(found) + 1 for directive in directives)
    blocks = [directive.block.count("\n") + 1 for directive in directives if directive.block]
    assert sum(blocks) <= len(found) + 1
