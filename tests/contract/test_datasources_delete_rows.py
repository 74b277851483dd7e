"""Rows deleted: all of them, and those that meet a condition. Source: datasources.md §10."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.gateway import Answer, Gateway

COLUMNS = "id UInt32 `json:$.id`, name Nullable(String) `json:$.name`, ts DateTime `json:$.ts`, tags Array(String) `json:$.tags[:]`"
ENGINE = {"engine": "MergeTree", "engine_sorting_key": "id", "engine_partition_key": "toYYYYMM(ts)"}


def event(number: int) -> dict[str, Any]:
    name = None if number % 10 == 0 else f"n{number}"
    return {
        "id": number,
        "name": name,
        "ts": f"21{number % 2 + 1:02}-01-01 00:00:00",
        "tags": ["even"] if number % 2 == 0 else [],
    }


@pytest.fixture
def name(gateway: Gateway) -> str:
    """A data source with the rows 0 to 99, in two partitions; every tenth has no name."""
    made = gateway.create_datasource(COLUMNS, gateway.new_name("rows"), **ENGINE)
    assert gateway.post_events(made, [event(number) for number in range(100)], wait="true").counts == (200, 100, 0)
    return made


def delete(
    gateway: Gateway, name: str, condition: str, *, version: str = "v0", token: str | None = None, **params: str
) -> Answer:
    body = urlencode({"delete_condition": condition, **params}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return gateway.request("POST", f"/{version}/datasources/{name}/delete", body, headers, token=token)


CONDITIONS = {
    "id < 10": 10,
    "id >= 10 AND id < 20 OR id = 50": 11,
    "name = 'n7'": 1,
    "name IS NULL": 10,
    "name != 'n7'": 89,  # a row without a name is not meant
    "toYear(ts) = 2101": 50,
    "has(tags, 'even')": 50,
    "id IN (1, 2, 3, 1000)": 3,
    "id BETWEEN 1 AND 5": 5,
    "name LIKE 'n1%' -- those": 10,
    "1 = 1": 100,
    "id = 1000": 0,
    "name = 'it''s' OR name = '); DROP TABLE x; --'": 0,
}


@pytest.mark.parametrize("condition, rows", CONDITIONS.items())
def test_a_dry_run_counts_the_rows_and_deletes_none(gateway, name, condition, rows):
    answer = delete(gateway, name, condition, dry_run="true")

    assert (answer.status, answer.json) == (200, {"rows_to_be_deleted": rows})
    assert gateway.count(name) == 100


@pytest.mark.parametrize("condition, rows", CONDITIONS.items())
def test_a_job_deletes_exactly_the_rows_that_meet_the_condition(gateway, name, condition, rows):
    answer = delete(gateway, name, condition)

    assert answer.status == 200, answer.text
    started = answer.json
    assert started["id"] == started["job_id"] == started["delete_id"] == started["job"]["id"]
    assert started["job_url"].endswith(f"/v0/jobs/{started['id']}")
    assert started["status"] == started["job"]["status"]
    assert started["job"]["kind"] == "delete_data"
    assert started["job"]["delete_condition"] == condition
    assert started["job"]["datasource"] == {"id": gateway.datasource_id(name), "name": name}
    job = gateway.await_job(started["job_id"])
    assert (job["status"], job["rows_affected"], job["progress_percentage"]) == ("done", rows, 100)
    assert gateway.count(name) == 100 - rows
    assert gateway.get(f"/v0/datasources/{name}").json["statistics"]["row_count"] == 100 - rows
    assert delete(gateway, name, condition, dry_run="true").json == {"rows_to_be_deleted": 0}


@pytest.mark.parametrize("condition, rows", CONDITIONS.items())
def test_a_light_delete_answers_when_the_rows_are_gone_and_they_do_not_count(gateway, name, condition, rows):
    answer = delete(gateway, name, condition, version="v1", wait="true")

    assert answer.status == 200, answer.text
    assert answer.json["rows_affected"] == rows
    assert set(answer.json["mutation"]) == {"partitions_scanned", "partitions_done", "partitions_in_progress"}
    assert answer.json["mutation"]["partitions_done"] == answer.json["mutation"]["partitions_scanned"] == 2
    assert gateway.count(name) == 100 - rows
    assert gateway.get(f"/v0/datasources/{name}").json["statistics"]["row_count"] == 100 - rows
    (listed,) = [each for each in gateway.get("/v0/datasources").json["datasources"] if each["name"] == name]
    assert listed["statistics"]["row_count"] == 100 - rows


def test_a_light_delete_that_does_not_wait_is_a_job(gateway, name):
    answer = delete(gateway, name, "id < 10", version="v1", wait="false")

    assert answer.status == 200
    job = gateway.await_job(answer.json["job_id"])
    assert (job["status"], job["rows_affected"]) == ("done", 10)
    assert gateway.count(name) == 90


def test_a_light_delete_of_one_partition_leaves_the_others(gateway, name):
    assert delete(gateway, name, "id < 50", version="v1", partition="210101").json["rows_affected"] == 25

    assert gateway.sql(f"SELECT countIf(id < 50) AS low, count() AS n FROM {name}") == [{"low": 25, "n": 75}]
    refused = delete(gateway, name, "id < 50", version="v1", partition="1999'; DROP TABLE x")
    assert refused.status == 400
    assert "partition" in refused.error


@pytest.mark.parametrize("mode", ["throw", "drop", "rebuild"])
def test_projection_modes_are_known(gateway, name, mode):
    assert delete(gateway, name, "id = 1", version="v1", projection_mode=mode).json["rows_affected"] == 1
    assert delete(gateway, name, "id = 2", version="v1", projection_mode=mode + "x").status == 400


HOSTILE = [
    "",
    " ",
    "7",
    "-7",
    "'text'",
    "NULL",
    "hello",
    "nothing = 1",
    "other.id = 1",
    "_part = 'all_1_1_0'",
    "_row_exists = 0",
    "id = 1; DROP TABLE x",
    "id = 1) OR (1 = 1",
    "id = 1 OR",
    "id = 1 FORMAT CSV",
    "id = 1 SETTINGS max_threads = 1",
    "id = 1 UNION ALL SELECT 1",
    "SELECT 1",
    "(SELECT 1) = 1",
    "id IN (SELECT id FROM system.users)",
    "id IN (SELECT id FROM other)",
    "id IN other",
    "id AS x",
    "(1 AS x) = x",
    "arrayExists(x -> x = 'even', tags)",
    "x -> 1",
    "file('/etc/passwd') = ''",
    "sleep(3) = 0",
    "currentUser() = 'default'",
    "hostName",
    "dictGet('a', 'b', 1) = 1",
    "id = {p:UInt8}",
    "* = 1",
    "COLUMNS('a') = 1",
    "id = '",
    "id = /* 1",
    "id = 1 \0",
    "id = \ud800",
    "name + 1 = 2",
    "name = 5",
    "no_such_function(id)",
    "throwIf(id = 5) = 0",
    "toUInt8(concat('n', toString(id))) = 1",
    "(" * 5000 + "1" + ")" * 5000,
    "id = 1" + " OR id = 1" * 20_000,
    "id, 1",
    "id = 1 ORDER BY id",
    "id = 1 LIMIT 1",
]


@pytest.mark.parametrize("condition", HOSTILE, ids=lambda text: text[:40].encode("unicode_escape").decode())
@pytest.mark.parametrize("way", ["count", "job", "light"])
def test_what_is_no_condition_is_4xx_with_a_sentence_and_no_row_goes(gateway, kept, way, condition):
    body = urlencode(
        {"delete_condition": condition, "dry_run": "true" if way == "count" else "false"}, errors="surrogatepass"
    )
    version = "v1" if way == "light" else "v0"

    refused = gateway.request(
        "POST",
        f"/{version}/datasources/{kept}/delete",
        body.encode(),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert refused.status in {400, 413}, refused.text
    assert " " in refused.error
    assert "ws_" not in refused.error
    assert gateway.datasource_id(kept) not in refused.error
    assert gateway.count(kept) == 100


@pytest.fixture(scope="module")
def kept(gateway: Gateway) -> str:
    made = gateway.create_datasource(COLUMNS, gateway.new_name("kept"), **ENGINE)
    gateway.post_events(made, [event(number) for number in range(100)], wait="true")
    return made


def test_a_condition_is_required(gateway, name):
    refused = gateway.post(f"/v0/datasources/{name}/delete")

    assert refused.status == 400
    assert "delete_condition" in refused.error


def test_an_engine_that_keeps_no_rows_cannot_delete_any(gateway):
    name = gateway.create_datasource("id UInt8 `json:$.id`", engine="Null")

    refused = delete(gateway, name, "id = 1")

    assert refused.status == 400
    assert "Null" in refused.error


@pytest.mark.parametrize("path", ["v0/datasources/{}/delete", "v1/datasources/{}/delete", "v0/datasources/{}/truncate"])
@pytest.mark.parametrize(
    "scope, status",
    [
        ("DATASOURCES:CREATE", 200),
        ("DATASOURCES:APPEND:{id}", 403),
        ("DATASOURCES:READ:{id}", 403),
        ("DATASOURCES:DROP:{id}", 403),
    ],
)
def test_only_who_may_create_may_delete_rows(gateway, name, path, scope, status):
    token = gateway.make_token(scope.format(id=gateway.datasource_id(name)))

    answer = gateway.request("POST", f"/{path.format(name)}?delete_condition=id%3D1", token=token)

    assert answer.status == status
    if status == 403:
        assert answer.error
        assert gateway.count(name) == 100


def test_rows_of_what_does_not_exist_are_404(gateway):
    for version in ("v0", "v1"):
        assert delete(gateway, "nobody_made_this", "id = 1", version=version).status == 404
    assert gateway.post("/v0/datasources/nobody_made_this/truncate").status == 404
    assert gateway.post("/v0/datasources/nobody_made_this_quarantine/truncate").status == 404


def test_a_truncated_data_source_is_empty_and_takes_events_again(gateway, name):
    gateway.post_events(name, [{"id": "bad"}], wait="true")

    answer = gateway.post(f"/v0/datasources/{name}/truncate")

    assert (answer.status, answer.json) == (200, {})
    assert gateway.count(name) == 0
    assert gateway.count(f"{name}_quarantine") == 1
    assert gateway.get(f"/v0/datasources/{name}").json["statistics"]["row_count"] == 0
    assert gateway.post_events(name, [event(1)], wait="true").counts == (200, 1, 0)
    assert gateway.count(name) == 1


def test_a_quarantine_is_truncated_by_itself(gateway, name):
    gateway.post_events(name, [{"id": "bad"}], wait="true")

    assert gateway.post(f"/v0/datasources/{name}_quarantine/truncate").status == 200

    assert gateway.count(f"{name}_quarantine") == 0
    assert gateway.count(name) == 100


def test_the_same_events_land_again_after_they_were_deleted(gateway, name):
    """What a table remembers of inserts must not take a new event for one that came before."""
    gateway.post(f"/v0/datasources/{name}/truncate")
    assert gateway.post_events(name, [event(number) for number in range(100)], wait="true").counts == (200, 100, 0)
    assert gateway.count(name) == 100
