"""Proof: what a user would try on the stack, through the proxy and across nodes. Each step says what it found, or fails."""

import http.client
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from urllib.parse import urlencode

import orjson

from deploy.rehearse.run import Failed, Loopback

_PAUSE_SECONDS = 0.1
_PATIENCE_SECONDS = 60.0
_EVENTS, _BATCH = 2_000, 100
_FILE_BYTES = 9_000_000  # above import_sync_bytes_max: a job
_SENDERS = 4


class Api:
    """Requests to one address, each on a connection of its own."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self._token = token

    def call(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **params: str,
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            target = f"{path}?{urlencode(params)}" if params else path
            connection.request(method, target, body, {"Authorization": f"Bearer {self._token}", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **params: str,
    ) -> Any:
        status, answer = self.call(method, path, body, headers, **params)
        if status not in {200, 201, 202}:
            raise Failed(f"{method} {path} answers {status}: {answer.decode(errors='replace')[:500]}")
        return orjson.loads(answer)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.json("POST", "/v0/sql", f"{sql} FORMAT JSON")["data"]


@dataclass(slots=True)
class Load:
    """Requests of events that go on until they are told to end."""

    api: Api
    name: str
    ended: Event = field(default_factory=Event)
    answers: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def send(self, number: int) -> None:
        sent = 0
        while not self.ended.is_set():
            lines = b"\n".join(orjson.dumps({"id": number * 10**9 + sent + each, "word": "load"}) for each in range(10))
            try:
                status, answer = self.api.call("POST", "/v0/events", lines, name=self.name)
            except (OSError, http.client.HTTPException) as error:
                self.answers[type(error).__name__] += 1
                continue
            self.answers[str(status)] += 1
            if status in {200, 202}:
                self.rows += orjson.loads(answer)["successful_rows"]  # one sender alone adds to its own
            sent += 10
            self.ended.wait(0.02)


class Proof:
    """The steps, in order; `said` is what each found."""

    def __init__(self, loopback: Loopback, nodes: list[str], proxy: str | None) -> None:
        """Talk to `nodes` by way of `proxy`; without one, to the first of them."""
        self._loopback = loopback
        token = loopback.secret("admin_token")
        self._nodes = [Api(loopback.port(name, 7181), token) for name in nodes]
        self._names = nodes
        self._has_proxy = proxy is not None
        self._front = Api(loopback.port(proxy, 7181), token) if proxy else self._nodes[0]
        self.said: list[tuple[str, str]] = []

    def run(self, *, has_prometheus: bool) -> None:
        """Do every step that can be done.

        Raises:
            Failed: one does not hold.
        """
        steps: list[tuple[str, Callable[[], str]]] = []
        if self._has_proxy:
            steps.append(("what the proxy keeps to itself", self.closed_doors))
        steps += [
            ("events in, read from every node", self.events),
            ("a pipe of one node, called on the other", self.pipe),
            ("a file of 9 MB, imported by a job", self.file),
        ]
        if has_prometheus:
            steps.append(("metrics, as Prometheus has them", self.metrics))
        if self._has_proxy:
            steps.append(("a node restarted under load", self.restart))
        for title, step in steps:
            self.said.append((title, step()))

    def closed_doors(self) -> str:
        asked = ("/metrics", "/tokens", "//metrics", "/metrics/", "/%6detrics", "/metrics?x=1", "/./metrics")
        for path in asked:
            status, answer = self._front.call("GET", path)
            _must(status in {403, 404} and b"sluice_" not in answer, f"{path} through the proxy answers {status}")
        said = {"X-Forwarded-Host": "sluice.example", "X-Forwarded-Proto": "gopher", "Host": "public.example"}
        host = self._front.json("GET", "/v0/regions", headers=said)["regions"][0]["host"]
        _must(host == "http://public.example", f"links begin with {host}")
        return f"{len(asked)} spellings of /metrics and /tokens refused; forged headers have no effect on links"

    def events(self) -> str:
        self._front.json(
            "POST", "/v0/datasources", name="rehearsed", schema="id UInt64 `json:$.id`, word String `json:$.word`"
        )
        for start in range(0, _EVENTS, _BATCH):
            lines = (orjson.dumps({"id": start + each, "word": f"w{each}"}) for each in range(_BATCH))
            said = self._front.json("POST", "/v0/events", b"\n".join(lines), name="rehearsed", wait="true")
            _must(said["successful_rows"] == _BATCH, f"events: {said}")
        found = [
            api.rows("SELECT count() AS n, uniqExact(id) AS u, sum(id) AS s FROM rehearsed")[0] for api in self._nodes
        ]
        wanted = {"n": _EVENTS, "u": _EVENTS, "s": sum(range(_EVENTS))}
        for row in found:
            _must({key: int(value) for key, value in row.items()} == wanted, f"read back: {found}, not {wanted}")
        return f"{_EVENTS} rows, the same count and sum from {len(found)} nodes"

    def pipe(self) -> str:
        first, other = self._nodes[0], self._nodes[-1]
        sql = "SELECT count() AS n FROM rehearsed WHERE id < {{UInt64(below, 10)}}"
        first.json("POST", "/v0/pipes", name="below", sql=f"%\n{sql}")
        node = first.json("GET", "/v0/pipes/below")["nodes"][0]["name"]
        first.json("POST", f"/v0/pipes/below/nodes/{node}/endpoint")
        began = time.monotonic()
        answer = _patiently(lambda: other.call("GET", "/v0/pipes/below.json", below="7"), lambda got: got[0] == 200)
        waited = time.monotonic() - began
        n = orjson.loads(answer[1])["data"][0]["n"]
        _must(int(n) == 7, f"the endpoint counts {n}, not 7")
        _must(waited < 2, f"the other node knew the pipe after {waited:.1f} s")
        return f"answered by the other node after {waited:.2f} s"

    def file(self) -> str:
        lines = [b"%d,%s" % (number, b"x" * 80) for number in range(_FILE_BYTES // 90)]
        self._front.json("POST", "/v0/datasources", name="filed", schema="id UInt64, word String")
        said = self._front.json("POST", "/v0/datasources", b"\n".join(lines), name="filed", mode="append", format="csv")
        url = str(said["job_url"])
        _must(url.startswith(f"http://127.0.0.1:{self._front.port}/"), f"job_url is {url}")
        job = _patiently(
            lambda: self._nodes[-1].json("GET", f"/v0/jobs/{said['job_id']}"),
            lambda got: got["status"] in {"done", "error"},
        )
        _must(job["status"] == "done", f"the job ended: {job}")
        n = int(self._nodes[0].rows("SELECT count() AS n FROM filed")[0]["n"])
        _must(n == len(lines), f"{n} rows of {len(lines)}")
        return f"{n} rows; the job is told of by a node that did not take the file"

    def restart(self) -> str:
        self._front.json(
            "POST", "/v0/datasources", name="steady", schema="id UInt64 `json:$.id`, word String `json:$.word`"
        )
        loads = [Load(self._front, "steady") for _ in range(_SENDERS)]
        name = self._names[0]
        with ThreadPoolExecutor(_SENDERS) as pool:
            try:
                sending = [pool.submit(load.send, number) for number, load in enumerate(loads)]
                _patiently(lambda: sum(load.rows for load in loads), lambda rows: rows > 200)
                ended = self._loopback.stop(name).ended
                again = self._loopback.start(self._loopback.running[name].service)
                before = sum(load.rows for load in loads)
                _patiently(lambda: sum(load.rows for load in loads), lambda rows: rows > before + 400)
            finally:
                for load in loads:
                    load.ended.set()
            for each in sending:
                each.result()
        answers = sum((load.answers for load in loads), Counter[str]())
        rows = sum(load.rows for load in loads)
        failed = {status: count for status, count in answers.items() if status not in {"200", "202"}}
        _must(not failed, f"requests failed while {name} was restarted: {failed} of {answers.total()}")
        found = _patiently(
            lambda: self._nodes[0].rows("SELECT count() AS n, uniqExact(id) AS u FROM steady")[0],
            lambda row: int(row["n"]) >= rows,
        )
        _must(int(found["n"]) == int(found["u"]) == rows, f"{rows} rows were answered for, and there are {found}")
        return (
            f"{name} stopped ({ended}) and ready again after {again.healthy_seconds:.1f} s: {answers.total()} requests, "
            f"0 failed; {rows} rows, each once"
        )

    def metrics(self) -> str:
        api = Api(self._loopback.port("prometheus", 9090), "")
        targets = _patiently(
            lambda: api.json("GET", "/api/v1/targets")["data"]["activeTargets"],
            lambda found: bool(found) and all(each["health"] != "unknown" for each in found),
        )
        down = sorted(each["discoveredLabels"]["job"] for each in targets if each["health"] != "up")
        _must(set(down) <= {"clickhouse"}, f"not reached by Prometheus: {down}")  # the engine has no exporter
        query = 'sum(sluice_ingest_accepted_rows_total{datasource=~".*rehearsed"})'
        found = _patiently(
            lambda: api.json("GET", "/api/v1/query", query=query)["data"]["result"],
            lambda result: bool(result) and float(result[0]["value"][1]) == _EVENTS,
        )
        groups = api.json("GET", "/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        ill = [rule["name"] for rule in rules if rule["health"] == "err"]
        _must(not ill, f"rules that fail: {ill}")
        return f"{len(targets) - len(down)} of {len(targets)} targets up (the engine has no exporter), {len(rules)} rules, {found[0]['value'][1]} events counted on all nodes"


def _must(holds: bool, sentence: str) -> None:
    if not holds:
        raise Failed(sentence)


def _patiently(look: Callable[[], Any], is_it: Callable[[Any], object]) -> Any:
    """Return what `look` finds when it is as wanted."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_it(found := look()):
        if time.monotonic() > deadline:
            raise Failed(f"after {_PATIENCE_SECONDS:.0f} s it is still {found!r:.500}")
        time.sleep(_PAUSE_SECONDS)
    return found
