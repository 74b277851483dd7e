"""Two paths, one meaning: the fast path with its fallback gives what the exact path alone gives, whatever is sent."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest
from gateway.ingest.fit import Fitter
from gateway.schema.columns import parse_schema

NOW = 1_767_607_200.123456

# One column (at least) of every family and of every rule for what is missing; shared, nested and repeated paths.
SCHEMA = """
    i8 Int8 `json:$.i8`, u8 UInt8 `json:$.u8`, i32 Nullable(Int32) `json:$.i32`, i64 Int64 `json:$.i64` DEFAULT 7,
    u64 UInt64 `json:$.u64` DEFAULT 9, u128 UInt128 `json:$.u128` DEFAULT 1, f32 Float32 `json:$.f32` DEFAULT 1,
    f64 Nullable(Float64) `json:$.f64` DEFAULT 2.5, dec Decimal(12, 3) `json:$.dec` DEFAULT 1,
    s String `json:$.s` DEFAULT 'x', lc LowCardinality(Nullable(String)) `json:$.lc`,
    fs FixedString(4) `json:$.fs` DEFAULT '', b Bool `json:$.b` DEFAULT true, u UUID `json:$.u` DEFAULT generateUUIDv4(),
    ip4 Nullable(IPv4) `json:$.ip4`, ip6 IPv6 `json:$.ip6` DEFAULT '::',
    e Enum8('a' = 1, 'b' = -2) `json:$.e` DEFAULT 'a',
    d Date `json:$.d` DEFAULT today(), d32 Nullable(Date32) `json:$.d32`, dt DateTime `json:$.dt` DEFAULT now(),
    dt3 DateTime64(3) `json:$.dt3` DEFAULT now64(3), dtz DateTime64(6, 'Europe/Madrid') `json:$.dt3` DEFAULT 0,
    dt9 Nullable(DateTime64(9)) `json:$.dt9` DEFAULT now64(9), dt1 DateTime64(1) `json:$.dt1` DEFAULT 0,
    tags Array(String) `json:$.tags[:]` DEFAULT [], ai Array(Nullable(UInt8)) `json:$.ai[:]` DEFAULT [1],
    skus Array(Nullable(String)) `json:$.items[:].sku` DEFAULT [], qs Array(UInt16) `json:$.more[:].q` DEFAULT [],
    deep Array(Array(Int32)) `json:$.deep[:].sub[:].id` DEFAULT [], ats Array(DateTime64(3)) `json:$.ats[:]` DEFAULT [],
    m Map(String, Nullable(UInt8)) `json:$.m` DEFAULT map(), mk Map(UInt8, String) `json:$.mk` DEFAULT map(),
    t Tuple(x UInt8, y Nullable(String)) `json:$.t` DEFAULT (1, 'a'), j JSON `json:$.j` DEFAULT '{}',
    p String `json:$.p` DEFAULT '', pa Nullable(Int16) `json:$.p.a`, pb Nullable(String) `json:$.p.b.c`,
    na Nullable(String) `json:$.n.a`, nb UInt8 `json:$.n.b` DEFAULT 3, ms Array(Map(String, String)) `json:$.ms[:]` DEFAULT []
"""
KEYS_TEXT = """
    i8 u8 i32 i64 u64 u128 f32 f64 dec s lc fs b u ip4 ip6 e d d32 dt dt3 dt9 dt1 tags ai items more deep ats m mk t j
    p n ms
"""
KEYS = KEYS_TEXT.split()

NUMBERS_TEXT = """
    0 -0 1 -1 7 127 128 255 256 -128 -129 65535 2147483648 9007199254740992 9007199254740993 16777217 16777216
    9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 -9223372036854775809
    340282366920938463463374607431768211455 340282366920938463463374607431768211456 1.0 -0.0 1e3 1E3 1.5 0.1 1.10
    12.3450 1e400 1e-400 3.5e38 3.4028235677973366e38 1e22 123456789012345678901234567890 1767607200 1767607200123
    1767607200123456 1767607200123456789 1767607200.123456789 -1 -1.5 86400 99999999999 100000000000
