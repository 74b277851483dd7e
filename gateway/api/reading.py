"""Reading: how every answer to a query is sent, counted and recorded; for the Query API and endpoints alike."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp.web import Response, StreamResponse

from gateway.catalog import Pipe
from gateway.control.reading import Ask, Prepared
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.query.service import OUTPUT_SETTINGS, Answer, Summary
from gateway.telemetry import tally
from gateway.telemetry.reads import QUERY_API, Read, ReadsLog
from gateway.web.asked import Asked
from gateway.web.errors import status_of
from gateway.web.request import Request

ENDPOINT: Final = "sql"
"""What limits of endpoints call the Query API; no pipe has such an id."""

_CLIENT_GONE: Final = 499
_OK: Final = 200
_FAILED: Final = 500

Run = Callable[[], Awaitable[tuple[Answer, Prepared]]]


@dataclass(frozen=True, slots=True)
class Reads:
    """Sends answers, and says in the log who got them."""

    log: ReadsLog
    clock: Clock
    label: Callable[[Pipe], str]
    """What metrics call a pipe."""

    async def answer(
        self, request: Request, run: Run, params: Mapping[str, Any], pipe: Pipe | None = None
    ) -> StreamResponse:
        """Return the answer of `run`; its query ends if the client goes away.

        Args:
            request: to be answered.
            run: begins the answer.
            params: that templates see.
            pipe: whose endpoint it is; None for the Query API.

        Raises:
            GatewayError: it failed, or too many are under way or came before it.
            ConnectionError: the client did not wait.
        """
        at, started = self.clock.now(), self.clock.monotonic()
        status, error, summary, is_recorded = _FAILED, "", Summary(), True
        try:
            with request.while_there(), request.querying(pipe.id if pipe else ENDPOINT):
                answer, prepared = await run()
                # A workspace that watches itself would see nothing else (query.md §4).
                is_recorded = pipe is not None or not prepared.fenced.reads_only_service
                summary = answer.summary
                if request.trace is not None:
                    request.trace.note("sluice.pipe", self.label(pipe) if pipe is not None else QUERY_API)
                    request.trace.note("sluice.result_rows", summary.result_rows)
                request.charge(summary.result_rows, len(answer.body or b""))
                async with answer:
                    response = await _send(request, answer)
        except GatewayError as failed:
            status, error = status_of(failed), str(failed)
            raise
        except ConnectionError as failed:
            status, error = _CLIENT_GONE, str(failed) or "The client went away"
            raise
        except Exception:
            error = "Internal error"
            raise
        else:
            status = _OK
            return response
        finally:
            seconds = self.clock.monotonic() - started
            if pipe is not None:
                tally.endpoint_done(self.label(pipe), seconds, status)
            if is_recorded:
                self.log.record(_entry(request, pipe, params, at, seconds, status, error, summary))


def ask_of(request: Request, found: Asked, output_format: str) -> Ask:
    """Return what the use case is asked.

    Raises:
        InvalidRequest: a setting of the output is neither on nor off.
    """
    output = {name: int(found.flag(name)) for name in OUTPUT_SETTINGS if found.text(name)}
    return Ask(request.who, found.params, output, output_format, request.id)


async def _send(request: Request, answer: Answer) -> StreamResponse:
    if answer.body is not None:
        return Response(body=answer.body, headers={"Content-Type": answer.content_type})
    return await request.stream(StreamResponse(headers={"Content-Type": answer.content_type}), answer.chunks())


def _entry(
    request: Request,
    pipe: Pipe | None,
    params: Mapping[str, Any],
    at: float,
    seconds: float,
    status: int,
    error: str,
    summary: Summary,
) -> Read:
    raw = request.raw
    return Read(
        workspace_id=request.who.workspace_id,
        pipe_id=pipe.id if pipe else QUERY_API,
        pipe_name=pipe.name if pipe else QUERY_API,
        token_id=request.who.token_id,
        token_name=request.who.token_name,
        at=at,
        seconds=seconds,
        status=status,
        error=error,
        request_id=request.id,
        method=raw.method,
        url=raw._message.path,  # noqa: SLF001  as the front reads it
        parameters={name: _text(value) for name, value in params.items()},
        user_agent=raw.headers.get("User-Agent", ""),
        client_ip=request.client_ip,
        rows_read=summary.rows_read,
        bytes_read=summary.bytes_read,
        result_rows=summary.result_rows,
        memory_bytes=summary.memory_bytes,
        tags=tuple(pipe.tags) if pipe else (),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
