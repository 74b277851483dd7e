"""Bodies that are fitted while they arrive: all of a body is kept, or nothing. Source: events.md §1.3."""

import gzip
import sys
from collections.abc import Iterator

import pytest

from tests.support.gateway import BODY_BYTES_MAX, Gateway

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROWS = 20_000
SCHEMA = "id UInt32 `json:$.id`, text String `json:$.text`"
LINES = [b'{"id": %d, "text": "%s \xc3\xa9 %d"}' % (n, b"x" * (n % 100), n * 7919 % 10007) for n in range(ROWS)]
BODY = b"\n".join(LINES)


@pytest.fixture
def fresh(gateway: Gateway) -> str:
    return gateway.create_datasource(SCHEMA)


def assert_nothing_is_kept(gateway: Gateway, name: str) -> None:
    """What was sent before is not there when what is sent now is."""
    assert gateway.post_events(name, b'{"id": 1, "text": ""}', wait="true").counts == (200, 1, 0)
    assert gateway.count(name) == 1
    assert gateway.count(f"{name}_quarantine") == 0


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize(
    "body, headers",
    [
        (BODY, {}),
        (BODY.replace(b"\n", b"\r\n\r\n") + b"\r\n", {}),
        (pieces(BODY, 70_001), {}),
        (gzip.compress(BODY, 1, mtime=0), {"Content-Encoding": "gzip"}),
        (pieces(zstd.compress(BODY[:1_000_001]) + zstd.compress(BODY[1_000_001:]), 997), {"Content-Encoding": "zstd"}),
    ],
    ids=["whole", "windows", "chunked", "gzip", "zstd, chunked"],
)
def test_every_row_lands_once_with_the_values_sent(gateway, fresh, body, headers):
    assert gateway.post_events(fresh, body, headers, wait="true").counts == (200, ROWS, 0)
    expected = "concat(repeat('x', id % 100), ' é ', toString(id * 7919 % 10007))"
    found = gateway.sql(
        f"SELECT count() AS rows, uniqExact(id) AS ids, countIf(text != {expected}) AS bad FROM {fresh}"
    )
    assert found == [{"rows": ROWS, "ids": ROWS, "bad": 0}]


def test_bad_lines_anywhere_are_quarantined_and_the_others_land(gateway, fresh):
    lines = list(LINES)
    for at in (0, 1, 9_999, ROWS - 1):
        lines[at] = b'{"id": -1, "text": "bad"}'
    lines[5_000] = b"no json"
    lines[12_000] = b'{"id": 12000, "text": "%s"}' % (b"y" * 600_000)

    assert gateway.post_events(fresh, b"\n".join(lines), wait="true").counts == (200, ROWS - 5, 5)
    assert gateway.count(fresh) == ROWS - 5
    assert gateway.sql(f"SELECT max(length(text)) AS longest FROM {fresh}") == [{"longest": 600_000}]


@pytest.mark.parametrize(
    "body, headers",
    [
        (gzip.compress(BODY, mtime=0)[:-3], {"Content-Encoding": "gzip"}),
        (gzip.compress(BODY, mtime=0)[:-6] + b"\0" * 6, {"Content-Encoding": "gzip"}),
        (zstd.compress(BODY)[:-3], {"Content-Encoding": "zstd"}),
        (zstd.compress(BODY) + b"rest", {"Content-Encoding": "zstd"}),
        (b"no json\n" * 50_000, {}),
        (b"\n" * 400_000, {}),
    ],
    ids=["gzip cut", "gzip sum", "zstd cut", "zstd rest", "no object", "blank"],
)
def test_a_body_that_turns_out_bad_at_its_end_is_400_and_nothing_is_kept(gateway, fresh, body, headers):
    refused = gateway.post_events(fresh, body, headers)

    assert refused.status == 400
    assert refused.error
    assert_nothing_is_kept(gateway, fresh)


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_a_body_that_turns_out_too_large_is_413_and_nothing_is_kept(gateway, fresh, encoding):
    large = BODY + b"\n" + b" " * 100 * 1024 * 1024 if encoding else BODY * (BODY_BYTES_MAX // len(BODY) + 2)
    sent = {
        "": lambda: pieces(large, 1 << 20),
        "gzip": lambda: gzip.compress(large, 1),
        "zstd": lambda: zstd.compress(large),
    }

    assert gateway.post_events(fresh, sent[encoding](), {"Content-Encoding": encoding}).status == 413
    assert_nothing_is_kept(gateway, fresh)


def test_a_client_that_goes_away_in_the_middle_leaves_nothing_behind(gateway, fresh):
    head = (
        f"POST /v0/events?name={fresh} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.token}\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    )
    for at in (300_000, len(BODY) - 1):
        with gateway.connect() as connection:
            connection.sendall(head.encode() + BODY[:at])

    assert_nothing_is_kept(gateway, fresh)
