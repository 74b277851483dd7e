"""Dates and times: the forms that are read, and to which moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest
from gateway.ingest import moments
from gateway.ingest.moments import NotMoment, Times, load_zone

UTC = load_zone("")
SECOND = Times.datetime(UTC)
TEN = 1_767_607_200  # 2026-01-05 10:00:00 UTC


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-05 10:00:00", TEN),
        ("2026-01-05T10:00:00", TEN),
        ("2026-01-05T10:00:00Z", TEN),
        ("2026-01-05T10:00:00.999999999Z", TEN),
        ("2026-01-05T11:00:00+01:00", TEN),
        ("2026-01-05T11:00:00+0100", TEN),
        ("2026-01-05T11:00:00+01", TEN),
        ("2026-01-05 06:30:00.5-03:30", TEN),
        ("2026-01-05", TEN - 36_000),
        ("1970-01-01 00:00:00", 0),
        ("2106-02-07T06:28:15Z", 2**32 - 1),
    ],
)
def test_a_form_of_the_contract_is_read(text, seconds):
    assert SECOND.texts([text]) == [seconds]


@pytest.mark.parametrize(
    "text",
    """ |x|2026|2026-01|20260105|2026-1-5|2026-01-05T10|2026-01-05T10:00|2026-01-05T10:00Z|2026-01-05 10:00:00 |2026-01-05Z
    2026-01-05T24:00:00|2026-01-05T10:60:00|2026-01-05T23:59:60Z|2026-02-29|2026-00-01|0000-01-01|1969-12-31T23:59:59Z
    2106-02-07T06:28:16Z|2026-01-05T10:00:00.Z|2026-01-05T10:00:00.1234567890Z|2026-01-05T10:00:00+24:00
    2026-01-05T10:00:00+01:60|2026-01-05T10:00:00+1:00|2026-01-05t10:00:00z|2026-01-05  10:00:00|2026-01-05T10:00:00,5Z
    1767607200|٢٠٢٦-01-05|2026-01-05T10:00:00Z\n""".replace("\n    ", "|").split("|"),
)
def test_any_other_text_is_not_a_moment(text):
    with pytest.raises(NotMoment):
        SECOND.texts([text])


@pytest.mark.parametrize(
    ("number", "precision", "ticks"),
    [
        (b"1767607200", 0, TEN),
        (b"1767607200123", 3, TEN * 1000 + 123),
        (b"1767607200123456", 6, TEN * 10**6 + 123456),
        (b"1767607200123456789", 9, TEN * 10**9 + 123456789),
        (b"1767607200.123456", 6, TEN * 10**6 + 123456),
        (b"1767607200123.75", 6, TEN * 10**6 + 123750),
        (b"99999999999", 0, 99_999_999_999),
        (b"100000000000", 0, 100_000_000),
        (b"-1.5", 3, -1500),
        (b"-1.5", 0, -2),
    ],
)
def test_an_epoch_number_is_read_by_its_digits(number, precision, ticks):
    reader = Times(precision, precision, -(2**63), 2**63, UTC)
    assert reader.number(number) == ticks


@pytest.mark.parametrize("number", [b"1e9", b"1.5e9", b"99999999999999999999", b"-", b"4294967296"])
def test_other_numbers_are_not_moments(number):
    with pytest.raises(NotMoment):
        SECOND.number(number)


@pytest.mark.parametrize(
    ("precision", "ticks"), [(0, -1), (1, -100), (2, -10), (3, -1), (4, -100), (6, -1), (7, -100), (9, -1)]
)
def test_digits_beyond_the_precision_are_cut_off_before_1970_too(precision, ticks):
    """The time shown keeps its digits: 23:59:59.999 is .9 to one digit, not the next day."""
    assert Times.datetime64(precision, UTC).texts(["1969-12-31 23:59:59.999999999"]) == [ticks]


@pytest.mark.parametrize(
    ("zone", "text", "seconds"),
    [
        ("Europe/Madrid", "2026-01-05 11:00:00", TEN),
        ("Europe/Madrid", "2026-01-05T10:00:00Z", TEN),
        ("Europe/Madrid", "2026-10-25 02:30:00", 1_792_888_200),  # happened twice: the first
        ("Asia/Kathmandu", "2026-01-05 15:45:00.5", TEN),
    ],
)
def test_a_text_without_a_zone_has_the_columns(zone, text, seconds):
    reader = Times.datetime(load_zone(zone))
    assert reader.texts([text]) == [seconds]
    assert reader.texts([text] * 100) == [seconds] * 100


def test_a_time_that_the_zone_skipped_is_refused():
    with pytest.raises(NotMoment, match="skipped"):
        Times.datetime(load_zone("Europe/Madrid")).texts(["2026-03-29 02:30:00"])


def test_an_unknown_zone_is_refused():
    with pytest.raises(InvalidRequest, match="no time zone"):
        load_zone("Mars/Olympus")


@pytest.mark.parametrize("precision", range(10))
def test_the_range_of_datetime64_is_that_of_the_engine_and_of_arrow(precision):
    reader = Times.datetime64(precision, UTC)
    reader.texts(["1900-01-01 00:00:00"])
    with pytest.raises(NotMoment):
        reader.texts(["1899-12-31 23:59:59"])
    last = "2262-04-11 23:47:16.854775807" if precision > 6 else "2299-12-31 23:59:59.999999999"
    reader.texts([last])
    with pytest.raises(NotMoment):
        reader.texts(["2262-04-11 23:47:17" if precision > 6 else "2300-01-01 00:00:00"])


shapes = st.sampled_from(
    ["2026-01-05T10:00:00Z", "2026-01-05T10:00:00.123Z", "2026-01-05 10:00:00.123456", "2026-01-05T10:00:00+0100"]
)
characters = st.sampled_from("0123456789:-+.TZ ")


@given(shapes, st.lists(st.tuples(st.integers(0, 26), characters), max_size=3), st.integers(0, 9))
def test_many_alike_are_read_like_one(text, changes, precision):
    """Arrow reads a long list of one length; it must not take a form that we do not, or read another moment."""
    for at, character in changes:
        text = text[:at] + character + text[at + 1 :]
    reader = Times.datetime64(precision, UTC)
    try:
        one = reader.texts([text])
    except NotMoment:
        with pytest.raises(NotMoment):
            reader.texts([text] * 64)
    else:
        assert reader.texts([text] * 64) == one * 64


def test_the_caches_are_bounded():
    reader = Times.datetime64(6, UTC)
    for start in range(0, 3 * moments.CACHE_ENTRIES_MAX, 1000):
        reader.texts([f"2026-01-05T10:00:00.{n:09d}Z" for n in range(start, start + 40)])
        reader.texts(
            [
                *(
                    f"2026-01-05T{n // 3600 % 24:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z"
                    for n in range(start, start + 1000)
                ),
                "2026-01-05",
            ]
        )
    caches = [moments._stems, *moments._known_tails.values()]
    assert max(map(len, caches)) <= moments.CACHE_ENTRIES_MAX
