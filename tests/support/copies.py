"""Copies for tests: made and run as clients do it."""

from typing import Any

from sqlalchemy import update

from gateway.catalog import CatalogStore
from gateway.catalog.tables import schedules
from tests.support.gateway import Gateway
from tests.support.pipes import make_pipe

NODE = "copied"


def make_copy(gateway: Gateway, sql: str, target: str, **params: str) -> str:
    """Make a pipe of one node that is copied to `target`; return its name."""
    pipe = make_pipe(gateway, (NODE, sql))
    answer = set_copy(gateway, pipe, target_datasource=target, **params)
    assert answer.status == 200, answer.text
    return pipe


def set_copy(gateway: Gateway, pipe: str, *, method: str = "POST", node: str = NODE, **params: str) -> Any:
    path = f"/v0/pipes/{pipe}/nodes/{node}/copy"
    body = "&".join(f"{name}={value}" for name, value in params.items())
    return gateway.request(method, path, body.encode(), {"Content-Type": "application/x-www-form-urlencoded"})


def run_copy(gateway: Gateway, pipe: str, **params: str) -> dict[str, Any]:
    """Run a copy; return its job as it is at the end."""
    answer = gateway.post(f"/v0/pipes/{pipe}/copy", **params)
    assert answer.status == 200, answer.text
    return gateway.await_job(answer.json["job"]["job_id"])


def make_due(gateway: Gateway, pipe: str, at: float) -> None:
    """Set the moment at which the schedule of a pipe is due, as if it had been that all along."""
    found = gateway.get(f"/v0/pipes/{pipe}").json["id"]

    async def move(store: CatalogStore, _: str) -> int:
        moved = update(schedules).where(schedules.c.pipe_id == found).values(next_at=at).returning(schedules.c.pipe_id)
        async with store.database.writing_uncounted() as transaction:
            return len(await transaction.all(moved))

    assert gateway.in_catalog(move) == 1


def jobs_of(gateway: Gateway, pipe: str) -> list[dict[str, Any]]:
    """The runs of a pipe, newest first."""
    found: list[dict[str, Any]] = gateway.get("/v0/jobs", kind="copy", pipe_name=pipe).json["jobs"]
    return found
