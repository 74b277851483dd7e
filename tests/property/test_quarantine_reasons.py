"""Reasons of the quarantine: what differs in the value alone is one group, however odd the value; nothing else is."""

import urllib.request

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clickhouse.reasons import matches, normal_reason
from gateway.ingest.fit import Fitter
from gateway.ingest.unfit import refusal
from gateway.schema.columns import Column, parse_schema
from gateway.schema.names import quote_string
from gateway.schema.types import parse_type
from tests.support.engine import EngineHandle, engine_process

FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TYPES = ["UInt8", "Float32", "DateTime('UTC')", "Enum8('a: b' = 1, 'it''s' = 2)", "Array(UInt8)", "Decimal(9, 2)"]
DETAILS = ["", "out of range", "too many digits", "there is no such time", "it must be an object"]

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=150)
ODD = st.sampled_from(
    ["'", "' on column 'x' is not UInt8", "\n", "…", "' on column '", ": ", "\\", "value '", "9" * 120]
)
VALUES = st.lists(st.one_of(TEXTS, ODD), max_size=4).map("".join)
SCALARS = st.one_of(VALUES, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(VALUES, inner, max_size=3)),
    max_leaves=6,
)


@pytest.fixture(scope="module", name="engine")
def one_engine(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine")) as found:
        yield found


def ask(engine: EngineHandle, sql: str) -> list[str]:
    request = urllib.request.Request(engine.url, f"{sql} FORMAT JSONCompactColumns".encode(), engine.auth)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return msgspec.json.decode(answer.read())[0]


def normal(engine: EngineHandle, pairs: list[tuple[str, str]]) -> list[str]:
    """The normal forms of reasons, each with the column it is about."""
    rows = ", ".join(f"({quote_string(column)}, {quote_string(reason)})" for column, reason in pairs)
    return ask(
        engine,
        f"SELECT {normal_reason('p.1', 'p.2')} FROM (SELECT arrayJoin([{rows}]) AS p)",
    )


@FEW
@given(
    column=st.sampled_from(["a", "b c", "it's", "x' on column 'y", "a.b", "é"]),
    kind=st.sampled_from(TYPES),
    detail=st.sampled_from(DETAILS),
    values=st.lists(VALUES, min_size=2, max_size=8),
)
def test_the_value_makes_no_difference(engine, column, kind, detail, values):
    field = Column(column, parse_type(kind))
    reasons = [refusal(field, msgspec.json.encode(value), detail) for value in values]

    assert len(set(normal(engine, [(column, reason) for reason in reasons]))) == 1


def test_column_type_and_detail_make_one(engine):
    pairs = [
        (column, refusal(Column(column, parse_type(kind)), b"7", detail))
        for column in ("a", "b")
        for kind in TYPES
        for detail in DETAILS
    ]

    assert len(set(normal(engine, pairs))) == len(pairs)


@FEW
@given(text=VALUES, column=VALUES)
def test_the_normal_form_of_a_normal_form_is_itself(engine, text, column):
    field = Column(column, parse_type("Array(UInt8)"))
    reasons = [
        text,
        refusal(field, msgspec.json.encode(text), ""),
        refusal(field, b"1", f"element 2, '{text}', is not"),
    ]
    once = normal(engine, [(column, reason) for reason in reasons])

    assert normal(engine, [(column, reason) for reason in once]) == once


KINDS = (
    "UInt8", "Float32", "Decimal(9, 2)", "DateTime", "UUID", "Array(UInt8)", "Array(Array(Date))", "Map(String, UInt8)",
    "Map(UInt8, String)", "Tuple(a UInt8, b String)", "JSON", "JSON(a UInt8)", "FixedString(2)", "Enum8('a' = 1)",
)  # fmt: skip


@FEW
@given(kind=st.sampled_from(KINDS), values=st.lists(JSON, min_size=30, max_size=60))
def test_however_many_values_are_refused_there_are_few_reasons(engine, kind, values):
    fitter = Fitter(parse_schema(f"v {kind} `json:$.v`"))
    fitted = fitter.fit_part(b"\n".join(msgspec.json.encode({"v": value}) for value in values), 0.0, "")
    if not fitted.quarantined:
        return
    columns, reasons = fitted.quarantine_columns[:2]
    pairs = [pair for names, whys in zip(columns, reasons, strict=True) for pair in zip(names, whys, strict=True)]

    assert len(set(normal(engine, pairs))) <= 10


@FEW
@given(values=st.lists(VALUES, min_size=1, max_size=5), other=VALUES)
def test_a_filter_takes_the_sentence_or_its_normal_form(engine, values, other):
    field = Column("a", parse_type("UInt8"))
    reasons = [refusal(field, msgspec.json.encode(value), "") for value in values]
    others = [refusal(field, msgspec.json.encode(other), "out of range")]
    (form, *_) = normal(engine, [("a", reason) for reason in reasons])
    table = " UNION ALL ".join(
        f"SELECT ['b', 'a'] AS c__error_column, ['why', {quote_string(why)}] AS c__error, {int(why in reasons)} AS wanted"
        for why in [*reasons, *others]
    )

    for asked in (reasons[0], form):
        assert ask(engine, f"SELECT countIf(({matches('a', asked)}) != wanted) FROM ({table})") in ([0], ["0"])
        assert ask(engine, f"SELECT countIf({matches('b', asked)}) FROM ({table})") in ([0], ["0"])
