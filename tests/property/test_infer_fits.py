"""What is inferred from events takes these events: whatever they look like, nothing of them is quarantined."""

from pathlib import Path

import msgspec
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gateway.ingest.fit import Fitter
from gateway.schema.columns import COLUMNS_MAX, parse_schema
from gateway.schema.engines import parse_engine
from gateway.schema.infer import default_engine, infer, infer_lines
from gateway.schema.quarantine import quarantine_schema
from tests.support import zstd

FLIGHTS = Path(__file__).parents[2] / "deploy" / "demo" / "flights-2013-01.ndjson.zst"

# Names that collide, need quotes, or are no names in SQL; and keys no path can spell.
KEYS = [
    "a", "b", "a_b", "a.b", "a b", "a_b_2", "id", "ID", "é", "日本", "1x", "from", "null", "$", "@", "it's", "a-b", "[:]",
    'q"q', "'\"", "a\\b", "`", "", "a, b", "json:x", "--", "_row_exists", "insertion_date", "c__error", "\u00a0", "\u2028",
    "a[:]b", "x" * 300, "é" * 1000, "\n",
]  # fmt: skip

# JSON texts; the values of one line are what a column may be made of.
FAMILIES = [
    "0 ; 1 ; -1 ; -0 ; 127 ; 128 ; -32768 ; 32767",
    "32768 ; -32769 ; 2147483647 ; -2147483648 ; 5",
    "2147483648 ; 9007199254740993 ; 9223372036854775807 ; -9223372036854775808",
    "9223372036854775808 ; 18446744073709551615 ; 0",
    "9223372036854775808 ; -1",
    f"18446744073709551616 ; -9223372036854775809 ; {2**255 - 1} ; -{2**255}",
    f"{2**255} ; 1",
    f"{10**80} ; {10**400} ; 1",
    f"{'9' * 5000} ; 1",
    "0.5 ; 1 ; -2.25 ; 1e3 ; 1E-5 ; -0.0",
    "0.1 ; 8388607 ; 8388608 ; -8388608 ; 8388608.5 ; 16777217",
    "1e38 ; 1e39 ; 3.5e38 ; 1e308 ; 1e-320 ; -1e308",
    "1.5 ; 9007199254740992 ; 9007199254740993 ; 100000000000000000000 ; 1e22",
    f"1.5 ; {10**400}",
    "1.5 ; 1e400",
    "1e400 ; -1e400",
    "true ; false",
    "true ; 1 ; 0",
    '"2026-01-05" ; "1970-01-01" ; "2149-06-06"',
    '"2149-06-07" ; "1969-12-31" ; "1900-01-01" ; "2299-12-31"',
    '"1899-12-31" ; "2300-01-01" ; "2026-01-05"',
    '"2026-02-29" ; "2024-02-29" ; "0000-01-01"',
    '"2026-01-05 10:00:00" ; "2026-01-05T10:00:00Z" ; "2106-02-07T06:28:15Z" ; "1970-01-01T00:00:00"',
    '"2106-02-07T06:28:16Z" ; "1969-12-31T23:59:59Z" ; "2299-12-31T23:59:59Z" ; "1900-01-01T00:00:00Z"',
    '"1970-01-01T00:30:00+01:00" ; "2026-01-05T10:00:00-0230" ; "2026-01-05T10:00:00+02" ; "2299-12-31T23:59:59-01:00"',
    '"2026-01-05T10:00:00.1Z" ; "2026-01-05T10:00:00" ; "2026-01-05T10:00:00.123Z" ; "2299-12-31T23:59:59.999"',
    '"2026-01-05T10:00:00.123456" ; "2299-12-31T23:59:59.999999" ; "1900-01-01T00:00:00.000001"',
    '"2026-01-05T10:00:00.123456789Z" ; "2262-04-11T23:47:16.854775807Z" ; "2262-04-11T23:47:15.999999999Z"',
    '"2026-01-05T10:00:00.1234567890Z" ; "2026-01-05T24:00:00" ; "2026-01-05T23:59:60" ; "2026-01-05T10:00:00z"',
    '"2026-01-05T10:00:00+24:00" ; "2026-01-05T10:00:00+01:60" ; "2026-01-05Z" ; "2026-01-05T10:00" ; "2026-1-5 10:00:00"',
    '"2026-01-05" ; "2026-01-05T00:00:00Z"',
    '"٢٠٢٦-01-05" ; "2026-01-05\\n" ; "" ; " 2026-01-05"',
    '"1" ; "1.5" ; "true" ; "null" ; "[]" ; "{}"',
    '"00112233-4455-6677-8899-aabbccddeeff" ; "1.2.3.4" ; "x" ; "\\u00e9\\ud83d\\ude00" ; "\\u0000" ; "\\n"',
    '"x" ; 1 ; true ; 1.10 ; 2026',
]

