"""Jobs API: life-cycle, the job object, who sees what. Source: jobs.md, with its checklist (§7).

What survives a kill or a restart is in tests/integration/test_job_workers.py.
"""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest

from gateway.catalog import CatalogStore
from gateway.core.clock import SystemClock
from gateway.jobs import JobStore, NewJob, Status

# A kind that no worker of this gateway knows: such a job stays as the test has it.
KIND = "sink"
WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"
LISTED = {"id", "job_id", "kind", "status", "created_at", "updated_at", "started_at", "is_cancellable", "job_url"}
CSV = b"1,one\n2,two\nx,not a number\n"


@asynccontextmanager
async def jobs_of(gateway):
    """The jobs, as a worker has them; and the workspace."""
    catalog = await CatalogStore.open(gateway.database_url, SystemClock())
    try:
        yield JobStore(catalog.database, SystemClock()), (await catalog.list_workspaces())[0].id
    finally:
        await catalog.aclose()


def make_job(gateway, *steps, **more):
    """Record a job and take it through `steps`: "taken", a checkpoint (state, shown, progress), a status; its id."""

    async def make():
        async with jobs_of(gateway) as (store, workspace_id):
            new = NewJob(**({"workspace_id": workspace_id, "kind": KIND} | more))
            job = await (store.create_taken(new, "test", 60) if steps else store.create(new))
            for step in steps:
                if isinstance(step, tuple):
                    shown, progress = step
                    job = await store.checkpoint(job.lease, job.id, {}, shown=shown, progress=progress)
                elif step in {Status.DONE, Status.ERROR, Status.CANCELLED}:
                    words = "There was an error with file contents: 3 rows in quarantine."
                    told = {"error": words, "errors": (words,)} if step is Status.ERROR else {}
                    await store.finish(job.lease, job.id, step, **told)
                    await store.tidied(job.lease, job.id)
            return job.id

    return asyncio.run(make())


def listed(gateway, *, token=None, **params):
    answer = gateway.get("/v0/jobs", token=token, **params)
    assert (answer.status, set(answer.json)) == (200, {"jobs"})
    return answer.json["jobs"]


def import_csv(gateway, **more):
    name = gateway.create_datasource("id UInt32, word String")
    answer = gateway.request(
        "POST", f"/v0/datasources?mode=append&name={name}&format=csv&dialect_has_header=false", CSV, **more
    )
    assert answer.status == 200, answer.text
    return name, answer.json


