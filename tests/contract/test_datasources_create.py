"""Data sources: made from a schema or from a datafile, with every engine, under every name. Sources: datasources.md §2, §5; common.md §7."""

import re
from urllib.parse import quote, urlencode

import orjson
import pytest

from tests.support.gateway import Answer, Gateway

SCHEMA = (
    "id UInt32 `json:$.id`, ts DateTime64(3) `json:$.timestamp` DEFAULT now64(3), city LowCardinality(String) `json:$.city`, "
    "price Nullable(Decimal(18, 4)) `json:$.price`, tags Array(String) `json:$.tags[:]` CODEC(ZSTD(1))"
)
ID = re.compile(r"t_[0-9a-f]{32}")


def _is_absent(gateway: Gateway, name: str) -> bool:
    return gateway.get(f"/v0/datasources/{quote(name, safe='')}").status == 404


def _listed(gateway: Gateway, **how: str) -> list[str]:
    return [each["name"] for each in gateway.get("/v0/datasources", **how).json["datasources"]]


def _create(gateway: Gateway, **params: str) -> Answer:
    return gateway.post("/v0/datasources", **params)


# Ways to say it: datasources.md §2.1, §2.2


def _in_query(gateway: Gateway, params: dict[str, str]) -> Answer:
    return gateway.request("POST", "/v0/datasources?" + urlencode(params))


def _in_form(gateway: Gateway, params: dict[str, str]) -> Answer:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return gateway.request("POST", "/v0/datasources", urlencode(params).encode(), headers)


def _name_in_query_rest_in_form(gateway: Gateway, params: dict[str, str]) -> Answer:
    rest = {key: value for key, value in params.items() if key != "name"} | {"name": "the_query_wins"}
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return gateway.request("POST", f"/v0/datasources/?name={params['name']}", urlencode(rest).encode(), headers)


def _in_json(gateway: Gateway, params: dict[str, str]) -> Answer:
    return gateway.request("POST", "/v0/datasources", orjson.dumps(params), {"Content-Type": "application/json"})


def _in_multipart(gateway: Gateway, params: dict[str, str]) -> Answer:
    body, content_type = _multipart({key: (None, value) for key, value in params.items()})
    return gateway.request("POST", "/v0/datasources", body, {"Content-Type": content_type})


def _multipart(parts: dict[str, tuple[str | None, str]]) -> tuple[bytes, str]:
    lines = []
    for name, (file, value) in parts.items():
        disposition = f'form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
        lines += ["--boundary", f"Content-Disposition: {disposition}", "", value]
    return "\r\n".join([*lines, "--boundary--", ""]).encode(), "multipart/form-data; boundary=boundary"


@pytest.mark.parametrize("way", [_in_query, _in_form, _name_in_query_rest_in_form, _in_json, _in_multipart])
def test_a_schema_makes_a_data_source_wherever_it_is_written(gateway, way):
    name = gateway.new_name("made")

    answer = way(
        gateway,
        {"name": name, "schema": SCHEMA, "engine": "MergeTree", "engine_sorting_key": "city, ts", "mode": "create"},
    )

    assert answer.status == 200, answer.text
    assert answer.json["datasource"]["name"] == name
    assert ID.fullmatch(answer.json["datasource"]["id"])
    assert answer.json["error"] is False
    detail = gateway.get(f"/v0/datasources/{name}").json
    assert detail["engine"]["sorting_key"] == "city, ts"
    assert [column["name"] for column in detail["schema"]["columns"]] == ["id", "ts", "city", "price", "tags"]
    event = {"id": 1, "city": "Rome", "price": "1.5", "tags": ["a"]}
    assert gateway.post_events(name, [event], wait="true").counts == (200, 1, 0)


def test_a_data_source_without_a_name_is_given_one(gateway):
    name = gateway.post("/v0/datasources", schema=SCHEMA).json["datasource"]["name"]

    assert gateway.post_events(name, b"{}").counts == (202, 0, 1)


