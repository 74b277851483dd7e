"""Large pieces of work are done in their order, so many bytes of them in a turn of the loop."""

import asyncio

import pytest

from gateway.core.turns import Turns


async def turn_of_the_loop() -> None:
    await asyncio.sleep(0)


async def test_what_fits_is_done_at_once_and_the_rest_in_the_next_turns_in_order():
    turns, done = Turns(100), []
    for number in range(7):
        turns.run(40, lambda number=number: done.append(number))

    assert done == [0, 1, 2]
    await turn_of_the_loop()
    assert done == [0, 1, 2, 3, 4, 5]
    await turn_of_the_loop()
    assert done == list(range(7))


async def test_who_comes_later_does_not_overtake():
    turns, done = Turns(100), []
    turns.run(200, lambda: done.append("large"))
    turns.run(200, lambda: turns.run(1, lambda: done.append("asked while it was done")))
    turns.run(1, lambda: done.append("small"))

    while len(done) < 3:
        await turn_of_the_loop()
    assert done == ["large", "small", "asked while it was done"]


async def test_who_gave_up_waiting_is_passed_over():
    turns = Turns(100)
    _, gone, here = (asyncio.create_task(turns.wait(100)) for _ in range(3))
    await turn_of_the_loop()
    gone.cancel()

    async with asyncio.timeout(30):
        await here
    assert gone.cancelled()


async def test_one_that_fails_does_not_stop_the_others():
    turns, done = Turns(100), []
    turns.run(100, lambda: None)
    turns.run(100, lambda: 1 / 0)
    turns.run(100, lambda: done.append(1))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)

    while not done:
        await turn_of_the_loop()
    assert done == [1]
    with pytest.raises(ZeroDivisionError):
        Turns(100).run(1, lambda: 1 / 0)
