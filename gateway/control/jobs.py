"""Jobs: shown, cancelled, tried again; and a job as the API shows it. Source: Tinybird docs, "Jobs API"."""

from datetime import UTC, datetime
from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.control.describe import wire_time
from gateway.core.errors import Forbidden, NotFound
from gateway.jobs import Filters, Job, JobStore, Status

# Long ones: they are in the answer about one job, as far as it is asked for them, and never in the list.
_BLOCKS: Final = "blocks"
_BLOCK_LOG: Final = "block_log"
# Why a job does not get further just now; of no use when it does, or has ended.
_NOTE: Final = "note"


class JobControl:
    """See the module. One per worker."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    async def list(self, principal: Principal, filters: Filters) -> list[Job]:
        """Return the jobs of the workspace that this principal may see, newest first."""
        token_id = None if _sees_all(principal) else principal.token_id
        return await self._store.list(principal.workspace_id, filters, token_id=token_id)

    async def detail(self, principal: Principal, job_id: str) -> Job:
        """Return a job.

        Raises:
            NotFound: there is none of that id, or it is too long ago.
            Forbidden: another token started it, and this one may not create data sources.
        """
        job = await self._store.get(principal.workspace_id, job_id)
        if job is None:
            raise NotFound(f'Job "{job_id}" does not exist, or ended more than 48 hours ago')
        if not _sees_all(principal) and job.token_id != principal.token_id:
            raise Forbidden(
                "The token may not see this job: use the one that started it, or one with the scope "
                "DATASOURCES:CREATE or ADMIN"
            )
        return job

    async def cancel(self, principal: Principal, job_id: str) -> Job:
        """Ask for a job to end, and return it as it is then.

        Raises:
            NotFound, Forbidden: see `detail`.
            Conflict: it has ended, or can not be stopped any more.
        """
        await self.detail(principal, job_id)
        return await self._store.cancel(principal.workspace_id, job_id)

    async def retry(self, principal: Principal, job_id: str, request_id: str) -> Job:
        """Have an import that failed or was cancelled done again, and return the new job.

        Raises:
            NotFound, Forbidden: see `detail`.
            Conflict: it is not such a job, or what it read is gone.
        """
        await self.detail(principal, job_id)
        return await self._store.retry(
            principal.workspace_id, job_id, token_id=principal.token_id, request_id=request_id
        )


def list_item(job: Job, base_url: str) -> dict[str, Any]:
    """Return a job as the list shows it; `base_url` is scheme and host as the client reached us."""
    extra = {name: value for name, value in job.shown.items() if name not in _NOT_FROM_SHOWN}
    if job.status.is_end or not extra.get(_NOTE):
        extra.pop(_NOTE, None)
    shown = {
        **extra,
        "id": job.id,
        "job_id": job.id,
        "kind": job.kind,
        "status": job.status.value,
        "created_at": wire_time(job.created_at),
        "started_at": None if job.started_at is None else wire_time(job.started_at),
        "updated_at": wire_time(job.updated_at),
        "is_cancellable": job.is_cancellable,
        "job_url": f"{base_url}/v0/jobs/{job.id}",
        "progress_percentage": round(job.progress, 2),
    }
    if job.kind == "import":
        shown = {"import_id": job.id, "quarantine_rows": 0, "invalid_lines": 0} | shown
    if job.datasource_id:
        more = job.shown.get("datasource")
        shown["datasource"] = {
            **(more if isinstance(more, dict) else {}),
            "id": job.datasource_id,
            "name": job.datasource_name,
        }
    if job.pipe_id:
        shown |= {"pipe_id": job.pipe_id, "pipe_name": job.pipe_name}
    if job.status is Status.ERROR:  # clients take any text here for a failure
        shown |= {"error": job.error, "errors": list(job.errors)}
    return shown


def detail(job: Job, base_url: str, debug: str = "") -> dict[str, Any]:
    """Return a job as its own page shows it; `debug` names what else is wanted: `blocks`, `block_log`.

    `blocks` of an import are always in it: clients ask again without `debug` to print a failure.
    """
    wanted = {word.strip() for word in debug.split(",")}
    shown = list_item(job, base_url)
    if _BLOCKS in wanted or job.kind == "import":
        shown[_BLOCKS] = job.shown.get(_BLOCKS) or []
    if _BLOCK_LOG in wanted:
        shown[_BLOCK_LOG] = job.shown.get(_BLOCK_LOG) or []
    return shown


_NOT_FROM_SHOWN: Final = frozenset({_BLOCKS, _BLOCK_LOG, "error", "errors"})


def moment(text: str) -> float:
    """Return the Unix time of an ISO 8601 moment; UTC if it names no zone.

    Raises:
        ValueError: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:  # a `+` that was not escaped in the URL is a space
        found = datetime.fromisoformat("+".join(text.rsplit(" ", 1)))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _sees_all(principal: Principal) -> bool:
    return principal.allows(Action.DATASOURCE_CREATE)
