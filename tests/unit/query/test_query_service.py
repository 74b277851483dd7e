"""The service: what the engine is told, and what the caller hears when it refuses."""

from collections.abc import AsyncIterator, Mapping

import pytest

from gateway.clickhouse.errors import ServerError
from gateway.core.errors import InvalidRequest, Timeout, Unavailable
from gateway.query.resolved import Resolved
from gateway.query.service import QueryLimits, QueryService


class Engine:
    """Answers with what it is given, and keeps what it was asked."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self.chunks, self.error = chunks, error
        self.sql, self.settings, self.closed = "", dict[str, str | int](), False

    async def stream(self, sql: str, settings: Mapping[str, str | int], query_id: str) -> AsyncIterator[bytes]:
        self.sql, self.settings = sql, dict(settings)
        try:
            for chunk in self.chunks:
                yield chunk
            if self.error:
                raise self.error
        finally:
            self.closed = True


def resolve(name):
    return Resolved("ws_0123456789ab", "t_1") if name == "events" else None


async def run(engine, sql, limits=QueryLimits(), **output):  # noqa: B008  frozen
    return await QueryService(engine, limits).run(sql, resolve, output, query_id="q", default_format="TabSeparated")


async def body(answer) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks])


async def test_the_answer_is_what_the_engine_sends():
    engine = Engine(b"1\n", b"2\n")

    answer = await run(engine, "SELECT 1 FORMAT CSV")

    assert (await body(answer), answer.content_type) == (b"1\n2\n", "text/csv; charset=utf-8")
    assert engine.sql == "SELECT 1\nFORMAT CSV"
    assert engine.closed


async def test_an_empty_answer_is_an_answer():
    answer = await run(Engine(), "SELECT 1")

    assert (await body(answer), answer.content_type) == (b"", "text/tab-separated-values; charset=utf-8")


async def test_a_long_query_is_fenced_too():
    engine = Engine()

    await run(engine, "SELECT " + ", ".join(["events.x"] * 2000) + " FROM events")

    assert "`ws_0123456789ab`.`t_1`" in engine.sql
    with pytest.raises(InvalidRequest):
        await run(engine, "SELECT " + ", ".join(["x"] * 2000) + " FROM other")


async def test_the_engine_is_told_to_read_only_and_how_much():
    engine = Engine()

    await run(engine, "SELECT 1", QueryLimits(seconds_max=3, memory_bytes_max=10, threads_max=2, result_bytes_max=50))

    told = {"readonly": 1, "allow_ddl": 0, "max_execution_time": "3", "max_memory_usage": 10, "max_threads": 2}
    assert told.items() <= engine.settings.items()
    assert engine.settings["max_result_bytes"] == 50


async def test_a_query_may_ask_for_less_and_not_for_more():
    engine = Engine()

    await run(
        engine,
        "SELECT 1 SETTINGS max_threads = 1, max_execution_time = 3600",
        QueryLimits(threads_max=4, seconds_max=10),
    )

    assert (engine.settings["max_threads"], engine.settings["max_execution_time"]) == (1, "10")


async def test_integers_are_numbers_unless_asked_otherwise():
    engine = Engine()

    await run(engine, "SELECT 1")
    assert engine.settings["output_format_json_quote_64bit_integers"] == 0
    await run(engine, "SELECT 1", output_format_json_quote_64bit_integers=1)
    assert engine.settings["output_format_json_quote_64bit_integers"] == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (159, Timeout),
        (160, Timeout),
        (241, InvalidRequest),
        (396, InvalidRequest),
        (47, InvalidRequest),
        (202, Unavailable),
        (None, Unavailable),
    ],
)
async def test_each_refusal_of_the_engine_has_its_family(code, kind):
    with pytest.raises(kind):
        await run(Engine(error=ServerError("what happened", code)), "SELECT 1")


async def test_a_refusal_speaks_of_the_user_s_own_names():
    text = "Unknown identifier `x`. In scope SELECT x FROM ws_0123456789ab.t_1 AS events JOIN _cte1_c AS c"
    engine = Engine(error=ServerError(text, 47))

    with pytest.raises(InvalidRequest) as caught:
        await run(engine, "WITH c AS (SELECT 1) SELECT x FROM events JOIN c ON 1")

    assert str(caught.value) == "[Error] Unknown identifier `x`. In scope SELECT x FROM events AS events JOIN c AS c"


async def test_nothing_is_asked_of_the_engine_that_the_fence_refused():
    engine = Engine()

    with pytest.raises(InvalidRequest):
        await run(engine, "SELECT file('x')")

    assert engine.sql == ""
