"""Rows: a job as a row of the database, and a row as a job. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.core import ids
from gateway.core.errors import Internal
from gateway.jobs.models import Job, NewJob, Status

# A checkpoint is written at every step: what grows with the file belongs into a file.
_JSON_BYTES_MAX: Final = 4 * 1024 * 1024
ERRORS_MAX: Final = 100
SENTENCE_CHARS_MAX: Final = 4000


def job_of(row: Any) -> Job:
    """Return the job in a row of `tables.jobs`."""
    return Job(
        id=row.id,
        workspace_id=row.workspace_id,
        kind=row.kind,
        status=Status(row.status),
        token_id=row.token_id,
        request_id=row.request_id,
        datasource_id=row.datasource_id,
        datasource_name=row.datasource_name,
        pipe_id=row.pipe_id,
        pipe_name=row.pipe_name,
        spec=orjson.loads(row.spec),
        state=orjson.loads(row.state),
        shown=orjson.loads(row.shown),
        progress=row.progress,
        error=row.error,
        errors=tuple(orjson.loads(row.errors)),
        place=row.place,
        attempts=row.attempts,
        failures=row.failures,
        created_at=row.created_at,
        started_at=row.started_at,
        updated_at=row.updated_at,
        lease=row.lease,
    )


def row_of_new(job: NewJob, now: float) -> dict[str, Any]:
    """Return the columns of a job that waits, but for `due_at`.

    Raises:
        Internal: its mappings are not JSON, or too large.
    """
    shown = json(job.shown)
    now = round(now, 6)  # as it is shown, so that what is shown can be asked for
    return {
        "id": job.id or ids.new_uuid(),
        "workspace_id": job.workspace_id,
        "kind": job.kind,
        "status": Status.WAITING,
        "token_id": job.token_id,
        "request_id": job.request_id,
        "datasource_id": job.datasource_id,
        "datasource_name": job.datasource_name,
        "pipe_id": job.pipe_id,
        "pipe_name": job.pipe_name,
        "spec": json(job.spec),
        "state": "{}",
        "shown": shown,
        "shown_first": shown,
        "progress": 0.0,
        "error": "",
        "errors": "[]",
        "place": job.place,
        "attempts": 0,
        "failures": 0,
        "lease": "",
        "created_at": now,
        "started_at": None,
        "updated_at": now,
    }


def json(value: Mapping[str, Any] | tuple[str, ...]) -> str:
    r"""Return `value` as JSON text that both databases can keep: a NUL in a string is `\u0000` in JSON.

    Raises:
        Internal: it is not JSON, or too large.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise Internal(f"The record of a job is not JSON: {error}") from error
    if len(text) > _JSON_BYTES_MAX:
        raise Internal(f"The record of a job has {len(text)} bytes, more than {_JSON_BYTES_MAX}")
    return text.decode()


def sentence(text: str) -> str:
    """Return `text` as both databases can keep it, and as short as a sentence is."""
    kept = text.replace("\0", "�").encode("utf-8", "replace").decode()
    return kept if len(kept) <= SENTENCE_CHARS_MAX else kept[: SENTENCE_CHARS_MAX - 1] + "…"
