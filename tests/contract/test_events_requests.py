"""Every way in which clients ask the Events API, and how it answers. Source: events.md §1, §8."""

import gzip
import sys
import zlib
from collections.abc import Iterator

import orjson
import pytest

from tests.support.gateway import Gateway

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EVENT = b'{"id": 1}'


@pytest.fixture(scope="module")
def events(gateway: Gateway) -> str:
    """A data source for requests of which only the answer counts."""
    return gateway.create_datasource("id UInt32 `json:$.id`")


@pytest.fixture
def fresh(gateway: Gateway) -> str:
    """A data source for requests of which the rows count."""
    return gateway.create_datasource("id UInt32 `json:$.id`, text String DEFAULT '-' `json:$.text`")


# The target: events.md §1, §1.1; common.md §1


@pytest.mark.parametrize(
    "path", ["/v0/events", "/v0/events/", "//v0/events", "/v0//events//", "http://127.0.0.1/v0/events"]
)
def test_slashes_too_many_and_whole_urls_are_fine(gateway, events, path):
    assert gateway.request("POST", f"{path}?name={events}", EVENT).counts == (202, 1, 0)


@pytest.mark.parametrize("path", ["/v0/datasources/", "//v0/datasources", "/v0/sql/?q=SELECT+1+FORMAT+JSON"])
def test_slashes_too_many_are_fine_on_every_path(gateway, path):
    assert gateway.request("GET", path).status == 200


@pytest.mark.parametrize(
    "spelling, status",
    [
        *(("wait=" + word, 200) for word in ("true", "True", "TRUE", "1")),
        *(("wait=" + word, 202) for word in ("false", "False", "FALSE", "0")),
        ("", 202),
    ],
)
def test_wait_may_be_spelled_in_any_case_or_as_a_digit(gateway, events, spelling, status):
    answer = gateway.request("POST", f"/v0/events?name={events}&{spelling}", EVENT)

    assert answer.counts == (status, 1, 0)


def test_unknown_parameters_are_ignored(gateway, events):
    unknown = "from=ts-sdk&cli_version=5.0.3&__tb__client=x&__tb__semver=1&__tb__deployment=staging&mode=append&debug=1"

    assert gateway.request("POST", f"/v0/events?{unknown}&name={events}&x=%ff&y=&z", EVENT).counts == (202, 1, 0)


@pytest.mark.parametrize("query", ["name={0}&format=csv", "name=", "", "wait=true"])
def test_parameters_that_make_no_sense_are_400_with_a_sentence(gateway, events, query):
    refused = gateway.request("POST", f"/v0/events?{query.format(events)}", EVENT)

    assert refused.status == 400
    assert " " in refused.error


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_405_and_told_which_are_allowed(gateway, method):
    refused = gateway.request(method, "/v0/events", EVENT)

    assert refused.status == 405
    assert method in refused.error
    assert "POST" in refused.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/v0", "/v0/event", "/v0/events/x", "/v2/events", "/v0/events%00", "/%2e%2e"])
def test_unknown_paths_are_404_in_json(gateway, path):
    refused = gateway.request("POST", path, EVENT)

    assert refused.status == 404
    assert refused.error


@pytest.mark.parametrize("path", ["/v1/deploy", "/v1/build", "/v1/deployments/1/set-live"])
def test_what_the_command_line_asks_of_deployments_is_refused_with_the_way_round(gateway, path):
    refused = gateway.request("POST", path, b"")

    assert refused.status == 404
    assert "Deployments are not served" in refused.error
    assert "tb push" in refused.error


# The headers: events.md §1.2


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-ndjson",
        "application/x-ndjson; charset=utf-8",
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain;charset=UTF-8",
        "multipart/form-data; boundary=x",
        "text/html",
        "no type at all",
        "application/json; charset=utf-16",
        None,
    ],
)
def test_the_content_type_of_events_does_not_matter(gateway, events, content_type):
    headers = {"Content-Type": content_type} if content_type else {}

    assert gateway.post_events(events, b'{"id": 1}\n{"id": 2}', headers).counts == (202, 2, 0)


def test_a_form_is_not_read_as_a_form(gateway, fresh):
    body = b'{"id": 1, "text": "a=b&c=%41+d"}'
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    assert gateway.post_events(fresh, body, headers, wait="true").counts == (200, 1, 0)
    assert gateway.sql(f"SELECT text FROM {fresh}") == [{"text": "a=b&c=%41+d"}]


