"""Identifiers sort by time, never repeat, and keep their shape."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.ids import RequestIds, UlidSequence

MOMENTS = st.lists(st.floats(0, 2**40, allow_nan=False), min_size=2, max_size=50)


@given(MOMENTS)
def test_a_sequence_only_grows_whatever_the_clock_does(moments):
    ids = UlidSequence()
    made = [ids.next(moment) for moment in moments]

    assert made == sorted(set(made))
    assert all(len(each) == 26 for each in made)


@given(MOMENTS, MOMENTS)
def test_a_sequence_that_follows_another_is_behind_it(earlier, later):
    first, second = UlidSequence(), UlidSequence()
    last = [first.next(moment) for moment in earlier][-1]

    second.follow(f"{last}-0-1")

    assert all(second.next(moment) > last for moment in later)


def test_request_ids_are_ulids_that_do_not_repeat_and_sort_by_time():
    ids = RequestIds()
    made = [ids.next(1_700_000_000 + number / 10_000) for number in range(20_000)]

    assert len(set(made)) == len(made)
    assert all(len(each) == 26 for each in made)
    assert [each[:10] for each in made] == sorted(each[:10] for each in made)