"""
NUMBERS = NUMBERS_TEXT.split()
STRINGS_TEXT = r"""
    "" "x" "abcd" "abcde" "\u00e9\u00e9" "\ud83d\ude00" "\ud83d" "\u0000" "é" "1" "-5" "007" "1.50" "1.5000"
    "12345678901234567890" "1e2" "true" "No" "a" "b" "c" "00112233-4455-6677-8899-aabbccddeeff" "1.2.3.4" "01.2.3.4"
    "::1" "fe80::1%eth0" "2026-01-05" "2026-02-30" "2026-01-05T10:00:00Z" "2026-01-05T10:00:00.123Z"
    "2026-01-05T10:00:00.123456Z" "2026-01-05T10:00:00.123456789+01:30" "2026-01-05_10:00:00"
    "2026-01-05T10:00:00+0100" "2026-01-05T10:00:00-03" "2026-03-29T02:30:00" "2026-10-25T02:30:00" "1899-12-31"
    "2299-12-31T23:59:59.999Z" "2300-01-01" "1969-12-31T23:59:59.5Z" "2026-01-05T24:00:00Z" "2026-01-05T23:59:60Z"
    "2026-01-05T00:00:00.000Z" "0000-01-01" "9999-12-31T23:59:59-23:59" "{\"a\":1}" "\/" "\q"
"""
STRINGS = [*STRINGS_TEXT.split(), '" 1"', '"2026-01-05 10:00:00"', '"2026-01-05 10:00:00.5"', '"a\x01b"', '"a\tb"']  # fmt: skip
OTHERS_TEXT = r"""
    null true false [] {} [1] ["x"] [null] [1,null,"x"] {"a":1} {"a":null} {"a":"x","a":2} {"1":"x"} {"01":"x"}
    {"1":"x","2":"y"} {"x":1,"y":null} {"x":1} [1,"z"] [1,2,3] [{"sku":"k"},{"sku":null},{}] [{"q":1},{"q":2}]
    [{"q":1},{}] [{"q":null}] [{"sub":[{"id":1},{"id":2}]},{"sub":[]}] [{"sub":[{"id":1},{}]},{}] [{"sub":null}]
    [{"sub":1}] [[1]] {"a":1,"b":{"c":"z"}} {"a":"no","b":{"c":5}} {"b":1} {"b":{"c":null}} {"b":[1]} {"a":300}
    {"b":256} {"a":"s","b":1} ["2026-01-05T10:00:00Z","2026-01-05"] ["2026-01-05T10:00:00Z",5] [{"a":"b"}]
    [{"a":"b"},{}] [{"a":1}] {"a.b":1,"a":{"b":2}} {"a":18446744073709551616} {"a":[9007199254740993,0.5]} nul NaN
    -Infinity 01 1. +1 - [1,] {"a":1,} 'x' "
