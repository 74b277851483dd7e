"""What 202 promises: whoever dies, every row that was answered for is in ClickHouse afterwards, once."""

import threading
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from itertools import count

from tests.support.gateway import Gateway, shared_gateway, show_gateway_log  # noqa: F401  fixtures

_THREADS = 4
_ROWS_PER_REQUEST = 5


class Producers:
    """Clients that send events until they are told to stop, and remember what they were answered."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self._gateway = gateway
        self._name = name
        self._ids = count()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.sent: set[int] = set()
        self.answered: set[int] = set()
        self.failures = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(_THREADS)]

    def until(self, condition: Callable[[], bool]) -> None:
        """Send until `condition()`; checked after each answer."""
        self._condition = condition
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def await_answers(self, number: int) -> None:
        while len(self.answered) < number and any(thread.is_alive() for thread in self._threads):
            self._stop.wait(0.005)
        assert len(self.answered) >= number

    def _run(self) -> None:
        while not self._stop.is_set() and not self._condition():
            with self._lock:
                ids = [next(self._ids) for _ in range(_ROWS_PER_REQUEST)]
                self.sent.update(ids)
            try:
                status = self._gateway.post_events(self._name, [{"id": each} for each in ids]).status
            except (OSError, HTTPException):
                status = 0
            with self._lock:
                if status == 202:
                    self.answered.update(ids)
                else:
                    self.failures += 1


def _stored(gateway: Gateway, name: str, at_least: int) -> Counter[int]:
    gateway.await_count(name, at_least)
    return Counter(row["id"] for row in gateway.sql(f"SELECT id FROM {name}"))


def _check(stored: Counter[int], producers: Producers) -> None:
    assert producers.answered - stored.keys() == set(), "answered, and lost"
    assert [each for each, times in stored.items() if times > 1] == [], "stored twice"
    assert stored.keys() - producers.sent == set(), "stored, and never sent"


def test_what_was_answered_before_kill_9_of_everything_is_there_once(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    producers = Producers(gateway, name)
    producers.until(lambda: producers.failures > 20)
    producers.await_answers(500)

    gateway.kill()
    producers.stop()
    gateway.start()

    _check(_stored(gateway, name, len(producers.answered)), producers)
    assert gateway.post_events(name, [{"id": 4_000_000_000}], wait="true").counts == (200, 1, 0)


def test_a_worker_that_is_killed_takes_nothing_with_it_and_is_replaced(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    before = gateway.worker_pids()
    producers = Producers(gateway, name)
    producers.until(lambda: False)
    producers.await_answers(300)

    gateway.kill_worker(0)
    producers.await_answers(len(producers.answered) + 300)  # the other one goes on
    producers.stop()

    _check(_stored(gateway, name, len(producers.answered)), producers)
    assert len(set(gateway.worker_pids()) - set(before)) == 1
    assert gateway.is_alive()


def test_a_clean_stop_sends_what_is_pending_and_the_next_start_has_it_all(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    for number in range(20):
        assert gateway.post_events(name, [{"id": number}]).status == 202
    assert gateway.post_events(name, [{"id": -1}]).counts == (202, 0, 1)

    assert gateway.stop() == 0
    gateway.start()

    assert gateway.sql(f"SELECT id FROM {name} ORDER BY id") == [{"id": number} for number in range(20)]
    assert gateway.count(f"{name}_quarantine") == 1
