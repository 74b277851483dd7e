"""Reading from a real engine: answers, what they took, cancelling; and the fence of settings alone, the parser's off."""

import asyncio
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import pytest

from gateway.clickhouse.client import ClientOptions
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.reader import HttpReader
from gateway.query.fence import FencedQuery
from gateway.query.service import QueryLimits, QueryService, Wanted, settings_of
from gateway.schema.names import quote_string
from tests.support.engine import engine_process
from tests.support.query import _CORPUS, ATTACKS, CANARY, OPEN

IDS = count()
ROOT = Path(__file__).parents[2]
SLOW = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))"
LIMITS = QueryLimits(seconds_max=5, memory_bytes_max=500_000_000, result_bytes_max=1_000_000)


def unfenced(sql):
    """A text as the fence would hand it on, but as it is."""
    return FencedQuery(sql, None, {}, (), {})


SETTINGS = settings_of(unfenced(""), Wanted("TabSeparated", {}), LIMITS)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("reader")) as found:
        yield found


@pytest.fixture
async def reader(engine):
    found = HttpReader(ClientOptions(engine.url, engine.user, engine.password))
    yield found
    await found.aclose()


async def text_of(reader, sql, bound=None, **settings):
    reply = await reader.read(sql, {**SETTINGS, **settings}, bound or {}, f"q{next(IDS)}")
    async with reply:
        return (await reply.whole()).decode(errors="replace")


async def test_an_answer_comes_with_what_it_took(reader):
    reply = await reader.read("SELECT number FROM numbers(1000) LIMIT 3", SETTINGS, {}, "q1")
    async with reply:
        assert await reply.whole() == b"0\n1\n2\n"
    assert (reply.size, reply.summary.result_rows) == (6, 3)


@pytest.mark.parametrize(
    "value", ["", "plain", "tab\tnew\nline\rnull\0", "back\\slash \\N", "quo'te\"`", "ü€😀", "x" * 100_000]
)
async def test_a_bound_value_arrives_as_it_is_and_not_in_the_url(reader, value):
    sql = "SELECT {_bound1: String} = unhex({_bound2: String}), length({_bound1: String})"

    found = await text_of(reader, sql, {"_bound1": value, "_bound2": value.encode().hex()})

    assert found == f"1\t{len(value.encode())}\n"


async def test_a_refusal_is_the_engine_s_sentence_and_code(reader):
    with pytest.raises(ServerError) as caught:
        await text_of(reader, "SELECT nothing")

    assert (caught.value.code, "DB::Exception" in str(caught.value)) == (47, False)


async def test_a_reader_that_is_left_alone_is_not_there(engine):
    reader = HttpReader(ClientOptions("http://127.0.0.1:1", connect_seconds_max=1))

    with pytest.raises(ServerError) as caught:
        await text_of(reader, "SELECT 1")
    assert caught.value.code is None
    await reader.aclose()


async def running(reader):
    found = await text_of(
        reader,
        "SELECT count() FROM system.processes WHERE query LIKE '%1000000000000%' AND query NOT LIKE '%processes%'",
    )
    return int(found)


async def test_to_stop_waiting_is_to_end_the_query(reader):
    """Its time would be 60 seconds; it is gone from the engine's list as soon as nobody waits for it."""
    waiting = asyncio.create_task(text_of(reader, SLOW, max_execution_time=60))
    async with asyncio.timeout(30):
        while not await running(reader):
            pass
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(30):
        while await running(reader):
            pass


async def test_to_leave_an_answer_early_is_to_end_it_too(reader):
    fenced = unfenced("SELECT number, repeat('x', 100) FROM numbers(500000)")
    answer = await QueryService(reader).run(fenced, Wanted("CSV", {}), QueryLimits(), "q2")
    async with answer:
        assert answer.body is None
        assert await anext(answer.chunks())
    assert await text_of(reader, "SELECT 1") == "1\n"


# ---- the fence of settings, alone: what no parser has looked at is sent as it is ----


@pytest.fixture(scope="module")
def tables(engine):
    connection = HTTPConnection(engine.host, engine.port)
    for statement in (_CORPUS / "corpus_tables.sql").read_text().split(";\n"):
        if statement.strip():
            connection.request("POST", "/", statement.encode(), engine.auth)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
    connection.close()


