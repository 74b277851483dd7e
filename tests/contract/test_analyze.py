"""Analyze API: what a file would be as a data source. Source: analyze.md; item numbers are those of its checklist."""

import gzip
import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd

from tests.support.gateway import Gateway, with_query

MIB = 1024 * 1024
EXAMPLE = b"""
{"id": 1, "tags": ["a","b"], "who": {"name": "Ada", "langs": [1,2]}, "at": "2026-01-05 10:00:00"}
{"id": 2, "tags": ["c"], "who": {"name": "Bob", "langs": []}, "at": "2026-01-05 10:00:01"}
{"id": 300, "tags": [], "who": {"name": "Eve"}, "at": "2026-01-05 10:00:02", "score": 0.5}
"""
CSV = b"id,name,score,at\n" + b"".join(
    b'%d,"one, %d",%s,2026-01-05 10:00:%02d\n' % (n, n, b"" if n % 7 == 0 else b"%.2f" % (n / 4), n % 60)
    for n in range(300)
)
FLIGHTS = Path(__file__).parents[2] / "deploy" / "demo" / "flights-2013-01.ndjson.zst"


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


TABLE = pa.table(
    {
        "id": pa.array(range(500), pa.uint32()),
        "who": [{"name": f"name {n}", "age": None if n % 3 else n % 90} for n in range(500)],
        "tags": [None if n % 10 == 0 else ["a"] * (n % 4) for n in range(500)],
        "at": pa.array([1_767_607_200_000 + n for n in range(500)], pa.timestamp("ms", "UTC")),
    }
)
PARQUET = parquet(TABLE)


def analyze(gateway: Gateway, body: bytes, headers: dict[str, str] | None = None, **params: str) -> dict:
    answer = gateway.request("POST", with_query("/v0/analyze", params), body, headers)
    assert answer.status == 200, answer.text
    found = answer.json
    columns = found["analysis"]["columns"]
    # Item 3, of every answer.
    assert len(found["analysis"]["schema"].split(", ")) == len(columns)
    assert [each["name"] for each in found["preview"]["meta"]] == [each["name"] for each in columns]
    return found


