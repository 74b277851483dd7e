"""What a failed insert means, by ClickHouse's code, and how long to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.flush.retry import Kind, classify, delay_seconds


@pytest.mark.parametrize(
    ("code", "kind"),
    [(None, Kind.OUTAGE), (210, Kind.OUTAGE), (252, Kind.BUSY), (242, Kind.BUSY), (241, Kind.BUSY), (60, Kind.HOLD),
     (81, Kind.HOLD), (16, Kind.HOLD), (497, Kind.HOLD), (27, Kind.DATA), (469, Kind.DATA), (349, Kind.DATA)],
)  # fmt: skip
def test_every_code_has_its_class(code, kind):
    assert classify(code) is kind


@given(st.integers(0, 10_000))
def test_what_nobody_has_classified_is_held_and_never_dropped(code):
    assert classify(code) in Kind
    if classify(code) is Kind.DATA:
        assert classify(code, "... while pushing to view db.mv") is Kind.HOLD


@given(st.sampled_from([Kind.OUTAGE, Kind.BUSY, Kind.HOLD]), st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_a_wait_grows_is_capped_and_never_negative(kind, attempts, chance):
    wait = delay_seconds(kind, attempts, chance)

    assert 0 < wait <= 30
    assert delay_seconds(kind, attempts + 1, chance) >= wait
