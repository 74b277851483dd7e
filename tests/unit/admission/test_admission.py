"""A rate limit lets in what it says and no more, whoever comes, and forgets who stays away."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import Admission, Buckets, Limit, Ticket
from gateway.admission.buckets import OWED_SECONDS_MAX, ROOM_BYTES
from gateway.admission.limits import key_of
from gateway.core.clock import SystemClock
from gateway.core.errors import RateLimited

GAPS = st.lists(st.floats(0, 0.7), max_size=60)


@dataclass(frozen=True)
class Sender:
    workspace_id: str = "w"
    token_id: str = "t"
    token_name: str = "name"
    requests_per_second: float | None = None


def admission(limits, overrides=None, queries_max=0):
    own = overrides or {}
    return Admission(
        limits,
        Buckets(),
        SystemClock(),
        overrides=lambda workspace_id: own.get(workspace_id, {}),
        moment=lambda: own,
        queries_max=queries_max,
    )


def ticket(*limits, room=None):
    return Ticket(room or Buckets(), [(limit, key_of(limit.kind, limit.unit)) for limit in limits])


def is_let_in(one, now):
    try:
        one.take(now)
    except RateLimited:
        return False
    return True


def let_in(one, moments):
    return [now for now in moments if is_let_in(one, now)]


@given(st.one_of(st.integers(1, 50), st.floats(0.1, 5)), GAPS, st.floats(0, 1e7))
def test_never_more_than_the_rate_and_a_second_ahead(rate, gaps, began):
    one, now, moments = ticket(Limit("token", "requests", rate)), began, []
    for gap in gaps:
        now += gap
        moments += [now] * 3
    entered = let_in(one, moments)

    for start in range(len(entered)):
        for stop in range(start, len(entered)):
            count, seconds = stop - start + 1, entered[stop] - entered[start]
            assert count <= rate * seconds + max(rate, 1) + 1e-6


@given(st.integers(1, 50), GAPS)
def test_who_stayed_away_for_a_second_gets_all_of_it_again(rate, gaps):
    one, now = ticket(Limit("token", "requests", rate)), 0.0
    for gap in gaps:
        now += gap
        let_in(one, [now] * 3)

    assert len(let_in(one, [now + 1.0] * (rate + 5))) == rate


@given(st.integers(1, 1000), st.integers(1, 100_000), st.integers(0, 1000))
def test_rows_are_paid_for_afterwards_and_at_the_rate(rate, rows, hundredths):
    one = ticket(Limit("datasource", "rows", rate))
    assert one.take(0.0) is None
    one.charge(0.0, rows, 0)

    owed, now = min(rows / rate, OWED_SECONDS_MAX), hundredths / 100
    assert is_let_in(one, now) == (max(owed - now, 0) + 1 / rate <= 1 + 1e-9)
    assert is_let_in(one, now + owed)


def test_a_refusal_says_when_to_come_back_and_then_it_is_let_in():
    one = ticket(Limit("workspace", "bytes", 1000))
    one.charge(0.0, 0, 10_500)
    with pytest.raises(RateLimited) as refusal:
        one.take(0.0)

    assert str(refusal.value) == "Too many requests: retry after 10 seconds (bytes of this workspace)"
    assert (refusal.value.retry_after_seconds, refusal.value.limit) == (10, 1000)
    assert not is_let_in(one, 9.4)
    assert is_let_in(one, 10.0)


def test_requests_over_the_limit_are_refused_in_the_words_clients_know():
    one = ticket(Limit("token", "requests", 1))
    one.take(5.0)
    with pytest.raises(RateLimited) as refusal:
        one.take(5.999)

    assert str(refusal.value) == "Too many requests: retry after 1 seconds"
    assert one.take(6.0) == (1, 0, 1)


def test_who_does_not_listen_hears_of_it_later_each_time():
    one = ticket(Limit("token", "requests", 1))
    one.take(0.0)

    def held(now):
        with pytest.raises(RateLimited) as refusal:
            one.take(now)
        return refusal.value.hold_seconds

    assert [held(0.5) for _ in range(21)] == [0.0] * 20 + [0.1]
    one.take(1.6)
    assert held(1.7) == 0.0


def test_a_rate_below_one_lets_in_one_now_and_then():
    one = ticket(Limit("token", "requests", 0.1))

    assert let_in(one, range(25)) == [0, 10, 20]


def test_who_is_refused_by_one_bucket_takes_from_none():
    room = Buckets()
    both = ticket(Limit("workspace", "requests", 10), Limit("datasource", "requests", 1), room=room)
    assert len(let_in(both, [0.0] * 50)) == 1

    assert ticket(Limit("workspace", "requests", 10), room=room).take(0.0).remaining == 8


def test_the_tightest_limit_of_requests_is_told():
    both = ticket(Limit("workspace", "requests", 10), Limit("token", "requests", 3), Limit("token", "rows", 1))

    assert [both.take(0.0) for _ in range(3)] == [(3, 2, 1), (3, 1, 1), (3, 0, 1)]


def test_two_processes_count_together():
    memory = bytearray(ROOM_BYTES)
    limit = Limit("workspace", "requests", 5)
    one, other = (ticket(limit, room=Buckets(memoryview(memory))) for _ in range(2))

    assert len(let_in(one, [0.0] * 3)) + len(let_in(other, [0.0] * 9)) == 5


def test_what_others_took_between_the_check_and_the_count_stays_counted():
    room, limit = Buckets(), Limit("workspace", "requests", 3)
    one, other = (ticket(limit, room=room) for _ in range(2))
    one.check(0.0)
    let_in(other, [0.0] * 2)
    assert one.count(0.0) == (3, 0, 1)

    assert not is_let_in(other, 0.0)


def test_a_moment_of_another_boot_holds_nobody_up():
    room = Buckets()
    place, _ = room.look(7, 1e6)
    room.put(place, 7, 1e6, 30.0)

    assert room.look(7, 3.0) == (place, 0.0)


def test_who_is_full_makes_room_and_the_others_keep_what_they_owe():
    room, same = Buckets(), [7 + (n << 16) for n in range(8)]  # keys that name the same place

    def put(n, now, owed_seconds):
        place, _ = room.look(same[n], now)
        room.put(place, same[n], now, owed_seconds)

    for n in range(4):
        put(n, 0.0, 1.0 + n)
    assert [room.look(key, 0.5)[1] for key in same] == [0.5, 1.5, 2.5, 3.5, 0.0, 0.0, 0.0, 0.0]
    put(5, 1.0, 9.0)  # in the place of 0, which is full
    put(6, 1.5, 9.0)  # nobody is: 1 is soonest
    assert [room.look(key, 1.5)[1] for key in same] == [0.0, 0.0, 1.5, 2.5, 0.0, 8.5, 9.0, 0.0]


@pytest.mark.parametrize(
    "kind, others", [("workspace", [Sender("b", "1")]), ("token", [Sender("a", "2"), Sender("b", "1")])]
)
def test_workspaces_and_tokens_have_buckets_of_their_own(kind, others):
    made = admission({f"{kind}.requests": 1})
    assert len(let_in(made.ticket(Sender("a", "1")), [0.0] * 3)) == 1

    assert not is_let_in(made.ticket(Sender("a", "1"), "datasource", "x"), 0.0)
    assert all(is_let_in(made.ticket(other), 0.0) for other in others)


def test_things_have_buckets_of_their_own():
    made = admission({"datasource.requests": 1})

    assert [len(let_in(made.ticket(Sender(), "datasource", which), [0.0] * 3)) for which in "xyx"] == [1, 1, 0]
    assert not made.ticket(Sender()).is_limited
    assert not made.ticket(Sender(), "endpoint", "x").is_limited


def test_the_limits_of_a_workspace_go_before_those_of_the_settings():
    made = admission({"token.requests": 3}, overrides={"few": {"token.requests": 1}, "free": {"token.requests": 0}})

    assert [len(let_in(made.ticket(Sender(which)), [0.0] * 9)) for which in ("any", "few", "free")] == [3, 1, 9]


def test_tokens_that_are_not_stored_count_by_their_name_and_bring_a_limit():
    made = admission({"workspace.requests": 100})
    one, same, other = (Sender("w", "", name, 2.0) for name in ("a", "a", "b"))

    assert [len(let_in(made.ticket(who), [0.0] * 9)) for who in (one, same, other)] == [2, 0, 2]
    assert is_let_in(made.ticket(Sender("w", "a")), 0.0)
    assert is_let_in(made.ticket(Sender("v", "", "a", 2.0)), 0.0)
    tighter = admission({"token.requests": 1})
    assert len(let_in(tighter.ticket(one), [0.0] * 9)) == 1


def test_tickets_are_made_anew_when_limits_may_have_changed():
    own = [{}]
    made = Admission({}, Buckets(), SystemClock(), overrides=lambda _: own[0], moment=lambda: own[0])
    assert not made.ticket(Sender()).is_limited
    assert made.ticket(Sender()) is made.ticket(Sender())
    own[0] = {"workspace.requests": 1}

    assert made.ticket(Sender()).is_limited


def test_queries_beyond_the_limit_are_refused_until_one_ends():
    made = admission({}, queries_max=2)
    with made.query("w"), made.query("other"):
        with made.query("w"), pytest.raises(RateLimited, match="queries") as refusal, made.query("w"):
            pass
        with made.query("w"):
            pass

    assert refusal.value.retry_after_seconds == 1
    with pytest.raises(KeyError), made.query("w"):
        raise KeyError
    with made.query("w"), made.query("w"):
        pass


def test_keys_are_the_same_in_every_process_and_apart_for_other_parts():
    assert key_of("workspace", "requests", "w") == 13314347366571903064
    assert len({key_of("a", "b"), key_of("ab"), key_of("a", "b", ""), key_of("b", "a")}) == 4


def test_what_is_given_back_can_be_taken_again_but_never_makes_more_than_full():
    one = ticket(Limit("token", "requests", 3))
    let_in(one, [0.0] * 9)
    one.give_back(0.0)
    assert len(let_in(one, [0.0] * 9)) == 1
    one.give_back(5.0)

    assert len(let_in(one, [5.0] * 9)) == 3