def multipart(field: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    head = f'--xx\r\nContent-Disposition: form-data; name="{field}"; filename="f"\r\n\r\n'
    return head.encode() + content + b"\r\n--xx--\r\n", {"Content-Type": "multipart/form-data; boundary=xx"}


def landed(gateway: Gateway, schema: str, body: bytes, form: str) -> tuple[int, int]:
    """Make a data source of `schema`, append `body`; return its rows, and those in quarantine."""
    name = gateway.create_datasource(schema)
    answer = gateway.post("/v0/datasources", body, mode="append", name=name, format=form)
    assert answer.status == 200, answer.text
    return gateway.count(name), gateway.count(f"{name}_quarantine")


def test_the_published_example(gateway):
    found = analyze(gateway, EXAMPLE)

    assert found["analysis"]["columns"] == [
        {"path": "$.at", "recommended_type": "DateTime", "present_pct": 1, "name": "at"},
        {"path": "$.id", "recommended_type": "Int16", "present_pct": 1, "name": "id"},
        {"path": "$.score", "recommended_type": "Nullable(Float32)", "present_pct": 0.33, "name": "score"},
        {"path": "$.tags[:]", "recommended_type": "Array(String)", "present_pct": 1, "name": "tags"},
        {"path": "$.who.langs[:]", "recommended_type": "Array(Int16)", "present_pct": 0.67, "name": "who_langs"},
        {"path": "$.who.name", "recommended_type": "String", "present_pct": 1, "name": "who_name"},
    ]
    assert found["analysis"]["schema"] == (
        "at DateTime `json:$.at`, id Int16 `json:$.id`, score Nullable(Float32) `json:$.score`, "
        "tags Array(String) `json:$.tags[:]`, who_langs Array(Int16) `json:$.who.langs[:]` DEFAULT [], "
        "who_name String `json:$.who.name`"
    )
    preview = found["preview"]
    assert preview["meta"][:2] == [{"name": "at", "type": "DateTime"}, {"name": "id", "type": "Int16"}]
    assert preview["data"][0] == {
        "at": "2026-01-05 10:00:00", "id": 1, "score": None, "tags": ["a", "b"], "who_langs": [1, 2], "who_name": "Ada"
    }  # fmt: skip
    assert preview["rows"] == len(preview["data"]) == 3
    assert preview["statistics"].keys() == {"elapsed", "rows_read", "bytes_read"}
    assert preview["statistics"]["rows_read"] == 3
    assert "dialect" not in found


def test_item_1_the_first_mebibyte_with_its_last_line_cut(gateway):
    whole = zstd.decompress(FLIGHTS.read_bytes())
    sample = whole[:MIB]
    assert not sample.endswith(b"\n")

    found = analyze(gateway, sample)

    # Item 4 as the CLI does it: the schema comes from the sample, and all of the file is appended.
    rows, quarantined = landed(gateway, found["analysis"]["schema"], whole, "ndjson")
    assert (rows, quarantined) == (whole.count(b"\n"), 0)


@pytest.mark.parametrize("kept", range(1, 105, 8))
def test_item_1_csv_cut_anywhere_in_its_last_line(gateway, kept):
    line = b"12345,2026-01-05 10:00:00,some text of a hundred characters that goes on and on,987.25,1999-12-31,x\n"
    sample = (b"id,at,note,score,day,letter\n" + line.replace(b"some", b"s" * kept) + line * 11_000)[:MIB]
    types = {each["name"]: each["recommended_type"] for each in analyze(gateway, sample)["analysis"]["columns"]}
    assert types["id"] == "Nullable(Int64)"
    assert types["at"] == "DateTime"
    assert types["day"] == "Date"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
@pytest.mark.parametrize("body", [EXAMPLE, CSV, PARQUET], ids=["ndjson", "csv", "parquet"])
def test_item_2_formats_are_told_by_their_bytes_without_a_content_type(gateway, pack, body):
    found = analyze(gateway, pack(body))

    paths = [each["path"] for each in found["analysis"]["columns"]]
    if body is CSV:
        assert paths == ["id", "name", "score", "at"]
        assert "`json:" not in found["analysis"]["schema"]
        assert found["dialect"].items() >= {"delimiter": ",", "has_header": True, "quotechar": '"'}.items()
    else:
        assert paths == sorted(paths)
        assert all(path.startswith("$.") for path in paths)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("body", "form", "rows"), [(EXAMPLE, "ndjson", 3), (CSV, "csv", 300), (PARQUET, "parquet", 500)]
)
def test_item_4_the_schema_takes_the_whole_file(gateway, pack, body, form, rows):
    schema = analyze(gateway, pack(body))["analysis"]["schema"]

    assert landed(gateway, schema, pack(body), form) == (rows, 0)


def test_parquet_columns_and_preview_are_those_of_the_file(gateway):
    found = analyze(gateway, PARQUET)

    assert found["analysis"]["schema"] == (
        "at DateTime64(3) `json:$.at`, id UInt32 `json:$.id`, tags Array(Nullable(String)) `json:$.tags[:]` DEFAULT [], "
        "who_age Nullable(Int64) `json:$.who.age`, who_name String `json:$.who.name`"
    )
    assert found["preview"]["rows"] == 10
    assert found["preview"]["data"][1] == {
        "at": "2026-01-05 10:00:00.001", "id": 1, "tags": ["a"], "who_age": None, "who_name": "name 1"
    }  # fmt: skip
    assert found["preview"]["statistics"]["rows_read"] == 500


@pytest.mark.parametrize("field", ["file", "csv", "ndjson", "data"])
def test_a_file_may_come_in_any_part_of_a_form(gateway, field):
    body, headers = multipart(field, EXAMPLE)

    assert analyze(gateway, body, headers)["preview"]["rows"] == 3


def test_a_file_may_have_a_content_encoding(gateway):
    assert analyze(gateway, gzip.compress(CSV, mtime=0), {"Content-Encoding": "gzip"})["preview"]["rows"] == 10


