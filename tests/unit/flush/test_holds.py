"""A hold stops inserts while it stands, and by nobody's clock but the inserter's for longer than its limit."""

import asyncio

from gateway.clickhouse.holds import HOLD_SECONDS_MAX, Holds


class Clock:
    def __init__(self, each=lambda: None):
        self.moment = 1000.0
        self._each = each

    def monotonic(self):
        return self.moment

    def now(self):
        return self.moment

    async def sleep(self, seconds):
        self.moment += seconds
        self._each()


def test_nobody_waits_where_nobody_holds():
    clock = Clock()
    asyncio.run(Holds(lambda _: "", clock).wait("t_1"))
    assert clock.moment == 1000.0


def test_an_insert_goes_on_as_soon_as_the_hold_is_off():
    texts = {"t_1": "a"}
    clock = Clock(lambda: texts.clear() if clock.moment > 1002 else None)
    asyncio.run(Holds(lambda which: texts.get(which, ""), clock).wait("t_1"))
    assert 1002 < clock.moment < 1002.2


def test_a_hold_whose_owner_died_ends_and_a_new_one_counts_anew():
    texts = {"t_1": "a"}
    clock = Clock()
    holds = Holds(lambda which: texts.get(which, ""), clock)

    asyncio.run(holds.wait("t_1"))
    after_first = clock.moment
    asyncio.run(holds.wait("t_1"))
    again = clock.moment
    texts["t_1"] = "b"
    asyncio.run(holds.wait("t_1"))

    assert HOLD_SECONDS_MAX <= after_first - 1000 < HOLD_SECONDS_MAX + 1
    assert again == after_first
    assert HOLD_SECONDS_MAX <= clock.moment - again < HOLD_SECONDS_MAX + 1
