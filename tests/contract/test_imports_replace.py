"""Replace: all rows, and those that meet a condition; what readers see meanwhile. Source: datasources.md §2.5."""

import threading
import time

import pytest

from tests.support.gateway import Gateway
from tests.support.imports import SCHEMA, ended, rows, send

PARTITIONED = {"engine": "MergeTree", "engine_sorting_key": "id", "engine_partition_key": "id % 4"}


@pytest.fixture
def name(gateway: Gateway) -> str:
    """The rows 0 to 99, in four partitions."""
    made = gateway.create_datasource(SCHEMA, **PARTITIONED)
    assert send(gateway, lines(range(100), "old"), name=made, mode="append").status == 200
    return made


def lines(numbers, word: str) -> bytes:
    return b"".join(b"%d,%s\n" % (number, word.encode()) for number in numbers)


def test_replace_puts_the_new_rows_in_place_of_all(gateway, name):
    answer = send(gateway, lines([1, 2], "new"), name=name, mode="replace")

    assert answer.status == 200
    assert answer.json["datasource"]["statistics"]["row_count"] == 2
    assert rows(gateway, name) == [(1, "new"), (2, "new")]


def test_what_a_replaced_data_source_is_stays(gateway, name):
    gateway.post("/v0/datasources", lines([1], "new"), name=name, mode="replace")
    again = gateway.get(f"/v0/datasources/{name}").json

    gateway.post_events(name, [{"id": 5, "name": "event"}], wait="true")

    assert again["engine"]["partition_key"] == "id % 4"
    assert rows(gateway, name) == [(1, "new"), (5, "event")]


def test_rows_that_do_not_fit_go_to_the_quarantine_of_the_data_source(gateway, name):
    answer = send(gateway, b"1,new\nx,bad\n", name=name, mode="replace")

    assert answer.json["error"] == "There was an error with file contents: 1 row in quarantine."
    assert rows(gateway, name) == [(1, "new")]
    assert gateway.count(f"{name}_quarantine") == 1


@pytest.mark.parametrize("body", [b"x,bad\n", b"\n\n"], ids=["nothing fits", "blank lines"])
def test_a_file_without_a_row_that_fits_replaces_nothing(gateway, name, body):
    send(gateway, body, name=name, mode="replace")

    assert gateway.count(name) == 100


def test_an_empty_file_replaces_only_if_that_was_asked_for(gateway, name):
    refused = send(gateway, b"", name=name, mode="replace")
    assert refused.status == 400
    assert gateway.count(name) == 100

    assert send(gateway, b"", name=name, mode="replace", replace_truncate_when_empty="true").status == 200
    assert gateway.count(name) == 0


def test_the_newer_path_replaces_with_a_job(gateway, name):
    answer = gateway.post(f"/v1/datasources/{name}/replace", lines([1], "new"), format="csv")

    job = ended(gateway, answer.json["id"])

    assert (job["status"], job["mode"]) == ("done", "replace")
    assert rows(gateway, name) == [(1, "new")]


def test_replacing_what_is_not_there_is_404(gateway):
    assert send(gateway, b"1,a\n", name="nobody_made_this", mode="replace").status == 404


# With a condition


def test_only_rows_that_match_are_replaced_and_only_by_rows_that_match(gateway, name):
    answer = send(
        gateway, lines([1, 5, 50], "new"), name=name, mode="replace", replace_condition="id < 10", debug="blocks"
    )

    assert answer.status == 200
    found = dict(rows(gateway, name))
    # 1 and 5 are in the partition 1: of that the matching rows went. 50 does not match.
    assert {number: word for number, word in found.items() if word == "new"} == {1: "new", 5: "new"}
    assert set(found) == set(range(100)) - {9}
    job = gateway.get(f"/v0/jobs/{answer.json['import_id']}").json
    assert job["unmatched_rows"] == 1
    assert job["replace_condition"] == "id < 10"


def test_partitions_without_new_rows_are_not_touched(gateway, name):
    send(gateway, lines([2], "new"), name=name, mode="replace", replace_condition="id >= 0")

    found = rows(gateway, name)
    assert [number for number, _ in found if number % 4 == 2] == [2]
    assert len(found) == 76


