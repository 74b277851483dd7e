"""When a batch is due: age, size, hurry, and how many may be closed for their age alone."""

import pyarrow as pa
import pytest

from gateway.buffer.accumulator import Accumulator, BatchLimits
from gateway.buffer.batch import encode_rows
from gateway.buffer.layout import Layout

SCHEMA = pa.schema([("n", pa.int64())])
LIMITS = BatchLimits(rows_max=100, bytes_max=10_000, age_seconds_max=1.0, aged_per_second_max=10.0)


def opened(accumulator, count, now=0.0, rows=1):
    """Open a batch in each of `count` streams."""
    for number in range(count):
        layout = Layout.of(f"t_{number}", False, SCHEMA)
        item = encode_rows(layout, [[0] * rows], rows)
        accumulator.add(accumulator.stream(layout), item, (1, number), now)


def taken(accumulator, now):
    """Take all that is due at `now`, as the buffer does; return how many batches."""
    count = 0
    while (stream := accumulator.next_due(now)) is not None:
        stream.taken = accumulator.close_open(stream)
        count += 1
    return count


@pytest.fixture
def accumulator():
    return Accumulator(LIMITS)


def test_a_few_batches_are_due_at_their_age(accumulator):
    opened(accumulator, 5)

    assert (taken(accumulator, 0.9), taken(accumulator, 1.0)) == (0, 5)


def test_of_many_a_second_worth_is_due_at_once_and_the_others_one_after_the_other(accumulator):
    opened(accumulator, 100)

    assert taken(accumulator, 1.0) == 10
    assert [taken(accumulator, 1.0 + tenth / 10 + 0.001) for tenth in range(1, 6)] == [1] * 5
    assert taken(accumulator, 1.5 + 0.001) == 0


def test_what_was_saved_is_no_more_than_a_second_worth(accumulator):
    opened(accumulator, 100)

    assert taken(accumulator, 1000.0) == 10


def test_it_wakes_when_the_next_may_be_taken(accumulator):
    opened(accumulator, 100)
    assert accumulator.next_wake(0.0) == 1.0
    taken(accumulator, 1.0)

    assert accumulator.next_wake(1.0) == pytest.approx(1.1)
    assert taken(accumulator, accumulator.next_wake(1.0) + 1e-9) == 1


@pytest.mark.parametrize("state", ["draining", "crowded"])
def test_without_room_or_time_none_waits_for_its_turn(accumulator, state):
    opened(accumulator, 100)
    setattr(accumulator, state, True)

    assert taken(accumulator, 1.0) == 100


def test_full_and_wanted_batches_do_not_wait_for_a_turn(accumulator):
    opened(accumulator, 100)
    taken(accumulator, 1.0)
    opened(accumulator, 1, now=1.0, rows=100)
    for number in range(50, 60):
        accumulator.hurry(accumulator.stream(Layout.of(f"t_{number}", False, SCHEMA)))

    accumulator.stream(Layout.of("t_0", False, SCHEMA)).taken = None
    assert taken(accumulator, 1.0) == 11


def test_rows_are_in_doubt_when_they_were_sent_and_will_be_again(accumulator):
    opened(accumulator, 2)
    taken(accumulator, 1.0)
    stream = accumulator.streams[next(iter(accumulator.streams))]
    batch, name = stream.taken, stream.layout.datasource_id

    found = []
    for attempts, is_taken in ((0, True), (1, True), (1, False), (2, True)):
        batch.attempts, stream.taken = attempts, batch if is_taken else None
        stream.sealed.clear()
        if not is_taken:
            stream.sealed.append(batch)
        found.append(accumulator.is_in_doubt(name))

    assert found == [False, False, True, True]
    assert not accumulator.is_in_doubt("t_1" if name == "t_0" else "t_0")
