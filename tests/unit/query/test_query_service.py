"""The service: what the engine is told, and what the caller hears when it refuses."""

import asyncio

import pytest

from gateway.clickhouse.errors import ServerError
from gateway.core.errors import InvalidRequest, Timeout, Unavailable
from gateway.query.fence import fence
from gateway.query.resolved import Inlined, Resolved
from gateway.query.service import QueryLimits, QueryService, Summary, Wanted


class Reply:
    """An answer in pieces; of more than one, the size is not told."""

    def __init__(self, engine, chunks):
        self.engine, self.pieces = engine, chunks
        self.summary = Summary(rows_read=1)
        self.size = len(chunks[0]) if len(chunks) == 1 else None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        self.engine.closed = True

    async def whole(self):
        return b"".join(self.pieces)

    async def chunks(self):
        for piece in self.pieces:
            yield piece
        if self.engine.late:
            raise self.engine.late


class Engine:
    """Answers with what it is given, and keeps what it was asked."""

    def __init__(self, *chunks: bytes, error: Exception | None = None, late: Exception | None = None) -> None:
        self.chunks, self.error, self.late = chunks or (b"",), error, late
        self.sql, self.settings, self.closed = "", dict[str, str | int](), False

    async def read(self, sql, settings, bound, query_id):
        self.sql, self.settings, self.bound = sql, dict(settings), bound
        if self.error:
            raise self.error
        return Reply(self, self.chunks)


def resolve(name):
    return Resolved("ws_0123456789ab", "t_1") if name == "events" else None


async def run(engine, sql, limits=QueryLimits(), inlined=None, bound=None, **output):  # noqa: B008  frozen
    fenced = fence(sql, inlined or resolve, bound)
    return await QueryService(engine).run(fenced, Wanted("TabSeparated", output), limits, "q")


async def body(answer) -> bytes:
    async with answer:
        return b"".join([chunk async for chunk in answer.chunks()])


async def test_the_answer_is_what_the_engine_sends():
    engine = Engine(b"1\n", b"2\n")

    answer = await run(engine, "SELECT 1 FORMAT CSV")

    assert (await body(answer), answer.content_type) == (b"1\n2\n", "text/csv; charset=utf-8")
    assert engine.sql == "SELECT 1\nFORMAT CSV"
    assert engine.closed


async def test_an_empty_answer_is_an_answer():
    answer = await run(Engine(), "SELECT 1")

    assert (await body(answer), answer.content_type) == (b"", "text/tab-separated-values; charset=utf-8")


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


async def test_an_answer_that_breaks_off_says_so():
    answer = await run(Engine(b"1", b"2", late=ServerError("broken", None)), "SELECT 1")

    with pytest.raises(Unavailable):
        await body(answer)


async def test_a_refusal_says_nothing_of_what_the_caller_did_not_write():
    def inlined(name):
        return Inlined(name, name, "SELECT {pw:String} AS x FROM events", resolve, {"pw": "s3cret"})

    text = "Unknown identifier `x`. In scope SELECT x FROM (SELECT 'hidden'). Maybe you meant: ['y']. (UNKNOWN)"
    with pytest.raises(InvalidRequest) as caught:
        await run(Engine(error=ServerError(text, 47)), "SELECT x FROM top", inlined=inlined)
    assert str(caught.value) == "[Error] Unknown identifier `x`. Maybe you meant: ['y']. (UNKNOWN)"

    with pytest.raises(InvalidRequest) as caught:
        await run(
            Engine(error=ServerError("Cannot parse 's3cret' as UInt8 (CANNOT_PARSE_TEXT)", 6)),
            "SELECT x FROM top",
            inlined=inlined,
        )
    assert "s3cret" not in str(caught.value)


async def test_a_workspace_may_have_limits_of_its_own():
    own = {"query.milliseconds": 1500, "query.rows_read": 7, "query.threads": 3, "something.else": 1}
    engine = Engine()

    await run(engine, "SELECT 1", QueryLimits().of(own))

    told = {"max_execution_time": "1.5", "max_rows_to_read": 7, "read_overflow_mode": "throw", "max_threads": 3}
    assert told.items() <= engine.settings.items()
    assert QueryLimits().of({}) == QueryLimits()


def test_before_the_limits_of_a_workspace_go_those_of_the_token():
    own = {"query.rows_read": 7, "query.threads": 3, "query.rows_read@one": 9, "query.memory_bytes@other": 1}

    one, other = (QueryLimits().of(own, token) for token in ("one", "another"))

    assert (one.rows_read_max, one.threads_max, one.memory_bytes_max) == (9, 3, QueryLimits().memory_bytes_max)
    assert (other.rows_read_max, other.threads_max) == (7, 3)


async def test_nothing_is_asked_of_the_engine_that_the_fence_refused():
    engine = Engine()

    with pytest.raises(InvalidRequest):
        await run(engine, "SELECT file('x')")

    assert engine.sql == ""


async def test_who_waits_for_a_call_that_the_engine_cannot_end_is_answered_after_its_time():
    class Stuck:
        """Runs one function over one value for as long as it takes; it hears of nothing."""

        gone = False

        async def read(self, sql, settings, bound, query_id):
            try:
                await asyncio.Event().wait()
            finally:
                self.gone = True

    engine = Stuck()
    fenced = fence("SELECT range(1) SETTINGS max_execution_time = 1000", resolve)
    limits = QueryLimits(seconds_max=0.01)

    with pytest.raises(Timeout, match=r"Timeout exceeded: elapsed 0\.02 seconds, maximum: 0\.01 seconds"):
        await QueryService(engine, overrun_seconds=0.01).run(fenced, Wanted("CSV", {}), limits, "q")
    assert engine.gone