plain = st.sampled_from([st.sampled_from(line.split(" ; ")) for line in FAMILIES])


def obj(members):
    return "{" + ",".join(f"{msgspec.json.encode(key).decode()}: {value}" for key, value in members) + "}"


def arrays(values):
    return st.lists(values, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")


@st.composite
def values(draw, depth=0):
    """A strategy for the values at one path: mostly of one shape, with nulls and other shapes now and then."""
    kind = draw(st.integers(0, 9 if depth < 3 else 4))
    if kind <= 4:
        usual = draw(plain)
    elif kind <= 6:
        usual = arrays(draw(values(depth + 1)))
    else:
        usual = draw(objects(depth + 1))
    odd = draw(st.integers(0, 7))
    if odd <= 1:
        return usual | st.just("null")
    if odd == 2:
        return usual | st.sampled_from(["null", "[]", "{}", '"x"', "5", "[null]", "[[1],null]", '{"a":1}', "[{}]"])
    return usual


@st.composite
def objects(draw, depth=0):
    """A strategy for objects with one set of keys, all there or not; now and then a key twice."""
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=5, unique=True))
    members = {key: draw(values(depth)) for key in keys}
    is_loose = draw(st.booleans())

    @st.composite
    def one(draw):
        found = [(key, draw(value)) for key, value in members.items() if not (is_loose and draw(st.booleans()))]
        if found and not draw(st.integers(0, 9)):
            found.append((found[0][0], draw(members[found[0][0]])))
        return obj(found)

    return one()


@st.composite
def bodies(draw):
    lines = draw(st.lists(draw(objects()), min_size=1, max_size=8))
    return [line.encode() for line in lines]


def check_fits(lines, inferred):
    """Check that the inferred schema, as it is kept and read back, takes the lines, and that a table can have it."""
    schema = parse_schema(inferred.schema().sql_schema())
    assert schema == inferred.schema()
    assert inferred.text.split(", ") == [column.text for column in inferred.columns]
    engine = default_engine(schema)
    assert parse_engine(engine.options(), schema) == engine
    quarantine_schema(schema)
    fitted = Fitter(schema).fit_ndjson(b"\n".join(lines), 0, "")
    assert (fitted.rows, fitted.quarantined) == (len(lines), 0), fitted.quarantine_columns[:2]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(bodies(), st.booleans())
def test_events_fit_what_is_inferred_from_them(lines, wide):
    inferred = infer_lines(lines, wide=wide)
    assert inferred.events == len(lines)
    if inferred.columns:
        check_fits(lines, inferred)
    event("columns" if inferred.columns else "none")
    for column in inferred.columns:
        event(column.recommended_type)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(bodies(), st.randoms())
def test_the_order_of_events_does_not_matter(lines, random):
    before = infer_lines(lines)
    random.shuffle(lines)
    assert infer_lines(lines) == before


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.text(max_size=3), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
), max_size=5), min_size=1, max_size=5))  # fmt: skip
def test_decoded_events_fit_what_is_inferred_from_them(events):
    inferred = infer(events)
    if inferred.columns:
        check_fits([msgspec.json.encode(each) for each in events], inferred)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 2000), st.integers(0, 200))
def test_any_number_of_long_keys_makes_a_schema_that_can_be_kept(count, chars):
    lines = [msgspec.json.encode({f"{number}{'k' * chars}": number for number in range(count)})]
    inferred = infer_lines(lines)
    assert len(inferred.columns) <= COLUMNS_MAX
    assert bool(inferred.left_out) == (len(inferred.columns) < count)
    check_fits(lines, inferred)


def test_a_month_of_flights_fits_what_is_inferred_from_its_first_lines():
    with FLIGHTS.open("rb") as file:
        body = zstd.decompress(file.read())
    lines = body.splitlines()
    inferred = infer_lines(lines)
    assert inferred.events < len(lines)
    assert not inferred.left_out
    check_fits(lines, inferred)
    assert default_engine(inferred.schema()).sorting_key == "time_hour"