DATAFILE = """\
DESCRIPTION >
    Page views, as the tracker sends them

TAGS "web, raw"

SCHEMA >
    `timestamp` DateTime `json:$.timestamp`,
    `session_id` Nullable(String) `json:$.session_id`,  -- of the browser
    `action` LowCardinality(String) `json:$.action` DEFAULT 'view',
    `payload` String `json:$.payload`

INDEXES >
    by_action action TYPE set(100) GRANULARITY 2

ENGINE "MergeTree"
ENGINE_PARTITION_KEY "toYYYYMM(timestamp)"
ENGINE_SORTING_KEY "action, timestamp"
ENGINE_TTL "timestamp + toIntervalDay(60)"
"""


def _datafile_in_form(gateway: Gateway, name: str) -> Answer:
    return _in_form(gateway, {"name": name, "datafile": DATAFILE})


def _datafile_in_part(gateway: Gateway, name: str) -> Answer:
    body, content_type = _multipart({"datafile": (f"{name}.datasource", DATAFILE)})
    return gateway.request("POST", f"/v0/datasources?name={name}", body, {"Content-Type": content_type})


def _datafile_as_body(gateway: Gateway, name: str) -> Answer:
    return gateway.request(
        "POST", f"/v0/datasources?name={name}&format=datasource", DATAFILE.encode(), {"Content-Type": "text/plain"}
    )


@pytest.mark.parametrize("way", [_datafile_in_form, _datafile_in_part, _datafile_as_body])
def test_a_datafile_makes_a_data_source_however_it_is_sent(gateway, way):
    name = gateway.new_name("views")

    answer = way(gateway, name)

    assert answer.status == 200, answer.text
    detail = gateway.get(f"/v0/datasources/{name}").json
    assert detail["description"].strip() == "Page views, as the tracker sends them"
    assert detail["engine"] == {
        "engine": "MergeTree",
        "engine_full": "MergeTree PARTITION BY (toYYYYMM(timestamp)) ORDER BY (action, timestamp) TTL timestamp + toIntervalDay(60)",
        "partition_key": "toYYYYMM(timestamp)",
        "sorting_key": "action, timestamp",
        "ttl": "timestamp + toIntervalDay(60)",
    }
    assert [index["name"] for index in detail["indexes"]] == ["by_action"]
    assert gateway.post_events(name, [{"timestamp": 0, "payload": {"a": 1}}], wait="true").counts == (200, 1, 0)


def test_the_datafile_that_is_given_back_makes_the_same_data_source(gateway):
    name, copy = gateway.new_name("views"), gateway.new_name("copy")
    assert _datafile_in_form(gateway, name).status == 200

    text = gateway.get(f"/v0/datasources/{name}.datasource")
    assert gateway.post("/v0/datasources", urlencode({"datafile": text.text}).encode(), name=copy).status == 200

    own = {"id", "name", "created_at", "updated_at", "statistics"}
    first, second = (gateway.get(f"/v0/datasources/{each}").json for each in (name, copy))
    assert {key: first[key] for key in first.keys() - own} == {key: second[key] for key in second.keys() - own}
    assert gateway.get(f"/v0/datasources/{copy}.datasource").body == text.body


# Engines: datasources.md §5

