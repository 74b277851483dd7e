"""The conformance checklist of the Jobs API, one test an item, in its order. Source: jobs.md §7."""

import re

import pytest

from tests.support.gateway import Gateway
from tests.support.imports import SCHEMA

MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"


@pytest.fixture(scope="module")
def name(gateway: Gateway) -> str:
    return gateway.create_datasource(SCHEMA, gateway.new_name("jobs"))


def appended(gateway, name, body=b"1,a\n"):
    """Append as a job; return what is answered, and the job when it has ended."""
    envelope = gateway.post(f"/v1/datasources/{name}/append", body, format="csv").json
    return envelope, gateway.await_job(envelope["id"])


@pytest.mark.parametrize("path, body", [("v1/{}/append", b"1,a\n"), ("v0/{}/delete", b"delete_condition=id > 7")])
def test_1_the_answer_of_an_asynchronous_call_and_the_job_agree_on_the_id(gateway, name, path, body):
    version, _, call = path.format(f"datasources/{name}").partition("/")
    envelope = gateway.post(f"/{version}/{call}", body).json
    job = gateway.await_job(envelope["id"])

    ids = {envelope["id"], envelope["job_id"], envelope["job"]["id"], envelope["job"]["job_id"], job["id"]}
    assert ids == {job["job_id"]}
    assert envelope["job_url"] == job["job_url"]
    assert job["status"] == "done"


def test_2_what_the_command_line_prints_of_each_job_is_there(gateway, name):
    _, job = appended(gateway, name)

    listed = gateway.get("/v0/jobs").json["jobs"]

    assert job["id"] in {each["id"] for each in listed}
    for each in listed:
        assert each.keys() >= {"id", "kind", "status", "created_at", "updated_at", "job_url"}
        assert re.fullmatch(MOMENT, each["created_at"])
        assert re.fullmatch(MOMENT, each["updated_at"])
        assert each["job_url"] == f"http://127.0.0.1:{gateway.port}/v0/jobs/{each['id']}"


def test_3_there_is_an_error_if_the_job_failed_and_only_then(gateway, name):
    waiting, done = appended(gateway, name)
    _, failed = appended(gateway, name, b"not a number,a\n")

    assert not {"error", "errors"} & (waiting.keys() | waiting["job"].keys() | done.keys())
    assert (done["status"], failed["status"]) == ("done", "error")
    assert failed["errors"] == [failed["error"]]
    assert [each["id"] for each in gateway.get("/v0/jobs").json["jobs"] if "error" in each].count(failed["id"]) == 1


@pytest.mark.parametrize("body", [b"1,a\n", b"not a number,a\n"])
def test_4_what_has_ended_cannot_be_cancelled(gateway, name, body):
    _, ended = appended(gateway, name, body)

    refused = gateway.post(f"/v0/jobs/{ended['id']}/cancel")

    assert refused.status == 409
    assert ended["id"] in refused.error
    assert gateway.job(ended["id"])["status"] == ended["status"]
    assert not ended["is_cancellable"]


@pytest.mark.parametrize("which", ["00000000-0000-4000-8000-000000000000", "nope", "t_" + "0" * 32])
def test_5_an_unknown_id_is_404_in_json(gateway, which):
    for answer in (
        gateway.get(f"/v0/jobs/{which}", debug="blocks,block_log"),
        gateway.post(f"/v0/jobs/{which}/cancel"),
        gateway.post(f"/v0/jobs/{which}/retry"),
    ):
        assert answer.status == 404
        assert which in answer.error


def test_6_jobs_and_their_counts_are_there_after_a_restart(gateway, name):
    _, before = appended(gateway, name, b"1,a\nnot a number,b\n")

    gateway.restart()

    assert gateway.job(before["id"]) == before
    assert before["id"] in {each["id"] for each in gateway.get("/v0/jobs").json["jobs"]}
