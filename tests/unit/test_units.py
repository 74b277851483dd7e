"""Sizes, durations and booleans mean what people mean by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.units import format_duration, format_size, parse_boolean, parse_duration, parse_size


@pytest.mark.parametrize(
    "text, size",
    [("64MiB", 2**26), ("10MB", 10**7), ("10 mb", 10**7), ("1.5GiB", 3 * 2**29), ("4096", 4096), ("0", 0), ("7B", 7)],
)
def test_a_size_is_read_with_its_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "64M", "-1", "1e6", "inf", "1_000", "0.5B", "١MB", "1 2", "0x10"])
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(ValueError, match="is not"):
        parse_size(text)


@pytest.mark.parametrize(
    "text, seconds", [("500ms", 0.5), ("1s", 1.0), ("2.5", 2.5), ("5m", 300.0), ("1h", 3600.0), ("0", 0.0)]
)
def test_a_duration_is_read_with_its_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1d", "-1s", "nan", "inf", "s"])
def test_what_is_not_a_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text, value", [("false", False), ("0", False), ("OFF", False), ("true", True), ("1", True)])
def test_a_boolean_is_read_by_its_word_not_by_its_length(text, value):
    assert parse_boolean(text) is value


@pytest.mark.parametrize("text", ["", "maybe", "2", "fals"])
def test_what_is_neither_on_nor_off_is_refused(text):
    with pytest.raises(ValueError, match="neither on nor off"):
        parse_boolean(text)


@given(st.integers(0, 2**60))
def test_a_written_size_reads_back_the_same(size):
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**6))
def test_a_written_duration_reads_back_the_same(milliseconds):
    seconds = milliseconds / 1000

    assert parse_duration(format_duration(seconds)) == seconds