CHANGES = [
    "INSERT INTO plain.events SELECT * FROM plain.events",
    "CREATE TABLE plain.mine (x UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE mine (x UInt8)",
    "DROP TABLE plain.events",
    "DROP DATABASE plain",
    "TRUNCATE TABLE plain.events",
    "ALTER TABLE plain.events DELETE WHERE 1",
    "OPTIMIZE TABLE plain.events FINAL",
    "RENAME TABLE plain.events TO plain.mine",
    "SYSTEM SHUTDOWN",
    "SYSTEM DROP MARK CACHE",
    "KILL QUERY WHERE 1",
    "CREATE USER mine",
    "GRANT ALL ON *.* TO default",
    "SET max_execution_time = 0",
    "SET readonly = 0",
    "SELECT 1; DROP TABLE plain.events",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "INSERT INTO FUNCTION file('x.csv', 'CSV', 'a UInt8') SELECT 1",
    "CREATE FUNCTION mine AS x -> x",
    "ATTACH TABLE plain.mine",
    "EXCHANGE TABLES plain.events AND plain.users",
    "BACKUP TABLE plain.events TO File('x')",
]


@pytest.mark.parametrize("statement", CHANGES)
async def test_nothing_can_be_changed_whatever_is_sent(reader, tables, statement):
    with pytest.raises(ServerError):
        await text_of(reader, statement)

    assert int(await text_of(reader, "SELECT count() FROM plain.events")) > 0


LIFTED = [
    "max_execution_time",
    "max_memory_usage",
    "max_result_bytes",
    "readonly",
    "max_threads",
    "allow_ddl",
    "result_overflow_mode",
]


@pytest.mark.parametrize("name", LIFTED)
async def test_no_limit_can_be_lifted_inside_the_query(reader, name):
    """At its end SETTINGS is refused; inside it has no effect."""
    value = "'break'" if name == "result_overflow_mode" else 1 if name == "allow_ddl" else 0
    inside = f"SELECT toString(getSetting('{name}')) AS v"

    with pytest.raises(ServerError) as caught:
        await text_of(reader, f"{inside} SETTINGS {name} = {value}")
    assert caught.value.code in {164, 392, 452}
    in_force = await text_of(reader, inside)
    for sql in ("SELECT * FROM ({})", "WITH x AS ({}) SELECT * FROM x", "SELECT ({})"):
        assert await text_of(reader, sql.format(f"{inside} SETTINGS {name} = {value}")) == in_force


async def test_time_memory_and_result_are_bounded_by_the_settings_alone(reader):
    for sql, code, settings in (
        (SLOW, 159, {"max_execution_time": 0.3}),
        ("SELECT groupArray(number) FROM numbers(1000000000)", 241, {"max_memory_usage": 20_000_000}),
        ("SELECT repeat('x', 1000) FROM numbers(20000)", 396, {}),
        ("SELECT count() FROM numbers(1000000000)", 158, {"max_rows_to_read": 1000, "read_overflow_mode": "throw"}),
    ):
        with pytest.raises(ServerError) as caught:
            await text_of(reader, sql, **settings)
        assert caught.value.code == code, sql


async def test_no_attack_of_the_corpus_changes_anything_with_the_parser_s_fence_off(reader, tables, tmp_path):
    """What reads other tables and files is for the two other fences: the parser's, and the user of a server."""
    before = await text_of(
        reader,
        "SELECT database, name, total_rows FROM system.tables WHERE database IN ('plain', 'phys', 'default') ORDER BY ALL",
    )
    for attack in ATTACKS:
        try:
            file, out = str(tmp_path / "file"), str(tmp_path / "out")
            await text_of(
                reader, attack.replace("SECRETFILE", file).replace("OUTFILE'", f"{out}'"), max_execution_time=1
            )
        except ServerError:
            continue
    after = await text_of(
        reader,
        "SELECT database, name, total_rows FROM system.tables WHERE database IN ('plain', 'phys', 'default') ORDER BY ALL",
    )

    assert before == after
    assert not (tmp_path / "out").exists()
    assert before
    assert CANARY


async def test_the_restricted_user_is_made_by_statements_the_engine_reads_and_may_select_only(reader):
    text = "\n".join(
        line
        for line in (ROOT / "deploy" / "clickhouse" / "reader.sql").read_text().splitlines()
        if not line.startswith("--")
    )
    statements = [each.strip() for each in text.split(";") if each.strip()]

    for statement in statements:
        await text_of(reader, f"SELECT formatQuery({quote_string(statement)})")
    grants = [each for each in statements if each.startswith("GRANT")]
    assert len(grants) == 5
    assert all(each.startswith("GRANT SELECT ON ") and "GRANT OPTION" not in each for each in grants)
    assert not any("ON *.*" in each for each in grants)
    granted = {each.split(" ON ")[1].split(" TO ")[0] for each in grants}
    assert granted == {"`ws_*`.*", *OPEN}


def test_another_user_takes_the_place_of_the_one_in_the_url():
    options = ClientOptions("http://writer:w%40@db:8123/").as_user("reader", "r:@")

    assert options.url == "http://db:8123/"
    assert options.credentials() == {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "r:@"}
