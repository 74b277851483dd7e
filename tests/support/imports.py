"""Imports over HTTP, as clients do them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import Answer, Gateway, with_query
from tests.support.waiting import until

SECONDS_MAX = 60.0
SCHEMA = "id UInt32 `json:$.id`, name String `json:$.name`"

Form = list[tuple[str, str, bytes]]


def ended(gateway: Gateway, job_id: str) -> dict[str, Any]:
    """Ask for a job until it has ended; return it."""
    return until(
        lambda: gateway.get(f"/v0/jobs/{job_id}", debug="blocks,block_log").json,
        lambda job: job["status"] in {"done", "error", "cancelled"},
        seconds_max=SECONDS_MAX,
    )


def send(
    gateway: Gateway,
    body: Any,
    *,
    content_type: str = "",
    token: str | None = None,
    encoding: str = "",
    **params: str,
) -> Answer:
    """POST /v0/datasources with a raw body."""
    headers = {"Content-Type": content_type} if content_type else {}
    headers |= {"Content-Encoding": encoding} if encoding else {}
    return gateway.request("POST", with_query("/v0/datasources", params), body, headers, token=token)


def send_parts(gateway: Gateway, parts: Form, **params: str) -> Answer:
    """The same as a multipart form: name, file name ("" for a plain field) and content of each part."""
    body = bytearray()
    for name, file_name, content in parts:
        file = f'; filename="{file_name}"' if file_name else ""
        body += f'--cut\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"
    body += b"--cut--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    return gateway.request("POST", with_query("/v0/datasources", params), bytes(body), headers)


def rows(gateway: Gateway, name: str) -> list[tuple[Any, ...]]:
    """Everything in a data source, in order."""
    return sorted(tuple(row.values()) for row in gateway.sql(f"SELECT * FROM {name}"))


@pytest.fixture(scope="module", name="fetching")
def fetching_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of its own, which may fetch from this machine."""
    gateway = Gateway(tmp_path_factory.mktemp("fetching"), "--outbound-allow", "127.0.0.1", "--workers", "1")
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.end()
