"""Locust: the stories of k6/ for those who would rather write Python. Run it by `loadtest/load.py --tool locust STORY`.

    SLUICE_STORY=mixed locust -f loadtest/locustfile.py --host http://127.0.0.1:7181 --headless -u 20 -r 20 -t 60s

Exit code 1 if a threshold does not hold; they are printed at the end. One Python process makes a few hundred requests a
second: for the limits of a gateway use k6, or bench.py.
"""

import gzip
import json
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import requests
from locust import FastHttpUser, LoadTestShape, between, constant, constant_throughput, events

STORY = os.environ.get("SLUICE_STORY", "steady")
SECONDS = int(float(os.environ.get("SECONDS", "60")))
USERS = int(os.environ.get("VUS", "20"))
SOURCES = int(os.environ.get("SOURCES", "100" if STORY == "sources" else "1"))

SCHEMA = (
    "id UInt64 `json:$.id`, ts DateTime64(3) `json:$.ts`, user String `json:$.user`, "
    "event LowCardinality(String) `json:$.event`, path String `json:$.path`, "
    "duration_ms UInt32 `json:$.duration_ms`, price Float64 `json:$.price`, is_new Bool `json:$.is_new`"
)
EVENTS = ("page_view", "click", "add_to_cart", "purchase", "search", "login")

# What a story promises: share of failures, share of refusals (503), p99 in ms of requests that were answered.
PROMISES = {
    "failed": 0.001,
    "refused": {"spike": 0.2}.get(STORY, 0.01),
    "p99_ms": {"spike": 3000, "mixed": 3000}.get(STORY, 500),
}

_shared = {"token": "", "names": [], "accepted": 0, "answered": 0, "refused": 0}


def event() -> dict:
    return {
        "id": random.getrandbits(50),
        "ts": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "user": f"user-{random.randrange(10**6)}",
        "event": random.choice(EVENTS),
        "path": f"/shop/category-{random.randrange(100)}/item-{random.randrange(10**6)}",
        "duration_ms": random.randrange(20_000),
        "price": random.randrange(10**6) / 100,
        "is_new": random.random() < 0.5,
    }


def body(rows: int, kept: dict[int, bytes] = {}) -> bytes:  # noqa: B006  made once: that is the point
    if rows not in kept:
        kept[rows] = "\n".join(json.dumps(event()) for _ in range(rows)).encode()
    return kept[rows]


@events.test_start.add_listener
def prepare(environment, **_) -> None:
    """Find the token, make data sources."""
    host = environment.host
    token = os.environ.get("SLUICE_TOKEN", "")
    if named := os.environ.get("SLUICE_TOKEN_FILE"):
        token = token or Path(named).read_text().strip()
    token = token or requests.get(f"{host}/tokens", timeout=10).json()["workspace_admin_token"]
    _shared["token"] = token
    for number in range(SOURCES):
        name = f"locust_{STORY}_{int(time.time())}_{number}"
        form = {"name": name, "schema": SCHEMA, "engine": "MergeTree", "engine_sorting_key": "event, ts"}
        made = requests.post(
            f"{host}/v0/datasources", data=form, headers={"Authorization": f"Bearer {token}"}, timeout=60
        )
        made.raise_for_status()
        _shared["names"].append(name)


@events.quitting.add_listener
def judge(environment, **_) -> None:
    """Hold the numbers against the promises."""
    total = environment.stats.total
    answered = max(1, _shared["answered"])
    found = {
        "failed": total.fail_ratio,
        "refused": _shared["refused"] / answered,
        "p99_ms": total.get_response_time_percentile(0.99) or 0,
    }
    print(f"\n{_shared['accepted']} rows accepted")
    for name, most in PROMISES.items():
        holds = found[name] <= most
        print(f"{'ok    ' if holds else 'BROKEN'} {name} {found[name]:.4g}, at most {most}")
        if not holds:
            environment.process_exit_code = 1


class Sender(FastHttpUser):
    """Somebody who sends events. Stories differ in how many rows, how often, and how they are packed."""

    abstract = True
    rows = 100

    def send(self, rows: int, *, wait: bool = False, packed: bool = False, token_in_url: bool = False) -> None:
        params = {"name": random.choice(_shared["names"])}
        headers = {}
        if token_in_url:
            params["token"] = _shared["token"]
        else:
            headers["Authorization"] = f"Bearer {_shared['token']}"
        if wait:
            params["wait"] = "true"
        data = body(rows)
        if packed:
            data, headers["Content-Encoding"] = gzip.compress(data, 1), "gzip"
        with self.client.post(
            f"/v0/events?{urlencode(params)}", data=data, headers=headers, name="/v0/events", catch_response=True
        ) as answer:
            _shared["answered"] += 1
            if answer.status_code == 503:
                _shared["refused"] += 1
                answer.success()
            elif answer.status_code != (200 if wait else 202):
                answer.failure(f"answered {answer.status_code}")
            elif answer.json() != {"successful_rows": rows, "quarantined_rows": 0}:
                answer.failure(f"answered {answer.text}")
            else:
                _shared["accepted"] += rows


def story(name: str, **members) -> None:
    """Make the class of a story, if it is the one that runs: locust takes every class it finds."""
    if name == STORY:
        globals()[name.title()] = type(name.title(), (Sender,), members)


story("steady", wait_time=constant_throughput(10), tasks=[lambda user: user.send(100)])
story("soak", wait_time=constant_throughput(5), tasks=[lambda user: user.send(100)])
story("ramp", wait_time=constant(0), tasks=[lambda user: user.send(100)])
story("spike", wait_time=constant(0), tasks=[lambda user: user.send(20)])
story("sources", wait_time=constant(0), tasks=[lambda user: user.send(50)])
story("gzip", wait_time=constant(0), tasks=[lambda user: user.send(1000, packed=True)])
story("browser", wait_time=between(0.2, 0.8), tasks=[lambda user: user.send(1, token_in_url=True)])
story(
    "mixed",
    wait_time=constant(0),
    tasks={
        (lambda user: user.send(1)): 50,
        (lambda user: user.send(100)): 30,
        (lambda user: user.send(10_000)): 1,
        (lambda user: user.send(10, wait=True)): 5,
    },
)

if STORY in {"ramp", "spike"}:

    class Shape(LoadTestShape):
        """How many users there are at which moment."""

        def tick(self):
            share = self.get_run_time() / SECONDS
            if share >= 1:
                return None
            if STORY == "ramp":
                return max(1, round(USERS * min(1, share / 0.6))), USERS
            return (USERS * 10 if 1 / 5 <= share < 2 / 5 or 3 / 5 <= share < 4 / 5 else USERS), USERS * 10