def test_a_chunked_body_is_taken_wherever_it_was_cut(gateway, fresh):
    def pieces() -> Iterator[bytes]:
        for byte in b'{"id": 1, "text": "\xc3\xa9"}\n{"id": 2}':
            yield bytes([byte])

    answer = gateway.post_events(fresh, pieces(), wait="true")

    assert answer.counts == (200, 2, 0)
    assert gateway.sql(f"SELECT text FROM {fresh} ORDER BY id") == [{"text": "é"}, {"text": "-"}]


LINES = b'{"id": 1}\n{"id": 2}\n'


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "encoding, body",
    [
        ("gzip", gzip.compress(LINES, mtime=0)),
        ("GZip", gzip.compress(LINES, mtime=0)),
        ("x-gzip", gzip.compress(LINES, mtime=0)),
        ("gzip", gzip.compress(LINES[:7], mtime=0) + gzip.compress(LINES[7:], mtime=0)),
        ("gzip", gzip.compress(LINES, mtime=0) + b"\0" * 512),
        ("zstd", zstd.compress(LINES)),
        ("zstd", zstd.compress(LINES[:7]) + zstd.compress(LINES[7:])),
        ("deflate", zlib.compress(LINES)),
        ("deflate", _raw_deflate(LINES)),
        ("identity", LINES),
        ("", LINES),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:4].hex(),
)
def test_a_body_is_decompressed_as_its_content_encoding_says(gateway, events, encoding, body):
    assert gateway.post_events(events, body, {"Content-Encoding": encoding}).counts == (202, 2, 0)


def test_a_compressed_body_larger_than_a_packet_is_decompressed(gateway, fresh):
    rows = [{"id": number, "text": f"{number * 7919 % 10007:x}" * 8} for number in range(20_000)]
    body = gzip.compress(b"\n".join(map(orjson.dumps, rows)))

    assert len(body) > 64 * 1024
    assert gateway.post_events(fresh, body, {"Content-Encoding": "gzip"}, wait="true").counts == (200, 20_000, 0)
    assert gateway.count(fresh) == 20_000


