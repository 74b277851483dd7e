"""A rate limit lets in what it says, and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.ratelimit import RateLimiter
from gateway.core.errors import RateLimited


def test_one_key_does_not_use_up_anothers_allowance():
    limiter = RateLimiter(1)
    limiter.take("a", 0.0)

    assert limiter.take("b", 0.0).remaining == 0
    with pytest.raises(RateLimited) as refusal:
        limiter.take("a", 0.999)
    assert refusal.value.retry_after_seconds == 1
    assert limiter.take("a", 1.0).limit == 1


@given(st.integers(1, 5), st.lists(st.floats(0, 0.7), max_size=60))
def test_no_window_lets_more_in_than_allowed(limit, gaps):
    limiter, now, entered = RateLimiter(limit), 0.0, []
    for gap in gaps:
        now += gap
        try:
            limiter.take("k", now)
        except RateLimited:
            assert sum(1 for moment in entered if moment > now - 1.0) >= 1
        else:
            entered.append(now)

    for start in entered:
        assert sum(1 for moment in entered if start <= moment < start + 1.0) <= 2 * limit
