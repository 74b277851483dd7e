"""The fence under text nobody foresaw: queries cut up and put together again, with the engine's parser as judge."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import GatewayError, InvalidRequest
from gateway.query.fence import fence
from gateway.query.parse import SQL_BYTES_MAX, canonical_structure
from gateway.schema.names import quote_identifier, quote_string
from tests.support.query import ATTACKS, CANARY, SELECTS, TABLES, Database, offences, resolve

SETTINGS = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

PIECES = [
    *sorted({word for query in SELECTS + ATTACKS for word in query.split()}),
    *"()[]{},.:;?+-*=",
    *[
        "IN",
        "FROM",
        "JOIN",
        "WITH",
        "AS",
        "SELECT",
        "FINAL",
        "SAMPLE",
        "APPLY",
        "COLUMNS",
        "EXCEPT",
        "->",
        "::",
        ".:",
        ".^",
    ],
    *[
        "secret",
        "default.secret",
        "phys.t_secret",
        "`secret`",
        "file",
        "currentRequestURL",
        "events",
        "users",
        "'",
        "$$",
        "--",
    ],
]
WHOLES = st.sampled_from([query.split() for query in SELECTS + ATTACKS])


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    found = Database(str(tmp_path_factory.mktemp("fence-property")))
    yield found
    found.close()


@st.composite
def altered_queries(draw):
    """A query of ours, with pieces put in, taken out, replaced, or brought in from another."""
    words = list(draw(WHOLES))
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(words)))
        how = draw(st.sampled_from(["add", "drop", "replace", "graft"]))
        if how == "graft":
            other = draw(WHOLES)
            start = draw(st.integers(0, len(other) - 1))
            words[place:place] = other[start : start + draw(st.integers(1, 8))]
        else:
            words[place : place + (how != "add")] = [] if how == "drop" else [draw(st.sampled_from(PIECES))]
    return " ".join(words)


@SETTINGS
@given(altered_queries())
def test_an_altered_query_is_refused_or_reads_only_what_it_may(database, sql):
    try:
        fenced = fence(sql, resolve)
    except GatewayError:
        return

    tree = database.tree(fenced.sql)
    if tree is not None:
        assert offences(tree, TABLES) == []
    assert CANARY not in database.text(f"EXPLAIN SYNTAX {fenced.sql}")


@SETTINGS
@given(st.text(max_size=300))
def test_any_text_is_fenced_or_refused(text):
    try:
        fenced = fence(text, resolve)
    except GatewayError:
        return

    assert fenced.sql


@SETTINGS
@given(st.text(max_size=40))
def test_a_string_means_what_it_meant(database, value):
    for literal in (quote_string(value), "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"):
        sql = fence(f"SELECT hex({literal})", resolve).sql

        assert database.text(sql) == value.encode().hex().upper() + "\n"


@SETTINGS
@given(
    st.from_regex(r"[^'\\]*(\\[^x][^'\\]*){1,4}", fullmatch=True).filter(
        lambda text: len(text) < 60 and "\0" not in text
    )
)
def test_an_escape_means_what_it_means_to_the_engine(database, inside):
    """`\\d` stays two characters, `\\n` becomes one: as the engine has it."""
    original = f"SELECT hex('{inside}')"

    assert database.text(fence(original, resolve).sql) == database.text(original)


@SETTINGS
@given(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text))
def test_a_name_stays_a_name(database, name):
    """Whatever it says, keywords and quotes included."""
    sql = fence(f"SELECT 1 AS {quote_identifier(name)}", resolve).sql

    assert database.result(sql)["meta"][0]["name"] == name


@SETTINGS
@given(st.text(alphabet="ab ,()'\"`.=-/*AULISDEF08\n", max_size=60))
def test_a_structure_has_only_names_and_types(text):
    try:
        found = canonical_structure(text)
    except InvalidRequest:
        return

    assert canonical_structure(found) == found


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["(", "[", "abs(", "(SELECT ", "NOT ", "- ", "x -> ", "CASE WHEN ", "1 ? 1 : ", "a.", "$", "/*"])
)
def test_depth_is_refused_and_never_breaks(opening):
    for count in (30, 3000, SQL_BYTES_MAX):
        with pytest.raises(InvalidRequest):
            fence("SELECT " + opening * count, resolve)