"""
OTHERS = [
    *OTHERS_TEXT.split(), "", "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, "9" * 5000, "0." + "1" * 5000
]  # fmt: skip

json_text = st.recursive(
    st.sampled_from(NUMBERS + STRINGS + OTHERS) | st.text(max_size=5).map(lambda s: msgspec.json.encode(s).decode()),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
        | st.dictionaries(st.sampled_from(["a", "b", "c", "x", "y", "sku", "q", "1"]), inner, max_size=3).map(
            lambda members: "{" + ", ".join(f'"{key}" : {value}' for key, value in members.items()) + "}"
        )
    ),
    max_leaves=4,
)

GOOD = {
    "i8": "-5", "u8": "true", "i32": "-70000", "i64": "5", "u64": "18446744073709551615", "u128": '"5"', "f32": "0.5",
    "f64": "1e5", "dec": "1.250", "s": '"text"', "lc": '"red"', "fs": '"ab"', "b": "true", "e": '"b"',
    "u": '"00112233-4455-6677-8899-aabbccddeeff"', "ip4": '"1.2.3.4"', "ip6": '"::1"', "d": '"2026-01-05"',
    "d32": '"1950-01-01"', "dt": '"2026-01-05T10:00:00.000Z"', "dt3": '"2026-01-05 10:00:00.123"', "dt9": "1767607200",
    "dt1": '"1969-12-31 23:59:59.99"', "tags": '["a","b"]', "ai": "[1,null]", "items": '[{"sku":"k"},{}]',
    "more": '[{"q":1}]', "deep": '[{"sub":[{"id":1}]}]', "ats": '["2026-01-05T10:00:00.5Z"]', "m": '{"a":1,"b":null}',
    "mk": '{"1":"x"}', "t": '{"x":1,"y":"z"}', "j": '{"a":1}', "p": '{"a":1,"b":{"c":"d"}}', "n": '{"a":"x","b":2}',
    "ms": '[{"a":"b"}]',
}  # fmt: skip

# What is almost right for its column: the edges that the two paths might see differently.
NEAR = {
    "i8": "127 128 -128 -129 1.0 true 1e1", "u8": "255 256 -1 false 2.0", "i32": "2147483647 2147483648 null",
    "i64": '9223372036854775807 9223372036854775808 "-9" "9223372036854775808" null',
    "u64": '18446744073709551615 18446744073709551616 99999999999999999999 -1 "18446744073709551615" 1.0',
    "u128": '340282366920938463463374607431768211455 340282366920938463463374607431768211456 "1" -1',
    "f32": "16777216 16777217 16777217.5 16777218 3.4028234e38 3.4028236e38 -3.5e38 0.1 -0 -0.0 33554433 1e39",
    "f64": "9007199254740992 9007199254740993 -9007199254740993 1e308 1e309 -0 -0.0 0.1 9007199254740993.0 null",
    "dec": '1.250 1.2505 1.2500 "1.25" 123456789.999 1234567890 1e3 1.5e-3 1.5e-4 -0.001 "1.25x"',
    "s": '"é" "\\u00e9" 1.10 true {"a":1} [1] null', "lc": '"red" null 5', "fs": '"abcd" "abcde" "éé" "ééé" "éa" 12345 1234',
    "b": '1 0 2 "yes" "nah" 1.0', "e": '"a" "c" 1 -2 3 "1" "\\u0061"',
    "u": '"00112233-4455-6677-8899-AABBCCDDEEFF" "00112233-4455-6677-8899-aabbccddeefg" "00112233445566778899aabbccddeeff"',
    "ip4": '"255.255.255.255" "256.1.1.1" "1.2.3" null', "ip6": '"1.2.3.4" "::" "::ffff:1.2.3.4" "g::" "::1%1"',
    "d": '"2149-06-06" "2149-06-07" "1969-12-31" "2026-01-05T00:00:00Z" "2026-01-05T00:00:01Z" 86400 86401 "2026-1-5" 1.5',
    "d32": '"1900-01-01" "1899-12-31" "2299-12-31" "2300-01-01" null -86400',
    "dt": '"2106-02-07T06:28:15Z" "2106-02-07T06:28:16Z" "1970-01-01T00:59:59+01:00" "1970-01-01T01:00:00+01:00" 4294967296 '
    '"2026-01-05T10:00:00.999Z" "2026-01-05" 1767607200.9 "2026-01-05T10:00:00z"',
    "dt3": '"2026-01-05T10:00:00.1239Z" "2026-03-29T02:30:00" "2026-10-25T02:30:00" "2299-12-31T23:59:59.999" null '
    '"2026-01-05T10:00+01:00" "2026-01-05T10:00:00+01" "2026-01-05T10:00:00.12Z" "2026-01-05 10:00:00.123456" "1900-01-01"',
    "dt9": '"2262-04-11T23:47:16.854775807Z" "2262-04-11T23:47:16.854775808Z" null "2026-01-05T10:00:00.1234567890Z"',
    "dt1": '"1969-12-31T23:59:59.95Z" "2026-01-05T10:00:00.19Z" -1 -0.05',
    "tags": '[] ["a",1] ["a",null] null "a"', "ai": "[] [null] [256] [true] null", "items": '[] [{"sku":1}] [1] null [{"sku":null}]',
    "more": '[] [{"q":65536}] [{}] [1] [{"q":null}] {"q":1}', "deep": '[] [{"sub":[{}]}] [{}] [1] [{"sub":[1]}] [{"sub":null}]',
    "ats": '[] ["2026-01-05"] [5] ["x"] [null]', "m": '{} {"a":256} {"a":null,"a":1} {"a":"1"} []',
    "mk": '{} {"256":"x"} {"1":1} {"1":"a","1":"b"} {"01":"a"}', "t": '[1,null] [1] {"x":1} {"y":"a"} {"x":256} {"x":1,"z":2}',
    "j": '{} {"a":1,"a":2} "{}" "[]" {"a":1e400} {"a.b":1,"a":{"b":2}} {"a":18446744073709551616} [1]',
    "p": '{} "x" null 5 {"a":null} {"a":1,"a":2} {"a":70000} {"b":5} {"b":{"c":5}} {"b":{}} [1]',
    "n": '{} null 5 {"b":true} {"b":256} {"a":5} {"a":null} {"b":1,"b":2}', "ms": '[] [{}] [{"a":1}] [{"a":null}] {"a":"b"}',
}  # fmt: skip
SPLIT = {name: values.split(" ") for name, values in NEAR.items()}


@st.composite
def members(draw):
    """Members of one object, in any order: mostly good values, a few bad ones, keys twice or spelled with escapes."""
    names = draw(st.lists(st.sampled_from(KEYS), max_size=6, unique=True))
    if draw(st.integers(0, 7)):  # a row that fits, but for what is drawn
        names = list(dict.fromkeys([*names, "i8", "u8"]))
    odd = draw(st.sampled_from(names)) if names and draw(st.integers(0, 4)) else ""
    found = [
        (name, draw(st.sampled_from(SPLIT[name]) | json_text if name == odd else st.just(GOOD[name]))) for name in names
    ]
    oddity = draw(st.integers(0, 20))
    if oddity == 0 and found:
        found.append((draw(st.sampled_from(KEYS)), draw(json_text)))
    elif oddity == 1:
        found.append(("ignored", draw(json_text)))
    key = st.sampled_from(['"%s"', '"%s" ', ' "%s"'])
    texts = [(draw(key) % name, value) for name, value in draw(st.permutations(found))]
    if texts and oddity == 2:
        name, value = texts[0]
        texts[0] = (name.replace("i", "\\u0069", 1), value)
    return "{" + ",".join(f"{name}:{value}" for name, value in texts) + "}"


@st.composite
def line(draw):
    """A line: an object, or what a broken client makes of one."""
    text = draw(members()).encode("utf-8", "surrogatepass")
    harm = draw(st.integers(0, 40))
    if harm == 0:
        text = text[: draw(st.integers(0, len(text)))]
    elif harm == 1:
        text += draw(st.sampled_from([b",", b"{}", b" {}", b"]", b"\x00", b" x", b"//"]))
    elif harm == 2:
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at] + draw(st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\xbd", b"\xef\xbb\xbf", b"\x00"])) + text[at:]
        )
    elif harm == 3:
        text = draw(st.sampled_from([b"", b"  \t", b"3", b'"x"', b"[]", b"null", b"[{}]", b"{", b"\xef\xbb\xbf{}"]))
    elif harm == 4:
        text = b" \t" + text + b" \r"
    return text


@st.composite
def body(draw):
    lines = draw(st.lists(line(), min_size=1, max_size=12))
    start = draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf"]))
    return start + draw(st.sampled_from([b"\n", b"\r\n"])).join(lines) + draw(st.sampled_from([b"", b"\n"]))


class _Refusing:
    """A fast reader that takes nothing."""

    def decode(self, line):
        raise ValueError


FITTER = Fitter(parse_schema(SCHEMA))
EXACT = Fitter(parse_schema(SCHEMA))
EXACT._fast = _Refusing()


def outcome(fit, data):
    """Everything a body became, as text: so that 1, 1.0 and True, 0.0 and -0.0 differ."""
    try:
        fitted = fit(data, NOW, "import")
    except InvalidRequest as error:
        return str(error)
    return repr((fitted.groups, fitted.rows, fitted.quarantined, fitted.quarantine_columns))


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(("rows", "last"), [(1, 0), (1, 1), (60, 0)])
def test_both_paths_agree_at_the_edges_of_every_type(name, rows, last):
    """Alone, among many of its like, and with a good row behind."""
    good = ",".join(f'"{key}":{GOOD[key]}' for key in ("i8", "u8") if key != name)
    behind = [f'{{{good},"{name}":{GOOD[name]}}}'] * last
    for value in [*SPLIT[name], GOOD[name], *STRINGS, *(NUMBERS + OTHERS if rows == 1 else [])]:
        row = f'{{{good},"{name}":{value}}}'
        data = "\n".join([row] * rows + behind).encode("utf-8", "surrogatepass")
        assert outcome(FITTER.fit_ndjson, data) == outcome(EXACT.fit_ndjson, data), value


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(body())
def test_both_paths_give_the_same_rows_and_the_same_refusals(data):
    assert outcome(FITTER.fit_ndjson, data) == outcome(EXACT.fit_ndjson, data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(members(), st.integers(2, 60))
def test_a_row_fits_alone_exactly_when_it_fits_in_a_crowd(text, crowd):
    """Checks of whole columns, and Arrow's reading of times, must not depend on the neighbours."""
    row = text.encode("utf-8", "surrogatepass").replace(b"\n", b" ")
    alone, together = FITTER.fit_ndjson, FITTER.fit_ndjson
    many = outcome(together, b"\n".join([row] * crowd))
    try:
        one = alone(row, NOW, "import")
    except InvalidRequest as error:
        one = error
    if isinstance(one, InvalidRequest):
        assert many == str(one)
        return
    expected = repr(
        (
            [type(g)(g.omitted, [column * crowd for column in g.columns]) for g in one.groups],
            one.rows * crowd,
            one.quarantined * crowd,
            [column * crowd for column in one.quarantine_columns],
        )
    )
    assert many == expected


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(line(), min_size=1, max_size=8))
def test_every_line_is_accounted_for(lines):
    """Fitted, quarantined or blank; and all columns are as long as there are rows."""
    data = b"\n".join(lines)
    try:
        fitted = FITTER.fit_ndjson(data, NOW, "import")
    except InvalidRequest:
        return

    first, *others = data.split(b"\n")
    read = [first.removeprefix(b"\xef\xbb\xbf"), *others]
    assert fitted.rows + fitted.quarantined == sum(1 for text in read if text.strip())
    for group in fitted.groups:
        assert len({len(column) for column in group.columns}) == 1
        assert len(group.columns) == len(FITTER.arrow_schema(group.omitted))
    assert sum(len(group.columns[0]) for group in fitted.groups) == fitted.rows
    assert {len(column) for column in fitted.quarantine_columns} <= {fitted.quarantined}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_have_one_outcome(data):
    assert outcome(FITTER.fit_ndjson, data) == outcome(EXACT.fit_ndjson, data)
    outcome(FITTER.fit_json, data)
