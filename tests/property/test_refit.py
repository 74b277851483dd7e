"""What leaves the quarantine is what would have been stored, had the schema been right when it came."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ingest.fit import Fitter
from gateway.ingest.refit import QuarantineRow, Refitter
from gateway.ingest.texts import TextFitter
from gateway.schema.columns import parse_schema

NOW = 1_767_607_200.0
SCHEMA = (
    "k UInt32 `json:$.k`, n {n} `json:$.n`, s {s} `json:$.o.s`, tags Array({e}) `json:$.tags[:]` DEFAULT [], "
    "at DateTime64(3) `json:$.at` DEFAULT now64(3), d Nullable(Date) `json:$.d` DEFAULT '2026-01-05', "
    "u UUID `json:$.u` DEFAULT generateUUIDv4(), plain {n} DEFAULT 7"
)
BROKEN = parse_schema(SCHEMA.format(n="UInt8", s="String", e="UInt8"))
FIXED = parse_schema(
    SCHEMA.format(n="Nullable(Int64)", s="Nullable(String)", e="Nullable(Int64)") + ", new UInt8 DEFAULT 3"
)

VALUES = st.sampled_from(
    [None, 0, 7, 255, 256, -1, 2**40, 1.5, True, "", "x", "7", "2026-01-05", "2026-01-05T10:00:00Z", "é'\\\n", [], {}]
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "k": st.integers(-1, 5) | VALUES,
        "n": VALUES,
        "o": st.fixed_dictionaries({}, optional={"s": VALUES}) | VALUES,
        "tags": st.lists(VALUES, max_size=3) | VALUES,
        "at": VALUES,
        "d": VALUES,
        "u": st.just("00112233-4455-6677-8899-aabbccddeeff") | VALUES,
    },
)
JUNK = st.sampled_from([b"{", b"[1]", b"nothing", b'{"k": 1} {', b"\xff", b'{"k": "\\ud83d"}', b'{"k":1,"s":"\xc3"}'])


def in_quarantine(columns: list[list], width: int) -> list[QuarantineRow]:
    """Rows of a quarantine as they are read back, with the columns that the data source got since."""
    return [
        QuarantineRow(names, reasons, import_id, [*texts, *[None] * (width - len(texts))], moment, line)
        for names, reasons, import_id, *texts, moment, line in zip(*columns, strict=True)
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS.map(msgspec.json.encode) | JUNK, min_size=1, max_size=40))
def test_events_are_refitted_as_if_they_came_now(lines):
    refused = Fitter(BROKEN).fit_part(b"\n".join(lines), NOW, "first")
    rows = in_quarantine(refused.quarantine_columns, len(FIXED.columns)) if refused.quarantined else []
    refitter = Refitter(FIXED)

    found = refitter.refit(rows)

    sent = b"\n".join((row.line or "").encode() for row in rows)
    wanted = Fitter(FIXED).fit_part(sent, NOW, "second") if rows else None
    assert found.texts == []
    assert found.fitted + len(found.kept) == len(rows)
    if wanted is not None:
        assert {group.omitted: group.columns for group in found.events} == {
            group.omitted: [list(column) for column in group.columns] for group in wanted.groups
        }
        assert found.fitted == wanted.rows
        kept = refitter.kept_columns(found.kept) if found.kept else []
        assert [row.import_id for row in found.kept] == ["first"] * len(found.kept)
        if kept:
            assert kept[0] == wanted.quarantine_columns[0]
            assert len(kept) == len(refitter.quarantine.schema)
            assert [row.line for row in found.kept] == wanted.quarantine_columns[-1]


TEXTS = st.sampled_from(
    [None, "", "\\N", "7", "-1", "300", "x", "[1,2]", "[300]", "2026-01-05", '{"k":1}', "é'", "null", "1.5"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(TEXTS, min_size=8, max_size=8), min_size=1, max_size=20))
def test_csv_rows_are_refitted_as_if_they_came_now(table):
    names = [column.name for column in BROKEN.columns]
    columns = [list(column) for column in zip(*table, strict=True)]
    lines = [",".join(f'"{text}"' for text in row).encode() for row in table]
    refused = TextFitter(BROKEN).fit(columns, names, NOW, "first", lines)
    rows = in_quarantine(refused.quarantine_columns, len(FIXED.columns)) if refused.quarantined else []

    found = Refitter(FIXED).refit(rows)

    assert found.events == []
    again = [[row.texts[n] for row in rows] for n in range(len(names))]
    if rows and any(any(text is not None for text in row.texts) for row in rows):
        wanted = TextFitter(FIXED).fit(again, names, NOW, "", [(row.line or "").encode() for row in rows])
        assert found.fitted == wanted.rows
        assert {group.omitted: group.columns for group in found.texts} == {
            group.omitted: [list(column) for column in group.columns] for group in wanted.groups
        }
        # All rows that stay were refused: `k` is in every one that fits.
        assert [row.columns for row in found.kept] == (wanted.quarantine_columns[0] if wanted.quarantined else [])