def test_a_replace_with_condition_of_a_table_without_partitions(gateway):
    name = gateway.create_datasource(SCHEMA)
    send(gateway, lines(range(10), "old"), name=name, mode="append")

    send(gateway, lines([3], "new"), name=name, mode="replace", replace_condition="id BETWEEN 2 AND 4")

    assert [number for number, _ in rows(gateway, name)] == [0, 1, 3, 5, 6, 7, 8, 9]


def test_new_rows_of_which_none_matches_replace_nothing(gateway, name):
    answer = send(gateway, lines([500], "new"), name=name, mode="replace", replace_condition="id < 10")

    assert answer.status == 400
    assert "nothing was replaced" in answer.error
    assert gateway.count(name) == 100


@pytest.mark.parametrize(
    "condition",
    [
        "id <",
        "1 = 1; DROP TABLE x",
        "id IN (SELECT 1)",
        "file('/etc/passwd') = ''",
        "nothing = 1",
        "toDate(name, 'x', 'y', 1)",
        "sum(id) > 1",
        "7",
    ],
)
def test_a_condition_that_is_none_is_400_and_nothing_is_replaced(gateway, name, condition):
    refused = send(gateway, lines([1], "new"), name=name, mode="replace", replace_condition=condition)

    assert refused.status == 400
    assert " " in refused.error
    assert "ws_" not in refused.error
    assert gateway.count(name) == 100


# What others see


def test_readers_see_the_old_rows_or_the_new_ones_and_never_a_mixture(gateway):
    name = gateway.create_datasource(SCHEMA, **PARTITIONED)
    size, turns = 20_000, 6
    send(gateway, lines(range(size), "v0"), name=name, mode="append")
    seen: list[set[tuple[str, int]]] = [set(), set()]
    stop = threading.Event()

    def read(number: int) -> None:
        while not stop.is_set():
            found = gateway.sql(f"SELECT name, count() AS n FROM {name} GROUP BY name")
            seen[number].update((row["name"], int(row["n"])) for row in found)
            assert len(found) == 1, found

    readers = [_Thread(read, number) for number in range(2)]
    for turn in range(1, turns + 1):
        condition = {"replace_condition": "id >= 0"} if turn % 2 else {}
        assert send(gateway, lines(range(size), f"v{turn}"), name=name, mode="replace", **condition).status == 200
    stop.set()
    for reader in readers:
        reader.end()

    assert seen[0] | seen[1] <= {(f"v{turn}", size) for turn in range(turns + 1)}
    assert min(map(len, seen)) >= 2, "nobody read while it was replaced"


def test_no_event_is_lost_while_rows_are_replaced_by_condition(gateway):
    name = gateway.create_datasource(SCHEMA, **PARTITIONED)
    send(gateway, lines(range(1000), "old"), name=name, mode="append")
    stop = threading.Event()
    sent: list[int] = []

    def produce(_: int) -> None:
        number = 1_000_000
        while not stop.is_set():
            events = [{"id": number + each, "name": "event"} for each in range(20)]
            gateway.post_events(name, events, wait="true")
            sent.extend(event["id"] for event in events)
            number += 20

    producer = _Thread(produce, 0)
    for turn in range(2):
        body = lines(range(500), f"v{turn}")
        assert send(gateway, body, name=name, mode="replace", replace_condition="id < 1000").status == 200
    stop.set()
    producer.end()

    assert len(sent) > 20
    assert gateway.await_count(name, 500 + len(sent)) == 500 + len(sent)
    found = rows(gateway, name)
    assert [number for number, word in found if word == "event"] == sorted(sent)
    assert [(number, word) for number, word in found if word != "event"] == [(number, "v1") for number in range(500)]


class _Thread:
    """A thread whose failure is the test's."""

    def __init__(self, work, number: int) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work, number))
        self._thread.start()

    def _run(self, work, number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        deadline = time.monotonic() + 60
        self._thread.join(deadline - time.monotonic())
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
