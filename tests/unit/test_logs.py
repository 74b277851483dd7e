"""Logs: one line an event, every logger the same way, and no secret in any field."""

import io
import logging
import warnings

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.logs import HIDDEN, LoggingOptions, Redactor, configure, get_logger

TOKEN = "p.eyJ1IjogIjEyMyIsICJpZCI6ICI0NTYifQ.8F1x_-sIgNaTuRe"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27"


@pytest.fixture
def restored():
    """Give the test the process's logging, and put back what was there."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def lines(restored):
    """Configure JSON logs, and return a function that reads what was written since."""
    stream = io.StringIO()
    configure(LoggingOptions(bound={"role": "worker", "worker": 3}, secrets=("hunter2secret",)), stream)

    def read():
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [orjson.loads(line) for line in text.splitlines()]

    return read


def test_the_migration_tool_says_no_more_than_its_warnings(lines):
    logging.getLogger("alembic.runtime.migration").info("Will assume non-transactional DDL.")
    logging.getLogger("alembic.runtime.migration").warning("something")

    assert [line["event"] for line in lines()] == ["something"]


def test_an_event_is_one_line_of_json_with_its_fields(lines):
    get_logger("flush").warning("flush.retried", datasource="ws.events", attempt=3)

    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "flush.retried",
        "level": "warning",
        "role": "worker",
        "worker": 3,
        "datasource": "ws.events",
        "attempt": 3,
    }


def test_what_is_bound_to_the_request_is_in_its_lines(lines):
    structlog.contextvars.bind_contextvars(request_id="01HZY")

    get_logger("api").info("api.answered")

    assert lines()[0]["request_id"] == "01HZY"


def test_the_standard_librarys_records_take_the_same_way(lines):
    logging.getLogger("aiohttp.server").error("failed for %s", f"/v0/sql?token={TOKEN}", extra={"peer": "127.0.0.1"})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn_explicit("old", UserWarning, "f.py", 1)

    first, second = lines()
    assert (first["event"], first["peer"], first["worker"]) == (f"failed for /v0/sql?token={HIDDEN}", "127.0.0.1", 3)
    assert second["level"] == "warning"


def test_what_is_below_the_level_is_not_written(lines):
    get_logger("flush").debug("flush.idle")

    assert lines() == []


def test_a_traceback_is_written_without_its_secrets(lines):
    try:
        raise ValueError(f"bad Authorization: Bearer {TOKEN} and hunter2secret")
    except ValueError:
        get_logger("api").exception("api.failed")

    text = lines()[0]["exception"]
    assert "ValueError: bad" in text
    assert "eyJ1" not in text
    assert "hunter2" not in text


def test_a_value_json_does_not_know_is_written_all_the_same(lines):
    get_logger("api").info("api.odd", number=2**70, half="\ud800", thing=object, when=ValueError("x"))

    assert "api.odd" in lines()[0]["event"]


def test_text_for_people_has_no_secrets_either(restored):
    stream = io.StringIO()
    configure(LoggingOptions(format="text"), stream)

    try:
        raise ValueError(f"token={TOKEN}")
    except ValueError:
        get_logger("api").exception("api.failed", url=f"http://u:pw1234@h/?token={TOKEN}")

    assert "api.failed" in stream.getvalue()
    assert "eyJ1" not in stream.getvalue()
    assert "pw1234" not in stream.getvalue()


@pytest.mark.parametrize(
    "text, redacted",
    [
        (f"asked with {TOKEN}.", f"asked with {HIDDEN}."),
        ("p.xxx.yyy", HIDDEN),
        (f"jwt {JWT}", f"jwt {HIDDEN}"),
        ("GET /v0/events?name=a&token=abc123&wait=true", f"GET /v0/events?name=a&token={HIDDEN}&wait=true"),
        ("next=%2Fv0%2Fsql%3Ftoken%3Dabc123", f"next=%2Fv0%2Fsql%3Ftoken%3D{HIDDEN}"),
        (f"q%3D{TOKEN}", f"q%3D{HIDDEN}"),
        (f"q=SELECT%20%27{TOKEN}%27", f"q=SELECT%20%27{HIDDEN}%27"),
        (f"q=SELECT+%27{JWT}%27", f"q=SELECT+%27{HIDDEN}%27"),
        (f"next=%253D{TOKEN}", f"next=%253D{HIDDEN}"),
        ("Authorization: Bearer abc.def", f"Authorization: {HIDDEN}"),
        ("{'Authorization': 'Bearer abc'}", f"{{'Authorization': {HIDDEN}}}"),
        ("sent bearer abc-def==", f"sent bearer {HIDDEN}"),
        ("X-ClickHouse-Key: abc", f"X-ClickHouse-Key: {HIDDEN}"),
        ("http://default:s3cr3t@host:8123/?x=1", f"http://default:{HIDDEN}@host:8123/?x=1"),
        ("postgresql+asyncpg://u:p@ss:w@db/sluice", f"postgresql+asyncpg://u:{HIDDEN}@db/sluice"),
        ('{"admin_token": "abc def", "n": 1}', f'{{"admin_token": {HIDDEN}, "n": 1}}'),
        ("Options(user='u', password='ab cd')", f"Options(user='u', password={HIDDEN})"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text, redacted):
    assert Redactor().text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "insert_deduplication_token=01HZY",
        "the token: it has expired",
        "http://127.0.0.1:7181/v0/sql",
        "gateway.wal.segment",
        "http.client.x",
        "2026-01-02T03:04:05Z",
    ],
)
def test_what_only_resembles_a_secret_is_left(text):
    assert Redactor().text(text) == text


@given(
    st.recursive(
        st.sampled_from([TOKEN, TOKEN.encode(), ValueError(TOKEN), f"x={TOKEN}&y", "known-by-heart"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner)
            | st.dictionaries(st.sampled_from(["a", "url", "known-by-heart"]), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_no_secret_leaves_however_deep_it_lies(value):
    event = Redactor(("known-by-heart",))(None, "", {"event": "x", "field": value})

    written = orjson.dumps(event)
    assert b"eyJ1" not in written
    assert b"SIgNaTuRe" not in written
    assert b"known-by-heart" not in written


@pytest.mark.parametrize("name", ["token", "Authorization", "password", "admin_token"])
def test_a_field_named_for_a_secret_is_hidden_whole(name):
    assert Redactor()(None, "", {name: "anything"}) == {name: HIDDEN}
