"""What a client writes is read as a schema, an engine, a form; it is never pasted into SQL, and never half done.

Sources: datasources.md §5, §6, §14.
"""

from urllib.parse import urlencode

import pytest

from tests.support.gateway import Answer, Gateway

COLUMNS = "k UInt32 `json:$.k`, v Float64 `json:$.v`, at DateTime `json:$.at`, ver UInt64 `json:$.ver`, sign Int8 `json:$.sign`"


def _is_absent(gateway: Gateway, name: str) -> bool:
    return gateway.get(f"/v0/datasources/{name}").status == 404


def _create(gateway: Gateway, **params: str) -> Answer:
    return gateway.post("/v0/datasources", **params)


HOSTILE_SCHEMAS = [
    "id UInt8) ENGINE = Memory; DROP TABLE x; --",
    "id UInt8, x String DEFAULT (SELECT 1)",
    "id UInt8, x String DEFAULT file('/etc/passwd')",
    "id UInt8, x String DEFAULT url('http://127.0.0.1')",
    "id UInt8, x String DEFAULT dictGetString('a', 'b', 1)",
    "id UInt8, x String DEFAULT getSetting('readonly')",
    "id UInt8, x UInt64 DEFAULT sleep(3)",
    "id UInt8, x String DEFAULT '' FROM system.tables",
    "id UInt8, x String DEFAULT ''); CREATE TABLE y (a UInt8",
    "id UInt8, x String DEFAULT 'a' || (SELECT password FROM system.users LIMIT 1)",
    "id UInt8, `x`) ENGINE = Memory -- ` String",
    "id UInt8, x String CODEC(ZSTD(1)), y UInt8 CODEC(NONE) TTL now()",
    "id UInt8, x Array(String",
    "id UInt8, x Enum8('a' = 1); SELECT 1",
    "id UInt8, x LowCardinality(String) COMMENT 'a'",
    "id UInt8, x String ALIAS id",
    "id UInt8, x DateTime('UTC'); DROP",
    "id UInt8, x AggregateFunction(sum, UInt64) DEFAULT remote('127.0.0.1', system.one)",
    "id UInt8 `json:$.id`, x String `json:$.a'); DROP TABLE y; --`",
    "id UInt8 `json:$..id`",
    "id UInt8 `json:$.id[?(@.a)]`",
    "id UInt8, id UInt16",
    "id",
    "",
    ",",
    "id Int",
    "id UInt8 NULL",
    "id UInt8 NOT NULL",
    "id Nullable(Array(String))",
    "id DateTime64",
    "id DateTime('Mars/Olympus')",
    "id " + "Array(" * 2000 + "UInt8" + ")" * 2000,
    "id UInt8 DEFAULT " + "(" * 5000 + "1" + ")" * 5000,
    ", ".join(f"c{number} UInt8" for number in range(501)),
    "id UInt8, x String DEFAULT '\0'; --",
    "id UInt8 /* */ , `a\nb` String",
]


@pytest.mark.parametrize("schema", HOSTILE_SCHEMAS, ids=lambda schema: schema[:50].encode("unicode_escape").decode())
def test_a_schema_that_is_none_is_400_with_a_sentence_and_nothing_is_made(gateway, schema):
    refused = gateway.post("/v0/datasources", urlencode({"schema": schema}).encode(), name="hostile")

    assert refused.status == 400
    assert " " in refused.error
    assert "ws_" not in refused.error, "the name of a database of ours"
    assert _is_absent(gateway, "hostile")