def test_a_long_body_is_looked_at_all_over_and_leaves_room(gateway):
    lines = [b'{"n": %d, "s": "%s"}' % (n, b"x" * 100) for n in range(120_000)]
    lines[119_900] = b'{"n": 5000000000, "s": null}'

    columns = {each["name"]: each for each in analyze(gateway, b"\n".join(lines))["analysis"]["columns"]}

    assert columns["n"]["recommended_type"] == "Int64"


# Bad input


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "Send a file"),
        (b"  \n \n", "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (gzip.compress(EXAMPLE, mtime=0)[:10] + b"\xff" * 50, "compressed"),
        (b"PAR1" + b"\0" * 100, "not valid Parquet"),
        (PARQUET[:-200], "not valid Parquet"),
        (b'{"a": \n{"b": \n', "Invalid JSON"),
        (b"{}\n{}\n", "no values"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(gateway, body, says):
    answer = gateway.post("/v0/analyze", body)

    assert answer.status == 400
    assert says in answer.error


def test_a_body_beyond_the_bound_is_413(gateway):
    answer = gateway.request("POST", "/v0/analyze", b"x", {"Content-Length": "50000001"})

    assert answer.status == 413


def test_a_bomb_costs_little(gateway):
    gateway.forget_peak()
    before = gateway.peak_memory_bytes()
    bomb = zstd.compress(b"PAR1" + b"\0" * 400_000_000)

    answer = gateway.post("/v0/analyze", bomb)

    assert answer.status == 413
    assert gateway.peak_memory_bytes() < before + 150_000_000


def test_only_who_may_create_may_ask(gateway):
    name = gateway.create_datasource("n Int8 `json:$.n`")
    reader = gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(name)}")
    creator = gateway.make_token("DATASOURCES:CREATE")

    assert gateway.post("/v0/analyze", EXAMPLE, token=reader).status == 403
    assert gateway.post("/v0/analyze", EXAMPLE, token="").status == 403
    assert gateway.post("/v0/analyze", EXAMPLE, token=creator).status == 200


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x.csv", "file:///etc/passwd", "http://[::1]/", "nonsense", "ftp://a/b"]
)
def test_a_url_that_may_not_be_fetched_is_refused(gateway, url):
    answer = gateway.post("/v0/analyze", url=url)

    assert answer.status == 400
    assert "root:" not in answer.error


# Item 5


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    """A server that knows GET and nothing else: no HEAD, no Range."""
    pages = {
        "/a.ndjson": EXAMPLE,
        "/b": CSV * 50,
        "/c.parquet": PARQUET,
        "/d.gz": gzip.compress(CSV, mtime=0),
        "/empty": b"",
    }
    pages["/large.parquet"] = parquet(pa.table({"s": [str(n * n) for n in range(400_000)]}))
    assert len(pages["/large.parquet"]) > MIB

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory) -> Iterator[Gateway]:
    """One that may fetch from this machine."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), "--outbound-allow", "127.0.0.1")
    gateway.start()
    yield gateway
    gateway.end()


@pytest.mark.parametrize(
    ("page", "columns"), [("/a.ndjson", 6), ("/b", 4), ("/c.parquet", 5), ("/d.gz", 4), ("/large.parquet", 1)]
)
def test_item_5_a_url_needs_only_get(open_gateway, website, page, columns):
    found = analyze(open_gateway, b"", url=website + page)

    assert len(found["analysis"]["columns"]) == columns
    assert found["preview"]["rows"] > 0
    assert not list(open_gateway.data_dir.glob("uploads/*"))


def test_item_5_a_url_with_nothing_behind_it_is_refused(open_gateway, website):
    assert "empty" in open_gateway.post("/v0/analyze", url=website + "/empty").error
    assert open_gateway.post("/v0/analyze", url=website + "/nothing").status == 400


def test_nothing_is_stored(gateway):
    before = gateway.get("/v0/datasources").json

    analyze(gateway, CSV)
    gateway.post("/v0/analyze", b"PAR1")

    assert gateway.get("/v0/datasources").json == before
    assert not list(gateway.data_dir.glob("uploads/*"))