@pytest.mark.parametrize(
    "encoding, body",
    [
        ("br", LINES),
        ("gzip, gzip", gzip.compress(gzip.compress(LINES, mtime=0), mtime=0)),
        ("compress", LINES),
        ("gzip", LINES),
        ("gzip", gzip.compress(LINES, mtime=0)[:-3]),
        ("gzip", gzip.compress(LINES, mtime=0)[:-8] + b"\0" * 8),
        ("gzip", gzip.compress(LINES, mtime=0) + b"rest"),
        ("gzip", b"\x1f\x8b"),
        ("gzip", zstd.compress(LINES)),
        ("zstd", LINES),
        ("zstd", zstd.compress(LINES)[:-3]),
        ("zstd", zstd.compress(LINES) + b"rest"),
        ("zstd", gzip.compress(LINES, mtime=0)),
        ("deflate", LINES),
        ("deflate", zlib.compress(LINES)[:-2]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-6:].hex(),
)
def test_a_body_that_cannot_be_decompressed_is_400_and_nothing_is_kept(gateway, fresh, encoding, body):
    refused = gateway.post_events(fresh, body, {"Content-Encoding": encoding})

    assert refused.status == 400
    assert refused.error
    assert gateway.post_events(fresh, EVENT, wait="true").counts == (200, 1, 0)
    assert gateway.count(fresh) == 1
    assert gateway.count(f"{fresh}_quarantine") == 0


def test_who_waits_to_be_asked_for_the_body_is_asked(gateway, events):
    head = (
        f"POST /v0/events?name={events} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.token}\r\n"
        f"Content-Length: {len(EVENT)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with gateway.connect() as connection, connection.makefile("rb") as answer:
        connection.sendall(head.encode())
        assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert answer.readline() == b"\r\n"
        connection.sendall(EVENT)
        assert answer.readline().startswith(b"HTTP/1.1 202 ")


def test_who_waits_to_be_asked_for_a_body_too_large_is_refused_at_once(gateway, events):
    head = (
        f"POST /v0/events?name={events} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.token}\r\n"
        "Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
    )
    with gateway.connect() as connection, connection.makefile("rb") as answer:
        connection.sendall(head.encode())
        assert answer.readline().startswith(b"HTTP/1.1 413 ")


# The body: events.md §1.3


@pytest.mark.parametrize(
    "body, rows",
    [
        (b'{"id": 1}', 1),
        (b'{"id": 1}\n', 1),
        (b'{"id": 1}\n{"id": 2}', 2),
        (b'{"id": 1}\r\n{"id": 2}\r\n', 2),
        (b'\xef\xbb\xbf{"id": 1}\n{"id": 2}\n', 2),
        (b'\n\n{"id": 1}\n \t\r\n\n{"id": 2}\n\n\n', 2),
        (b' \t{"id": 1} \t\n\t{"id" : 2 }', 2),
    ],
)
def test_lines_end_in_any_way_and_blank_ones_do_not_count(gateway, fresh, body, rows):
    assert gateway.post_events(fresh, body, wait="true").counts == (200, rows, 0)
    assert gateway.sql(f"SELECT id FROM {fresh} ORDER BY id") == [{"id": number + 1} for number in range(rows)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b" \r\n\t\n",
        b"\xef\xbb\xbf",
        b"hello",
        b"3",
        b'"x"',
        b"null",
        b"[]",
        b'[{"id": 1}]',
        b'{\n"id": 1\n}',
        b'{"id": 1',
        b"{'id': 1}",
        b"id,text\n1,a\n",
        b'{"id": 1}{"id": 2}',
        b'{"id": 1},',
        b"\0",
        b'{"id": 1}\0',
        b"\xff\xfe",
    ],
)
def test_a_body_without_one_object_is_400_and_nothing_is_kept(gateway, fresh, body):
    refused = gateway.post_events(fresh, body)

    assert refused.status == 400
    assert refused.error
    assert gateway.post_events(fresh, EVENT, wait="true").counts == (200, 1, 0)
    assert gateway.count(fresh) == 1
    assert gateway.count(f"{fresh}_quarantine") == 0


BAD_LINES = [b"hello", b"3", b'"x"', b"[1]", b'{"id": 2', b'{"id": 2}{"id": 3}', b"null", b'\xff{"id": 2}']


def test_lines_that_are_no_objects_are_kept_in_quarantine_and_the_others_land(gateway, fresh):
    body = b"\n".join([b'{"id": 1}', *BAD_LINES, b'{"id": 9}'])

    answer = gateway.post_events(fresh, body, wait="true")

    assert answer.counts == (200, 2, len(BAD_LINES))
    assert gateway.sql(f"SELECT id FROM {fresh} ORDER BY id") == [{"id": 1}, {"id": 9}]
    kept = gateway.sql(f"SELECT id, text, c__raw, c__error, c__import_id FROM {fresh}_quarantine")
    assert {row["c__raw"] for row in kept} == {line.decode(errors="backslashreplace") for line in BAD_LINES}
    assert all(row["id"] is None and row["text"] is None and row["c__error"][0] for row in kept)
    assert {row["c__import_id"] for row in kept} == {answer.headers["X-Request-Id"]}


def test_half_a_surrogate_pair_is_quarantined_and_does_not_fail_the_request(gateway, fresh):
    line = rb'{"id": 1, "text": "\ud83d"}'

    assert gateway.post_events(fresh, line, wait="true").counts == (200, 0, 1)
    assert gateway.sql(f"SELECT c__raw FROM {fresh}_quarantine") == [{"c__raw": line.decode()}]


@pytest.mark.parametrize(
    "body, ids",
    [
        (b'{"id": 1}', [1]),
        (b'{\n  "id": 1,\n  "text": "a"\n}\n', [1]),
        (b'\xef\xbb\xbf{\r\n "id": 1\r\n}', [1]),
        (b'[{"id": 1}, {"id": 2}]', [1, 2]),
        (b' [\n{\n"id": 1\n},\n{"id": 2}\n]\n', [1, 2]),
    ],
)
def test_with_format_json_the_whole_body_is_an_object_or_an_array_of_them(gateway, fresh, body, ids):
    for spelling in ("json", "JSON"):
        assert gateway.post_events(fresh, body, format=spelling, wait="true").counts == (200, len(ids), 0)
    assert gateway.sql(f"SELECT DISTINCT id FROM {fresh} ORDER BY id") == [{"id": each} for each in ids]


@pytest.mark.parametrize("body", [b"", b"  ", b"3", b'"x"', b"[]", b"[1, 2]", b'{"id": 1}\n{"id": 2}', b"{", b"[{]"])
def test_with_format_json_anything_else_is_400(gateway, events, body):
    refused = gateway.post_events(events, body, format="json")

    assert refused.status == 400
    assert refused.error


def test_ndjson_may_be_named(gateway, events):
    assert gateway.post_events(events, LINES, format="ndjson").counts == (202, 2, 0)


# The clients: events.md §8

OBJECT = b'{"id": 1, "timestamp": "2026-01-05T10:00:00.123Z", "payload": "{\\"a\\": 1}"}'
TWO = OBJECT + b"\n" + OBJECT
PRETTY = b'{\n  "id": 1,\n  "object": "event",\n  "data": {\n    "object": {}\n  }\n}'
FORM, NDJSON, JSON, TEXT = (
    "application/x-www-form-urlencoded",
    "application/x-ndjson",
    "application/json",
    "text/plain;charset=UTF-8",
)
#     client                       query after the name                                token in   type    body   answer
CLIENTS = [
    ("docs-curl",                   "",                                                 "header", FORM,   TWO,    (202, 2)),
    ("docs-fetch",                  "",                                                 "header", TEXT,   TWO,    (202, 2)),
    ("flock.js",                    "",                                                 "query",  JSON,   OBJECT, (202, 1)),
    ("ts-sdk",                      "&wait=true&from=ts-sdk",                           "header", NDJSON, TWO,    (200, 2)),
    ("python-sdk",                  "&wait=true&from=python-sdk",                       "header", NDJSON, TWO,    (200, 2)),
    ("tinybird-python-sdk",         "&mode=append&format=ndjson&wait=false",            "header", NDJSON, TWO,    (202, 2)),
    ("tb-1",                        "",                                                 "header", None,   OBJECT, (202, 1)),
    ("zod-bird",                    "",                                                 "header", JSON,   TWO,    (202, 2)),
    ("zod-bird-wait",               "&wait=true",                                       "header", JSON,   TWO,    (200, 2)),
    ("go-tinybird",                 "",                                                 "header", None,   TWO,    (202, 2)),
    ("php-sdk-json",                "&format=json",                                     "header", JSON,   PRETTY, (202, 1)),
    ("otel-exporter",               "&wait=false",                                      "header", NDJSON, TWO,    (202, 2)),
    ("vector",                      "",                                                 "header", NDJSON, TWO + b"\n", (202, 2)),
    ("mockingbird",                 "&from=mockingbird",                                "header", TEXT,   TWO,    (202, 2)),
    ("pytest-tinybird",             "",                                                 "query",  None,   TWO,    (202, 2)),
    ("openstatus",                  "",                                                 "header", None,   OBJECT + b"\n", (202, 1)),
    ("webhook-stripe",              "&format=json",                                     "query",  JSON,   PRETTY, (202, 1)),
    ("webhook-github",              "",                                                 "query",  JSON,   OBJECT, (202, 1)),
    ("auth0-log-stream",            "",                                                 "query",  JSON,   TWO,    (202, 2)),
    ("vercel-log-drain",            "&x-vercel-verify=abc",                             "header", NDJSON, TWO,    (202, 2)),
]  # fmt: skip


@pytest.mark.parametrize(
    "query, token_in, content_type, body, expected", [row[1:] for row in CLIENTS], ids=[row[0] for row in CLIENTS]
)
def test_every_known_client_is_served(gateway, events, query, token_in, content_type, body, expected):
    target = f"/v0/events?name={events}{query}"
    if token_in == "query":
        target += f"&token={gateway.token}"

    answer = gateway.request(
        "POST",
        target,
        body,
        {"Content-Type": content_type} if content_type else {},
        token=None if token_in == "header" else "",
    )

    assert answer.counts == (*expected, 0)


# Vercel asks whether the URL is ours: events.md §1.1, §8


def test_the_verification_of_vercel_is_echoed_with_events(gateway, events):
    answer = gateway.request("POST", f"/v0/events?name={events}&x-vercel-verify=a1b2", EVENT)

    assert answer.counts == (202, 1, 0)
    assert answer.headers["x-vercel-verify"] == "a1b2"


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"")])
def test_the_verification_of_vercel_is_answered_200_without_events(gateway, events, method, body):
    answer = gateway.request(method, f"/v0/events?name={events}&x-vercel-verify=a1b2", body)

    assert (answer.status, answer.json) == (200, {})
    assert answer.headers["x-vercel-verify"] == "a1b2"


@pytest.mark.parametrize("text", ["a%0d%0aSet-Cookie:%20a=b", "a%0a", "%00", "%e2%82%ac"])
def test_a_verification_that_is_no_header_is_400_and_nothing_is_kept(gateway, fresh, text):
    refused = gateway.request("POST", f"/v0/events?name={fresh}&x-vercel-verify={text}", EVENT)

    assert refused.status == 400
    assert "x-vercel-verify" in refused.error
    assert "Set-Cookie" not in refused.headers
    assert gateway.post_events(fresh, EVENT, wait="true").counts == (200, 1, 0)
    assert gateway.count(fresh) == 1
