"""OTel: spans on their way to a collector, over OTLP/HTTP. The only door to OpenTelemetry, and loaded only on demand.

Spans that have ended wait in a queue of `SPANS_MAX`, from which a task sends them. A collector that is slow or gone
costs spans, which are counted, and nothing else: no request waits for it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from gateway import __version__
from gateway.core.clock import Clock
from gateway.telemetry import metrics
from gateway.telemetry.logs import get_logger
from gateway.telemetry.tracing import LINKS_MAX, Parent, Sampler, Trace

_logger = get_logger(__name__)

SPANS_MAX: Final = 4096
"""That wait to be sent; a span takes some 2 kB."""

_AT_ONCE: Final = 512
_SEND_SECONDS: Final = 1.0
_TIMEOUT_SECONDS: Final = 5.0  # of all attempts to send some
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class OtelTracer:
    """Satisfies `tracing.Tracer`."""

    def __init__(self, sampler: Sampler, endpoint: str, who: dict[str, str], clock: Clock) -> None:
        """Send to `endpoint`, the whole URL, in the name of `who`: attributes of the resource."""
        self._sampler = sampler
        self._clock = clock
        self._queue = _Queue()
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_SECONDS)
        resource = Resource.create({"service.name": "sluice", "service.version": __version__, **who})
        provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._queue)
        self._tracer = provider.get_tracer("sluice", __version__)
        # What it says of a collector that is away, at each attempt, is one line of ours.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def request(self, traceparent: str | None) -> Trace | None:
        """See `tracing.Tracer`."""
        is_traced, parent = self._sampler.decide(traceparent)
        if not is_traced:
            return None
        if self._queue.is_full:  # clients decide how many are traced, and not what that may cost
            metrics.spans.labels("dropped").inc()
            return None
        return self._begin("request", SpanKind.SERVER, parent)

    def insert(self, requests: Sequence[Trace]) -> Trace:
        """See `tracing.Tracer`."""
        spans = [each.context for each in requests[:LINKS_MAX] if isinstance(each, _Trace)]
        above = set_span_in_context(NonRecordingSpan(spans[0]))
        return self._wrap(
            self._tracer.start_span(
                "insert", above, SpanKind.CLIENT, links=[Link(each) for each in spans], start_time=self._now()
            )
        )

    async def run(self) -> None:
        """Send what has ended, until cancelled."""
        was_away = False
        while True:
            await self._clock.sleep(_SEND_SECONDS)
            is_away = not await self._send()
            if is_away and not was_away:
                _logger.warning("traces.not_sent", advice="is the collector there? see traces_endpoint")
            was_away = is_away

    async def drain(self, seconds: float) -> None:
        """Send what is left, for `seconds` at most."""
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._send()
        except TimeoutError:
            _logger.warning("traces.not_sent", spans=len(self._queue.spans))

    async def _send(self) -> bool:
        """Send all that has ended; return whether the collector took it."""
        while self._queue.spans:
            spans = [self._queue.spans.popleft() for _ in range(min(_AT_ONCE, len(self._queue.spans)))]
            try:
                is_taken = await asyncio.to_thread(self._exporter.export, spans) is SpanExportResult.SUCCESS
            except Exception as error:  # noqa: BLE001  whatever it is, events are taken without it
                _logger.debug("traces.failed", reason=str(error))
                is_taken = False
            metrics.spans.labels("sent" if is_taken else "dropped").inc(len(spans))
            if not is_taken:
                return False
        return True

    def _begin(self, name: str, kind: SpanKind, parent: Parent | None) -> "_Trace":
        context = None
        if parent is not None:
            remote = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=_SAMPLED)
            context = set_span_in_context(NonRecordingSpan(remote))
        return self._wrap(self._tracer.start_span(name, context, kind, start_time=self._now()))

    def _wrap(self, span: object) -> "_Trace":
        assert isinstance(span, Span)
        return _Trace(span, self)

    def below(self, context: SpanContext, name: str) -> "_Trace":
        """Begin a span below another."""
        above = set_span_in_context(NonRecordingSpan(context))
        return self._wrap(self._tracer.start_span(name, above, SpanKind.CLIENT, start_time=self._now()))

    def now(self) -> int:
        """Return the time in nanoseconds."""
        return int(self._clock.now() * 1e9)

    _now = now


class _Trace:
    """Satisfies `tracing.Trace`."""

    __slots__ = ("_span", "_tracer", "context")

    def __init__(self, span: Span, tracer: OtelTracer) -> None:
        self._span = span
        self._tracer = tracer
        self.context = span.get_span_context()

    @property
    def traceparent(self) -> str:
        return f"00-{self.context.trace_id:032x}-{self.context.span_id:016x}-01"

    def note(self, name: str, value: str | float) -> None:
        self._span.set_attribute(name, value)

    def asked(self, method: str, route: str, status: int, request_id: str) -> None:
        self._span.update_name(f"{method} {route}")
        self._span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "sluice.request_id": request_id,
            }
        )
        self.end(f"answered {status}" if status >= 500 else "")

    def child(self, name: str) -> Trace:
        return self._tracer.below(self.context, name)

    def end(self, error: str = "") -> None:
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end(self._tracer.now())


class _Queue(SpanProcessor):
    """Keeps the spans that have ended, as many as there is room for."""

    def __init__(self) -> None:
        self.spans: deque[ReadableSpan] = deque()

    @property
    def is_full(self) -> bool:
        return len(self.spans) >= SPANS_MAX

    def on_end(self, span: ReadableSpan) -> None:
        if self.is_full:
            metrics.spans.labels("dropped").inc()
        else:
            self.spans.append(span)
