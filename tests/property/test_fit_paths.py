"""Two paths, one meaning: the fast path with its fallback gives what the exact path alone gives, whatever is sent."""

import msgspec
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
KEYS = "i8 u8 i32 i64 u64 u128 f32 f64 dec s lc fs b u ip4 ip6 e d d32 dt dt3 dt9 dt1 tags ai items more deep ats m mk t j p n ms".split()

NUMBERS = """0 -0 1 -1 7 127 128 255 256 -128 -129 65535 2147483648 9007199254740992 9007199254740993 16777217 16777216
    9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 -9223372036854775809
    340282366920938463463374607431768211455 340282366920938463463374607431768211456 1.0 -0.0 1e3 1E3 1.5 0.1 1.10 12.3450
    1e400 1e-400 3.5e38 3.4028235677973366e38 1e22 123456789012345678901234567890 1767607200 1767607200123 1767607200123456
    1767607200123456789 1767607200.123456789 -1 -1.5 86400 99999999999 100000000000""".split()
STRINGS = (
    """ "" "x" "abcd" "abcde" "\\u00e9\\u00e9" "\\ud83d\\ude00" "\\ud83d" "\\u0000" "é" "1" "-5" "007" "1.50" "1.5000"
    "12345678901234567890" "1e2" "true" "No" "a" "b" "c" "00112233-4455-6677-8899-aabbccddeeff" "1.2.3.4" "01.2.3.4" "::1"
    "fe80::1%eth0" "2026-01-05" "2026-02-30" "2026-01-05T10:00:00Z" "2026-01-05T10:00:00.123Z" "2026-01-05T10:00:00.123456Z"
    "2026-01-05T10:00:00.123456789+01:30" "2026-01-05_10:00:00" "2026-01-05T10:00:00+0100" "2026-01-05T10:00:00-03"
    "2026-03-29T02:30:00" "2026-10-25T02:30:00" "1899-12-31" "2299-12-31T23:59:59.999Z" "2300-01-01" "1969-12-31T23:59:59.5Z"
    "2026-01-05T24:00:00Z" "2026-01-05T23:59:60Z" "2026-01-05T00:00:00.000Z" "0000-01-01" "9999-12-31T23:59:59-23:59"
    "{\\"a\\":1}" "\\/" "\\q" """.split()
    + ['" 1"', '"2026-01-05 10:00:00"', '"2026-01-05 10:00:00.5"', '"a\x01b"', '"a\tb"']
)
OTHERS = """ null true false [] {} [1] ["x"] [null] [1,null,"x"] {"a":1} {"a":null} {"a":"x","a":2} {"1":"x"} {"01":"x"}
    {"1":"x","2":"y"} {"x":1,"y":null} {"x":1} [1,"z"] [1,2,3] [{"sku":"k"},{"sku":null},{}] [{"q":1},{"q":2}] [{"q":1},{}]
    [{"q":null}] [{"sub":[{"id":1},{"id":2}]},{"sub":[]}] [{"sub":[{"id":1},{}]},{}] [{"sub":null}] [{"sub":1}] [[1]]
    {"a":1,"b":{"c":"z"}} {"a":"no","b":{"c":5}} {"b":1} {"b":{"c":null}} {"b":[1]} {"a":300} {"b":256} {"a":"s","b":1}
    ["2026-01-05T10:00:00Z","2026-01-05"] ["2026-01-05T10:00:00Z",5] [{"a":"b"}] [{"a":"b"},{}] [{"a":1}]
    {"a.b":1,"a":{"b":2}} {"a":18446744073709551616} {"a":[9007199254740993,0.5]} nul NaN -Infinity 01 1. +1 -""".split() + [
    "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, "9" * 5000, "0." + "1" * 5000, "[1,]", '{"a":1,}', "'x'", '"', ""
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


@st.composite
def members(draw):
    """Members of one object, in any order: mostly good values, a few bad ones, keys twice or spelled with escapes."""
    names = draw(st.lists(st.sampled_from(KEYS), max_size=6, unique=True))
    if draw(st.integers(0, 7)):  # a row that fits, but for what is drawn
        names = list(dict.fromkeys([*names, "i8", "u8"]))
    bad = draw(st.sets(st.sampled_from(names), max_size=1)) if names else set()
    found = [(name, draw(json_text) if name in bad else GOOD[name]) for name in names]
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


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(body())
def test_both_paths_give_the_same_rows_and_the_same_refusals(data):
    assert outcome(FITTER.fit_ndjson, data) == outcome(EXACT.fit_ndjson, data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(members(), st.integers(2, 60))
def test_a_row_fits_alone_exactly_when_it_fits_in_a_crowd(text, crowd):
    """Checks of whole columns, and Arrow's reading of times, must not depend on the neighbours."""
    row = text.encode("utf-8", "surrogatepass").replace(b"\n", b" ")
    alone, together = FITTER.fit_ndjson, FITTER.fit_ndjson
    many = outcome(together, b"\n".join([row] * crowd))
    try:
        one = alone(row, NOW, "import")
    except InvalidRequest as error:
        assert many == str(error)
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


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
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
