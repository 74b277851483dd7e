"""Which requests are traced, and what becomes of spans that nobody takes."""

import asyncio
import gc

import pyarrow as pa
import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from gateway.buffer.batch import Batch, Commit
from gateway.buffer.layout import Layout
from gateway.core.clock import SystemClock
from gateway.telemetry import metrics, otel, tracing
from gateway.telemetry.tracing import Parent, Sampler, parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "text, is_sampled",
    [
        (GIVEN, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-more-to-come", True),
        (f"cc-{TRACE}-{SPAN}-00", False),
    ],
)
def test_what_a_client_says_is_read(text, is_sampled):
    assert parse(text) == Parent(int(TRACE, 16), int(SPAN, 16), is_sampled)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "x", GIVEN[:-1], GIVEN + "0", f"{GIVEN}-more", f"ff-{TRACE}-{SPAN}-01", GIVEN.upper()),
        *(f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-0x", "-" * 55),
        *(f"00-{TRACE}{SPAN}--01" + " " * 4, f"00-{TRACE[:-1]}-{SPAN}0-01", "é" * 55),
    ],
)
def test_what_cannot_be_read_is_as_if_it_was_not_there(text):
    assert parse(text) is None
    assert Sampler(1, lambda: 0.5).decide(text) == (True, None)


@pytest.mark.parametrize(
    "one_in, chance, is_traced", [(1, 0.999, True), (10, 0.09, True), (10, 0.1, False), (0, 0.0, False)]
)
def test_of_requests_that_say_nothing_one_of_so_many_is_traced(one_in, chance, is_traced):
    assert Sampler(one_in, lambda: chance).decide(None) == (is_traced, None)


def test_a_client_decides_for_itself():
    assert Sampler(0, lambda: 0.5).decide(GIVEN)[0]
    assert not Sampler(1, lambda: 0.5).decide(f"00-{TRACE}-{SPAN}-00")[0]


def test_outside_of_a_traced_request_nothing_begins():
    assert tracing.begin("query") is None
    assert tracing.headers() == {}


def test_a_batch_that_waits_long_keeps_no_more_traces_than_its_span_names_and_everybody_who_waits():
    batch = Batch(Layout.of("t_1", False, pa.schema([("n", pa.int64())])), 0.0, 0)
    for _ in range(1000):
        batch.watch(Commit(None, object()))
    waiting = Commit(object())
    batch.watch(waiting)

    assert len(batch.commits) == tracing.LINKS_MAX + 1
    assert batch.commits[-1] is waiting


@pytest.fixture
def spans():
    metrics.start()
    yield lambda outcome: metrics.spans.labels(outcome)._value.get()
    metrics.start()


def tracer(one_in=1):
    return otel.OtelTracer(Sampler(one_in, lambda: 0.0), "http://127.0.0.1:9/v1/traces", {}, SystemClock())


def test_spans_beyond_the_queue_are_dropped_and_counted_and_cost_no_more_memory(spans):
    found = tracer()
    begun = [found.request(None) for _ in range(3)]
    for _ in range(otel.SPANS_MAX - 1):
        found.request(None).asked("POST", "/v0/events", 202, "1")
    for each in begun:  # two too many
        each.asked("POST", "/v0/events", 202, "1")

    assert found.request(None) is None
    assert len(found._queue.spans) == otel.SPANS_MAX
    assert spans("dropped") == 3


@pytest.mark.parametrize("is_taken", [True, False])
async def test_what_a_collector_takes_is_counted_and_what_not_as_well(spans, is_taken):
    found = tracer()
    for _ in range(600):
        found.request(None).asked("POST", "/v0/events", 202, "1")
    result = SpanExportResult.SUCCESS if is_taken else SpanExportResult.FAILURE
    found._exporter.export = lambda batch: result

    await found.drain(5)

    assert (spans("sent"), spans("dropped")) == ((600, 0) if is_taken else (0, 512))


async def test_a_stop_does_not_wait_for_a_collector_that_hangs(spans):
    found = tracer()
    found.request(None).asked("POST", "/v0/events", 202, "1")
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    hung = asyncio.run_coroutine_threadsafe
    found._exporter.export = lambda batch: hung(gate.wait(), loop).result() and SpanExportResult.SUCCESS

    await found.drain(0.05)

    gate.set()
    gc.collect()
