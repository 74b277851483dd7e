"""Workload: the rows, the table they go to, and whole HTTP requests made of them before any clock starts.

A row is one line of exactly 190 bytes with 8 columns, like an event of a web shop. Values are drawn from a seeded
generator, so two runs send the same bytes.
"""

import gzip
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROW_BYTES = 190
SORTING_KEY = "event, ts"
SCHEMA = (
    "id UInt64 `json:$.id`, ts DateTime64(3) `json:$.ts`, user String `json:$.user`, "
    "event LowCardinality(String) `json:$.event`, path String `json:$.path`, "
    "duration_ms UInt32 `json:$.duration_ms`, price Float64 `json:$.price`, is_new Bool `json:$.is_new`"
)

_EVENTS = ("page_view", "click", "add_to_cart", "purchase", "search", "login")
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

# How a plain client would insert the same lines. `async_insert=0`: answered means stored. The bodies repeat, so the
# table must not take them for the same insert sent again. ISO 8601 with a zone needs best_effort.
DIRECT = {"async_insert": 0, "deduplicate_insert": "disable", "date_time_input_format": "best_effort"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: path and query, and the headers that let them in."""

    path: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def events(cls, token: str, name: str, **params: str) -> "Target":
        """The Events API of a gateway."""
        return cls(f"/v0/events?{urlencode({'name': name, **params})}", (("Authorization", f"Bearer {token}"),))

    @classmethod
    def direct(cls, auth: dict[str, str], table: str, settings: dict[str, str | int] = DIRECT) -> "Target":
        """An INSERT of NDJSON into `table`, straight at the engine."""
        query = urlencode({"query": f"INSERT INTO {table} FORMAT JSONEachRow", **settings})
        return cls(f"/?{query}", tuple(auth.items()))


@dataclass(frozen=True, slots=True)
class Requests:
    """A file of whole requests, to be sent in turn, and how many rows each holds."""

    path: Path
    rows: int
    body_bytes: int  # of one body as sent, on average


def row(number: int, chance: random.Random) -> bytes:
    """Return one line, newline included, of `ROW_BYTES` bytes."""
    moment = _BEGIN + timedelta(milliseconds=number * 7 + chance.randrange(1000))
    head = (
        f'{{"id":{10**15 + number},"ts":"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",'
        f'"user":"user-{chance.randrange(10**6):08d}","event":"{chance.choice(_EVENTS)}",'
        f'"duration_ms":{chance.randrange(20_000)},"price":{chance.randrange(10**6) / 100},'
        f'"is_new":{chance.choice(("true", "false"))},"path":"/shop/category-{chance.randrange(100):02d}/'
    )
    padding = ROW_BYTES - len(head) - 3
    return f'{head}{chance.randrange(10**padding):0{padding}d}"}}\n'.encode()


def bodies(rows: int, count: int, seed: int = 1) -> list[bytes]:
    """Return `count` different bodies of `rows` lines."""
    chance = random.Random(seed)
    return [b"".join(row(at * rows + n, chance) for n in range(rows)) for at in range(count)]


def body_count(rows: int) -> int:
    """Return how many different bodies of so many rows are worth having: about 10 000 rows of them."""
    return max(4, min(256, 10_000 // rows))


def wide_schema(columns: int) -> str:
    """Return the schema of a table of `columns` columns of mixed types."""
    kinds = ("Int64", "Float64", "String", "LowCardinality(String)", "UInt8")
    return ", ".join(f"c{n} {kinds[n % len(kinds)]} `json:$.c{n}`" for n in range(columns))


def wide_bodies(columns: int, rows: int, count: int, seed: int = 1) -> list[bytes]:
    """Return bodies for the table of `wide_schema(columns)`."""
    chance = random.Random(seed)

    def value(n: int) -> str:
        number = chance.randrange(10**6)
        return (str(number), str(number / 8), f'"text-{number}"', f'"{number % 50}"', str(number % 200))[n % 5]

    def line() -> str:
        return "{" + ",".join(f'"c{n}":{value(n)}' for n in range(columns)) + "}\n"

    return ["".join(line() for _ in range(rows)).encode() for _ in range(count)]


def compressed(plain: Iterable[bytes], encoding: str) -> list[bytes]:
    """Return `plain` bodies as a client with default settings would compress them."""
    if encoding == "gzip":
        return [gzip.compress(body, 6, mtime=0) for body in plain]
    return [zstd.compress(body, 3) for body in plain]


def write_requests(
    path: Path, targets: Sequence[Target], bodies: Sequence[bytes], rows: int, encoding: str = ""
) -> Requests:
    """Write the requests of `bodies` to `targets` in turn as `path`: for each, its length on a line, then its bytes."""
    extra = f"Content-Encoding: {encoding}\r\n" if encoding else ""
    with path.open("wb") as file:
        for number in range(max(len(bodies), len(targets))):
            target, body = targets[number % len(targets)], bodies[number % len(bodies)]
            headers = "".join(f"{name}: {value}\r\n" for name, value in target.headers)
            head = (
                f"POST {target.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}{extra}Content-Length: {len(body)}\r\n\r\n"
            )
            request = head.encode() + body
            file.write(b"%d\n" % len(request))
            file.write(request)
    return Requests(path, rows, sum(map(len, bodies)) // len(bodies))