COLUMNS = "k UInt32 `json:$.k`, v Float64 `json:$.v`, at DateTime `json:$.at`, ver UInt64 `json:$.ver`, sign Int8 `json:$.sign`, gone UInt8 `json:$.gone`"
ENGINES = [
    ({"engine": "MergeTree"}, "MergeTree ORDER BY tuple()"),
    ({"engine": "mergetree", "engine_sorting_key": "k"}, "MergeTree ORDER BY (k)"),
    (
        {
            "engine": "MergeTree",
            "engine_partition_key": "toYYYYMM(at)",
            "engine_sorting_key": "k, cityHash64(ver)",
            "engine_primary_key": "k",
            "engine_ttl": "at + toIntervalDay(1)",
        },
        "MergeTree PARTITION BY (toYYYYMM(at)) ORDER BY (k, cityHash64(ver)) PRIMARY KEY (k) TTL at + toIntervalDay(1)",
    ),
    (
        {"engine": "MergeTree", "engine_sorting_key": "cityHash64(k)", "engine_sampling_key": "cityHash64(k)"},
        "MergeTree ORDER BY (cityHash64(k)) SAMPLE BY (cityHash64(k))",
    ),
    (
        {"engine": "MergeTree", "engine_sorting_key": "k", "engine_settings": "index_granularity=32"},
        "MergeTree ORDER BY (k) SETTINGS index_granularity = 32",
    ),
    ({"engine": "ReplacingMergeTree", "engine_sorting_key": "k"}, "ReplacingMergeTree ORDER BY (k)"),
    (
        {"engine": "ReplacingMergeTree", "engine_sorting_key": "k", "engine_ver": "ver"},
        "ReplacingMergeTree(`ver`) ORDER BY (k)",
    ),
    (
        {"engine": "ReplacingMergeTree", "engine_sorting_key": "k", "engine_ver": "ver", "engine_is_deleted": "gone"},
        "ReplacingMergeTree(`ver`, `gone`) ORDER BY (k)",
    ),
    ({"engine": "SummingMergeTree", "engine_sorting_key": "k"}, "SummingMergeTree ORDER BY (k)"),
    (
        {"engine": "SummingMergeTree", "engine_sorting_key": "k", "engine_columns": "v"},
        "SummingMergeTree((`v`)) ORDER BY (k)",
    ),
    ({"engine": "AggregatingMergeTree", "engine_sorting_key": "k"}, "AggregatingMergeTree ORDER BY (k)"),
    (
        {"engine": "CollapsingMergeTree", "engine_sorting_key": "k", "engine_sign": "sign"},
        "CollapsingMergeTree(`sign`) ORDER BY (k)",
    ),
    (
        {
            "engine": "VersionedCollapsingMergeTree",
            "engine_sorting_key": "k",
            "engine_sign": "sign",
            "engine_version": "ver",
        },
        "VersionedCollapsingMergeTree(`sign`, `ver`) ORDER BY (k)",
    ),
    ({"engine": "Null"}, "Null"),
]


@pytest.mark.parametrize("options, full", ENGINES, ids=[full for _, full in ENGINES])
def test_every_engine_can_be_made_and_takes_events(gateway, options, full):
    name = gateway.create_datasource(COLUMNS, **options)

    assert gateway.get(f"/v0/datasources/{name}").json["engine"]["engine_full"] == full
    event = {"k": 1, "v": 1.5, "at": "2100-01-05", "ver": 1, "sign": 1, "gone": 0}
    assert gateway.post_events(name, [event], wait="true").counts == (200, 1, 0)
    assert gateway.count(name) == (0 if full == "Null" else 1)


@pytest.mark.parametrize(
    "options, said",
    [
        *(
            ({"engine": each}, f"Engine {each} is not supported, supported engines include: MergeTree")
            for each in ("Join", "Set", "Memory", "Log")
        ),
        ({"engine": "EmbeddedRocksDB"}, "is not supported"),
        ({"engine": "URL('http://127.0.0.1/', CSV)"}, "is not supported"),
        ({"engine": "MergeTree", "engine_foo": "1"}, "engine_foo is not a valid option"),
        ({"engine": "CollapsingMergeTree", "engine_sorting_key": "k"}, "Missing required parameter 'sign'"),
        ({"engine": "ReplacingMergeTree"}, "Missing required option 'sorting_key'"),
        ({"engine": "ReplacingMergeTree", "engine_sorting_key": "tuple()"}, "'tuple()' is not a valid sorting key"),
        (
            {"engine": "ReplacingMergeTree", "engine_sorting_key": "k", "engine_ver": "c"},
            "Invalid value 'c' for parameter 'engine_ver', reason: 'c' column is not present in schema",
        ),
        ({"engine": "MergeTree", "engine_sorting_key": "nothing"}, "nothing"),
        ({"engine": "Null", "engine_sorting_key": "k"}, "engine_sorting_key is not a valid option"),
    ],
)
def test_an_engine_that_is_not_accepted_is_400_and_nothing_is_made(gateway, options, said):
    refused = _create(gateway, name="refused_engine", schema=COLUMNS, **options)

    assert refused.status == 400
    assert said in refused.error
    assert _is_absent(gateway, "refused_engine")


