"""Whatever fails and whenever the process dies: what was answered for lands exactly once, in the order it came."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.buffer.options import BufferFull
from tests.support.clickhouse import FakeClickHouse
from tests.support.lane import CLOCK, emptied, options, rows, running

NAMES = ["t_a", "t_b", "t_c"]

appends = st.tuples(st.just("append"), st.sampled_from(NAMES), st.integers(1, 120))
pauses = st.tuples(st.just("pause"), st.sampled_from([0.0, 0.003, 0.02]))
failures = st.tuples(st.just("answers"), st.lists(st.sampled_from(["ok", "down", "lost", "busy"]), max_size=4))
crashes = st.tuples(st.just("crash"))
outages = st.tuples(st.just("outage"), st.booleans())
poisons = st.tuples(st.just("poison"), st.sampled_from(NAMES), st.integers(1, 60))
programs = st.lists(st.one_of(appends, appends, pauses, failures, crashes, outages, poisons), min_size=3, max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(program=programs, memory=st.sampled_from([6_000, 200_000]))
def test_what_was_answered_lands_exactly_once(program, memory):
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_run(Path(directory), program, memory))


async def _run(directory, program, memory):
    clickhouse = FakeClickHouse()
    answered: dict[str, list[int]] = {name: [] for name in NAMES}
    attempted: set[int] = set()
    poisoned: set[int] = set()
    limits = options(memory_bytes_max=memory)
    lives = _split(program)
    next_id = 0
    for index, life in enumerate(lives):
        async with running(directory, clickhouse, limits) as buffer:
            for step in life:
                if step[0] in ("append", "poison"):
                    ids = list(range(next_id, next_id + step[2]))
                    next_id += step[2]
                    attempted.update(ids)
                    if step[0] == "poison":
                        poisoned.add(ids[len(ids) // 2])
                        clickhouse.refused_values.add(ids[len(ids) // 2])
                    try:
                        await buffer.append([rows(step[1], ids)])
                    except BufferFull:
                        continue
                    answered[step[1]] += ids
                elif step[0] == "pause":
                    await CLOCK.sleep(step[1])
                elif step[0] == "answers":
                    # Each makes the next attempt wait longer; more in a row would be a test of patience.
                    clickhouse.answers.extend(step[1][: max(0, 5 - len(clickhouse.answers))])
                elif step[0] == "outage":
                    clickhouse.is_down = step[1]
            if index == len(lives) - 1:
                clickhouse.is_down = False
                await emptied(buffer)
                assert not buffer.pending_rows
                assert buffer.memory_bytes == 0
    for name in NAMES:
        stored = [row[0] for row in clickhouse.tables.get((name, False), [])]
        quarantined = [int(row[1]) for row in clickhouse.tables.get((name, True), [])]
        assert stored == [each for each in answered[name] if each not in poisoned]
        assert sorted(quarantined) == [each for each in answered[name] if each in poisoned]


def _split(program):
    lives: list[list] = [[]]
    for step in program:
        if step[0] == "crash":
            lives.append([])
        else:
            lives[-1].append(step)
    return lives