def delete_rows(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    gateway.post_events(name, [{"id": n} for n in range(10)], wait="true")
    answer = gateway.post(f"/v0/datasources/{name}/delete", b"delete_condition=id < 4")
    assert answer.status in {200, 201, 202}, answer.text
    return name, answer.json


class TestObject:
    def test_an_answer_that_names_a_job_and_the_page_of_the_job_agree_on_its_ids(self, gateway):
        name, envelope = delete_rows(gateway)

        job = gateway.await_job(envelope["job_id"])

        assert job["id"] == job["job_id"] == envelope["id"] == envelope["job_id"]
        assert envelope["job_url"] == job["job_url"] == f"http://127.0.0.1:{gateway.port}/v0/jobs/{job['id']}"
        assert (job["kind"], job["status"], job["delete_condition"]) == ("delete_data", "done", "id < 4")
        assert job["datasource"] == {"id": gateway.datasource_id(name), "name": name}
        assert gateway.count(name) == 6

    @pytest.mark.parametrize("steps", [(), ("taken",), (Status.DONE,), (Status.ERROR,), (Status.CANCELLED,)])
    def test_the_fields_clients_read_unguarded_are_always_there(self, gateway, steps):
        job_id = make_job(gateway, *steps)

        for job in (gateway.job(job_id), next(job for job in listed(gateway) if job["id"] == job_id)):
            assert job.keys() >= LISTED
            assert re.fullmatch(WHEN, job["created_at"])
            assert re.fullmatch(WHEN, job["updated_at"])
            assert (job["started_at"] is None) == (steps == ())
            assert job["started_at"] is None or re.fullmatch(WHEN, job["started_at"])
            assert ("error" in job, "errors" in job) == ((True, True) if steps == (Status.ERROR,) else (False, False))
            assert job["is_cancellable"] == (steps in {(), ("taken",)})
            assert 0 <= job["progress_percentage"] <= 100

    def test_a_failed_job_says_why_in_both_fields_clients_print(self, gateway):
        job = gateway.job(make_job(gateway, Status.ERROR))

        assert job["status"] == "error"
        assert "quarantine" in job["error"]
        assert job["errors"] == [job["error"]]

    @pytest.mark.parametrize(
        "headers, base",
        [
            ({"Host": "sluice.example"}, "http://sluice.example"),
            ({"Host": "sluice.example:8443", "X-Forwarded-Proto": "https"}, "http://sluice.example:8443"),
        ],
    )
    def test_the_url_of_a_job_is_the_one_the_client_can_reach(self, gateway, headers, base):
        job_id = make_job(gateway)

        job = gateway.request("GET", f"/v0/jobs/{job_id}", headers=headers).json

        assert job["job_url"] == f"{base}/v0/jobs/{job_id}"

    def test_an_import_has_its_counts_and_blocks_without_being_asked(self, gateway):
        name, answer = import_csv(gateway)

        job = gateway.job(answer.get("import_id") or answer["id"])

        assert (job["kind"], job["status"], job["mode"], job["import_id"]) == ("import", "done", "append", job["id"])
        assert job["datasource"]["name"] == name
        assert (job["quarantine_rows"], job["invalid_lines"], job["progress_percentage"]) == (1, 0, 100)
        counts = [part for block in job["blocks"] for part in block["process_return"]]
        assert (sum(part["lines"] for part in counts), sum(part["quarantine"] for part in counts)) == (2, 1)
        assert "block_log" not in job

    def test_an_import_that_waits_has_the_lists_that_clients_index(self, gateway):
        job_id = make_job(gateway, kind="import", place="nowhere", shown={"mode": "append"})

        assert gateway.job(job_id)["blocks"] == []
        asked = gateway.job(job_id, debug="blocks,block_log")
        assert (asked["blocks"], asked["block_log"]) == ([], [])
        assert gateway.post(f"/v0/jobs/{job_id}/cancel").json["status"] == "cancelled"

    def test_what_holds_a_job_up_is_said_while_it_works_and_not_afterwards(self, gateway):
        held = ({"note": "It will be tried again: no answer"}, 1)
        at_work, goes_on = make_job(gateway, "taken", held), make_job(gateway, "taken", held, ({"note": ""}, 2))

        assert gateway.job(at_work)["note"] == "It will be tried again: no answer"
        assert "note" not in gateway.job(goes_on)
        assert "note" not in gateway.job(make_job(gateway, "taken", held, Status.DONE))

    def test_progress_moves_while_it_works(self, gateway):
        async def watch():
            async with jobs_of(gateway) as (store, workspace_id):
                job = await store.create_taken(NewJob(workspace_id=workspace_id, kind=KIND), "test", 60)
                seen = []
                for percent in (0, 12.5, 99.999):
                    block = {"block_id": f"b-{percent}"}
                    shown = {"blocks": [block], "block_log": [{**block, "status": "done"}]}
                    await store.checkpoint(job.lease, job.id, {"at": percent}, shown=shown, progress=percent)
                    found = await asyncio.to_thread(gateway.job, job.id, debug="blocks,block_log")
                    seen.append((found["progress_percentage"], found["blocks"], found["block_log"][0]["status"]))
                await store.finish(job.lease, job.id, Status.DONE)
                return seen, await asyncio.to_thread(gateway.job, job.id)

        seen, done = asyncio.run(watch())

        assert seen == [
            (0, [{"block_id": "b-0"}], "done"),
            (12.5, [{"block_id": "b-12.5"}], "done"),
            (100, [{"block_id": "b-99.999"}], "done"),
        ]
        assert (done["status"], done["progress_percentage"]) == ("done", 100)
        assert "blocks" not in done

    def test_nothing_the_code_of_a_job_shows_can_pass_for_what_the_record_says(self, gateway):
        shown = {"status": "done", "error": "no", "errors": ["no"], "id": "x", "job_url": "javascript:"}
        job_id = make_job(gateway, (shown, 5), datasource_id="t_1", datasource_name="orders")

        job = gateway.job(job_id)

        assert (job["id"], job["status"], "error" in job, "errors" in job) == (job_id, "working", False, False)
        assert job["job_url"].endswith(job_id)
        assert job["datasource"] == {"id": "t_1", "name": "orders"}


class TestList:
    def test_the_newest_come_first_and_without_what_is_long(self, gateway):
        marks = {"pipe_id": "t_7", "pipe_name": gateway.new_name("pipe")}
        made = [make_job(gateway, ({"blocks": [1], "block_log": [1]}, 3), **marks) for _ in range(3)]

        found = listed(gateway, pipe_name=marks["pipe_name"])

        assert [job["id"] for job in found] == made[::-1]
        assert not any({"blocks", "block_log"} & job.keys() for job in found)
        assert {(job["pipe_id"], job["pipe_name"]) for job in found} == {("t_7", marks["pipe_name"])}

    def test_filters_combine(self, gateway):
        name = gateway.new_name("pipe")
        done = make_job(gateway, Status.DONE, pipe_id="t_1", pipe_name=name)
        waiting = make_job(gateway, pipe_id="t_2", pipe_name=name)
        made_at = gateway.job(waiting)["created_at"]

        def ids(**filters):
            return [job["id"] for job in listed(gateway, pipe_name=name, **filters)]

        assert ids() == [waiting, done]
        assert ids(status="done", kind=KIND) == ids(pipe_id="t_1") == [done]
        assert ids(created_after=made_at) == ids(created_after=made_at.replace(" ", "T") + "Z") == [waiting]
        assert ids(created_before=made_at.replace(" ", "T") + "+00:00", status="waiting") == [waiting]
        assert ids(created_before="2020-01-01") == []
        assert ids(kind="", status="") == [waiting, done]

    @pytest.mark.parametrize(
        "filters",
        [
            {"kind": "nonsense"},
            {"status": "nonsense"},
            {"pipe_id": "t_0' OR 1=1"},
            {"created_after": "yesterday"},
            {"created_before": "9999999-01-01"},
            {"kind": "import\0"},
        ],
    )
    def test_what_means_nothing_finds_nothing(self, gateway, filters):
        make_job(gateway)

        assert listed(gateway, **filters) == []

    def test_a_plus_that_was_not_escaped_is_understood(self, gateway):
        job_id = make_job(gateway)
        made_at = gateway.job(job_id)["created_at"].replace(" ", "T")

        answer = gateway.request("GET", f"/v0/jobs?created_after={made_at}+00:00&kind={KIND}")

        assert job_id in [job["id"] for job in answer.json["jobs"]]


class TestCancelAndRetry:
    def test_a_waiting_job_is_cancelled_at_once(self, gateway):
        job_id = make_job(gateway)

        answer = gateway.post(f"/v0/jobs/{job_id}/cancel")

        assert (answer.status, answer.json["id"], answer.json["status"]) == (200, job_id, "cancelled")
        assert answer.json["is_cancellable"] is False

    def test_a_working_job_is_cancelling_until_its_worker_notices(self, gateway):
        job_id = make_job(gateway, "taken")

        answers = [gateway.post(f"/v0/jobs/{job_id}/cancel") for _ in range(2)]

        assert [(answer.status, answer.json["status"]) for answer in answers] == [(200, "cancelling")] * 2

    @pytest.mark.parametrize("status", [Status.DONE, Status.ERROR, Status.CANCELLED])
    def test_an_ended_job_is_refused(self, gateway, status):
        job_id = make_job(gateway, status)

        answer = gateway.post(f"/v0/jobs/{job_id}/cancel")

        assert (answer.status, answer.error) == (409, f'Job "{job_id}" can not be cancelled: it is {status} already')
        assert gateway.job(job_id)["status"] == status

    def test_a_failed_import_is_done_again_as_another_job(self, gateway):
        job_id = make_job(gateway, Status.ERROR, kind="import", spec={"mode": "append"}, datasource_name="gone")

        answer = gateway.post(f"/v0/jobs/{job_id}/retry")

        assert answer.status == 200
        assert answer.json["id"] != job_id
        assert (answer.json["kind"], answer.json["status"]) == ("import", "waiting")
        gateway.post(f"/v0/jobs/{answer.json['id']}/cancel")

    @pytest.mark.parametrize("steps", [(), ("taken",), (Status.DONE,), (Status.ERROR,)])
    def test_what_is_no_failed_import_is_not_done_again(self, gateway, steps):
        answer = gateway.post(f"/v0/jobs/{make_job(gateway, *steps)}/retry")

        assert answer.status == 409
        assert "only an import that ended in error or was cancelled can" in answer.error

    @pytest.mark.parametrize(
        "method, path", [("GET", "/v0/jobs/{}"), ("POST", "/v0/jobs/{}/cancel"), ("POST", "/v0/jobs/{}/retry")]
    )
    @pytest.mark.parametrize("job_id", ["00000000-0000-0000-0000-000000000000", "x", "a%00b", "%27%20OR%201", "é"])
    def test_what_is_not_there_is_not_found(self, gateway, method, path, job_id):
        answer = gateway.request(method, path.format(job_id.replace("é", "%C3%A9")))

        assert answer.status == 404
        assert "does not exist" in answer.error

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_other_methods_are_refused(self, gateway, method):
        assert gateway.request(method, f"/v0/jobs/{make_job(gateway)}").status == 405


class TestTokens:
    def test_those_who_create_data_sources_and_who_started_it_see_a_job(self, gateway):
        creator = gateway.make_token("DATASOURCES:CREATE")
        name = gateway.create_datasource("id UInt32, word String")
        appender = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(name)}")
        started = gateway.request(
            "POST", f"/v1/datasources/{name}/append?format=csv&dialect_has_header=false", CSV, token=appender
        )
        assert started.status == 200, started.text
        job_id = started.json.get("import_id") or started.json["id"]

        for token in (gateway.token, creator, appender):
            assert gateway.get(f"/v0/jobs/{job_id}", token=token).status == 200
            assert job_id in [job["id"] for job in listed(gateway, token=token)]
        assert [job["id"] for job in listed(gateway, token=appender)] == [job_id]

    @pytest.mark.parametrize("scope", ["DATASOURCES:DROP", "TOKENS", "WORKSPACE:READ_ALL"])
    def test_others_are_refused_and_their_list_is_empty(self, gateway, scope):
        other = gateway.make_token(scope)
        job_id = make_job(gateway, token_id="somebody")

        assert listed(gateway, token=other) == []
        for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
            answer = gateway.request(method, f"/v0/jobs/{job_id}{path}", token=other)
            assert answer.status == 403
            assert "DATASOURCES:CREATE" in answer.error
        assert gateway.job(job_id)["status"] == "waiting"

    @pytest.mark.parametrize("path", ["/v0/jobs", "/v0/jobs/x"])
    def test_nobody_gets_in_without_a_token(self, gateway, path):
        assert gateway.get(path, token="").status == 403