# Names: common.md §7


@pytest.mark.parametrize("name", ["a", "A_1", "events__v0", "x" * 100, "Events", "selects", "int8s"])
def test_a_name_of_letters_digits_and_underscores_is_taken(gateway, name):
    assert _create(gateway, name=name, schema="id UInt8 `json:$.id`").status == 200
    assert gateway.post_events(name, [{"id": 1}], wait="true").counts == (200, 1, 0)
    assert gateway.count(name) == 1


def test_names_differ_by_case(gateway):
    name = gateway.create_datasource("id UInt8 `json:$.id`", gateway.new_name("cased"))

    assert gateway.post_events(name.upper(), [{"id": 1}]).status == 404
    assert _create(gateway, name=name.upper(), schema="id UInt8 `json:$.id`").status == 200


RESERVED = """
    Array Bool Boolean Date Date32 DateTime DateTime32 DateTime64 Decimal Decimal32 Decimal64 Decimal128 Decimal256 Enum
    Enum8 Enum16 FixedString Float32 Float64 IPv4 IPv6 Int8 Int16 Int32 Int64 Int128 Int256 MultiPolygon Point Polygon Ring
    String TABLE UInt8 UInt16 UInt32 UInt64 UInt128 UInt256 UUID _temporary_and_external_tables add after all and anti any
    array as asc asof between by case collate column columns cross cube custom_error day_diff default defined desc distinct
    else end enumerate_with_last error exists from full functions generateRandom global group having if ilike in inner
    insert interval into join left like limit limits max min not null numbers_mt on one or order outer prewhere public
    right sample select semi split_to_array sql_and sql_unescape system table then tinybird to union using where with
    zeros_mt zip
"""


def test_no_reserved_word_is_taken_as_a_name_in_any_case(gateway):
    for word in [*RESERVED.split(), "string", "TABLE", "Select", "UINT8", "generaterandom", "Tinybird"]:
        refused = _create(gateway, name=word, schema="id UInt8 `json:$.id`")
        assert (refused.status, word in refused.error) == (400, True)
    assert not {each.lower() for each in _listed(gateway)} & {word.lower() for word in RESERVED.split()}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "1a",
            "a-b",
            "a b",
            "a.b",
            "é",
            "a;b",
            "a`b",
            "a'b",
            'a"b',
            "a\\b",
            "a\nb",
            "a\0b",
            "../x",
            "a/b",
            "events_quarantine",
        ),
        *("x" * 500, "x`; DROP TABLE y; --", "{}", "%s", " a", "a ", "\u202ea", "t_" + "0" * 32),
    ],
)
def test_anything_else_is_no_name_and_nothing_is_made(gateway, name):
    refused = _create(gateway, name=name, schema="id UInt8 `json:$.id`")

    assert refused.status == 400
    assert " " in refused.error
    assert _is_absent(gateway, name)


def test_a_name_that_is_taken_is_409(gateway):
    name = gateway.create_datasource(SCHEMA)

    refused = _create(gateway, name=name, schema="id UInt8 `json:$.id`")

    assert refused.status == 409
    assert f'Data Source "{name}" already exists' in refused.error
    assert len(gateway.get(f"/v0/datasources/{name}").json["schema"]["columns"]) == 5


@pytest.mark.parametrize(
    "scope", ["DATASOURCES:APPEND:{id}", "DATASOURCES:READ:{id}", "WORKSPACE:READ_ALL", "TOKENS", ""]
)
def test_who_may_not_create_makes_nothing(gateway, scope):
    other = gateway.datasource_id(gateway.create_datasource("id UInt8 `json:$.id`"))
    token = gateway.make_token(scope.format(id=other)) if scope else ""

    refused = gateway.post("/v0/datasources", name="forbidden_one", schema="id UInt8 `json:$.id`", token=token)

    assert refused.status == 403
    assert refused.error
    assert _is_absent(gateway, "forbidden_one")
