"""Tracing: whether requests of this process are traced, and where their spans go."""

import socket
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.config import Settings, WorkerIdentity
from gateway.core.clock import Clock
from gateway.telemetry.tracing import Sampler

if TYPE_CHECKING:
    from gateway.telemetry.otel import OtelTracer


def tracer(settings: Settings, identity: WorkerIdentity, clock: Clock) -> "OtelTracer | None":
    """Return what makes spans and sends them; None if nothing is traced, and then nothing of it is loaded."""
    endpoint = settings.traces_endpoint
    if not endpoint:
        return None
    if urlsplit(endpoint).path in {"", "/"}:
        endpoint = f"{endpoint.rstrip('/')}/v1/traces"
    who = {"service.instance.id": f"{socket.gethostname()}:{settings.port}/{identity.name}"}
    sampler = Sampler(settings.traces_one_in, Random().random)  # noqa: S311  no secret
    otel = import_module("gateway.telemetry.otel")
    made: OtelTracer = otel.OtelTracer(sampler, endpoint, who, clock)
    return made