@pytest.mark.parametrize(
    "option",
    ["sorting_key", "partition_key", "primary_key", "sampling_key", "ttl", "settings", "ver", "sign", "columns"],
)
@pytest.mark.parametrize(
    "value",
    [
        "k) SETTINGS storage_policy = 'x'",
        "k; DROP TABLE y",
        "(SELECT 1)",
        "k) AS SELECT * FROM system.users --",
        "file('/etc/passwd')",
        "k` , `v",
        "disk = 'x'",
        "storage_policy = 'x', index_granularity = 1",
        "at + toIntervalDay(1) TO DISK 'x'",
        "'",
        "\\",
        "\0",
    ],
)
def test_an_engine_option_that_is_more_than_one_is_400_and_nothing_is_made(gateway, option, value):
    engine = {"ver": "ReplacingMergeTree", "sign": "CollapsingMergeTree", "columns": "SummingMergeTree"}.get(
        option, "MergeTree"
    )
    options = {"engine": engine, "engine_sorting_key": "v", f"engine_{option}": value}

    refused = _create(gateway, name="hostile", schema=COLUMNS, **options)

    assert refused.status == 400
    assert " " in refused.error
    assert _is_absent(gateway, "hostile")


@pytest.mark.parametrize(
    "indexes",
    [
        "a k TYPE minmax) ENGINE = Memory --",
        "a (SELECT 1) TYPE minmax",
        "a k TYPE hypothesis",
        "a; k TYPE minmax",
        "a k",
    ],
)
def test_an_index_that_is_none_is_400_and_nothing_is_made(gateway, indexes):
    refused = _create(
        gateway, name="hostile", schema=COLUMNS, engine="MergeTree", engine_sorting_key="k", indexes=indexes
    )

    assert refused.status == 400
    assert refused.error
    assert _is_absent(gateway, "hostile")


def test_a_refusal_of_clickhouse_shows_nothing_of_the_inside(gateway):
    refused = _create(
        gateway, name="constant", schema="id UInt8 `json:$.id`", engine="MergeTree", engine_sorting_key="1"
    )

    assert refused.status == 400
    assert "constant" in refused.error.lower()
    for inside in ("127.0.0.1", "http://", "ws_", "t_", "Code:", "version"):
        assert inside not in refused.error
    assert _is_absent(gateway, "constant")


@pytest.mark.parametrize(
    "body, content_type",
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"\xff", "application/json"),
        (b"--x", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\n", "multipart/form-data"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (
            b'--x\r\nContent-Disposition: form-data; name="schema"\r\n\r\n\xff\xfe\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (
            b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\nz\r\n--y--\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
        ),
        (b"schema=%ff", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"a=b&" * 2000, "application/x-www-form-urlencoded"),
        (b"", "application/x-www-form-urlencoded"),
        (b"", "multipart/form-data; boundary=x"),
    ],
)
def test_a_body_that_cannot_be_read_is_400_and_nothing_is_made(gateway, body, content_type):
    refused = gateway.request("POST", "/v0/datasources?name=unreadable", body, {"Content-Type": content_type})

    assert refused.status == 400
    assert " " in refused.error
    assert _is_absent(gateway, "unreadable")


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/json"]
)
def test_a_body_over_the_limit_of_documents_is_413(gateway, kind):
    head = b'--x\r\nContent-Disposition: form-data; name="schema"\r\n\r\n' if "x" in kind[-1] else b""

    refused = gateway.request(
        "POST", "/v0/datasources?name=large", head + b"a" * (9 * 1024 * 1024), {"Content-Type": kind}
    )

    assert refused.status == 413
    assert refused.headers["Retry-After"] is None
    assert _is_absent(gateway, "large")


# The same, sent to a data source that exists: datasources.md §10


@pytest.fixture(scope="module")
def standing(gateway: Gateway) -> str:
    """A data source with a row, which nothing below changes."""
    name = gateway.create_datasource(COLUMNS, gateway.new_name("standing"), engine="MergeTree", engine_sorting_key="k")
    gateway.post_events(name, [{"k": 1, "v": 1, "at": 0, "ver": 1, "sign": 1}], wait="true")
    return name


def _refused_alter(gateway: Gateway, name: str, **params: str) -> Answer:
    before = gateway.get(f"/v0/datasources/{name}").json
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = gateway.request("POST", f"/v0/datasources/{name}/alter", urlencode(params).encode(), headers)
    assert gateway.get(f"/v0/datasources/{name}").json == before
    assert gateway.count(name) == 1
    return refused


@pytest.mark.parametrize("schema", HOSTILE_SCHEMAS, ids=lambda schema: schema[:50].encode("unicode_escape").decode())
@pytest.mark.parametrize("kept", ["", COLUMNS + ", "], ids=["whole", "at the end"])
def test_an_alter_to_a_schema_that_is_none_is_400_and_changes_nothing(gateway, standing, kept, schema):
    refused = _refused_alter(gateway, standing, schema=kept + schema)

    assert refused.status == 400
    assert " " in refused.error
    assert "ws_" not in refused.error


@pytest.mark.parametrize(
    "ttl",
    [
        "at + toIntervalDay(1) TO DISK 'x'",
        "at + toIntervalDay(1) TO VOLUME 'x'",
        "at + toIntervalDay(1); DROP TABLE x",
        "at + toIntervalDay(1), DROP COLUMN k",
        "at + toIntervalDay(1) SETTINGS storage_policy = 'x'",
        "at + toIntervalDay(1) DELETE WHERE k IN (SELECT 1)",
        "at + toIntervalDay(length(file('/etc/passwd')))",
        "(SELECT now())",
        "nothing + toIntervalDay(1)",
        "at +",
        "'",
        "`",
        "\0",
        "k",
    ],
)
def test_an_alter_to_a_ttl_that_is_none_is_400_and_changes_nothing(gateway, standing, ttl):
    refused = _refused_alter(gateway, standing, ttl=ttl)

    assert refused.status == 400
    assert " " in refused.error


@pytest.mark.parametrize(
    "indexes",
    [
        "a k TYPE minmax, DROP COLUMN v",
        "a k TYPE minmax GRANULARITY 1; DROP TABLE x",
        "a (SELECT 1) TYPE minmax",
        "a file('/etc/passwd') TYPE minmax",
        "a k TYPE hypothesis",
        "a` k TYPE minmax",
        "a k",
        "a k TYPE minmax\na v TYPE minmax",
        "a k TYPE set('x')",
        "\n".join(f"i{number} k TYPE minmax" for number in range(101)),
    ],
)
def test_an_alter_to_an_index_that_is_none_is_400_and_changes_nothing(gateway, standing, indexes):
    refused = _refused_alter(gateway, standing, indexes=indexes)

    assert refused.status == 400
    assert " " in refused.error


@pytest.mark.parametrize(
    "option", ["sorting_key", "partition_key", "primary_key", "sampling_key", "settings", "ver", "sign"]
)
@pytest.mark.parametrize("value", ["k) SETTINGS storage_policy = 'x'", "k; DROP TABLE y", "disk = 'x'", "ver", "'"])
def test_an_alter_of_the_engine_is_400_and_changes_nothing(gateway, standing, option, value):
    assert _refused_alter(gateway, standing, description="x", **{f"engine_{option}": value}).status == 400


def test_a_description_is_only_text(gateway):
    name = gateway.create_datasource(COLUMNS)
    text = '\'); DROP TABLE x; -- `"\\ TOKEN admin READ\n\nENGINE "Memory"\nSCHEMA >\n    x String'
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    body = urlencode({"description": text}).encode()
    assert gateway.request("POST", f"/v0/datasources/{name}/alter", body, headers).status == 200

    assert gateway.get(f"/v0/datasources/{name}").json["description"] == text
    written = gateway.get(f"/v0/datasources/{name}.datasource").text
    copy = gateway.new_name("copied")
    body = urlencode({"datafile": written}).encode()
    assert gateway.request("POST", f"/v0/datasources?name={copy}", body, headers).status == 200
    assert gateway.get(f"/v0/datasources/{copy}").json["engine"]["engine"] == "MergeTree"
    nul = urlencode({"description": "a\0b"}).encode()
    assert gateway.request("POST", f"/v0/datasources/{name}/alter", nul, headers).status == 400
