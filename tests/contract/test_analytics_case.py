"""A product's analytics: three endpoints over January's flights, published as the tutorial does it, and counted again here.

Nothing of the gateway or of ClickHouse counts here: plain Python over the same files.
"""

import csv
import os
import re
import shutil
import subprocess
from bisect import bisect_right
from collections import defaultdict
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import orjson
import pytest
from verdin.client import Client

from tests.support.gateway import with_query
from tests.support.sdk import Sdk, needs_sdk
from tests.support.zstd import decompress

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy" / "demo"
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
STEPS = re.findall(r"```sh\n(.*?)```(?:\n+```text\n(.*?)```)?", TUTORIAL, re.DOTALL)[2:]  # the first two start it
ROUNDED = 0.0051  # minutes of two digits

FLIGHTS = [orjson.loads(line) for line in decompress((DEMO / "flights-2013-01.ndjson.zst").read_bytes()).splitlines()]
for each in FLIGHTS:
    each["date"] = f"{each['year']}-{each['month']:02}-{each['day']:02}"
AIRLINES = dict(csv.reader((DEMO / "airlines.csv").read_text().splitlines()[1:]))
WEATHER = list(csv.DictReader(decompress((DEMO / "weather-2013-01.csv.zst").read_bytes()).decode().splitlines()))

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the tutorial uses curl")


@pytest.fixture(scope="module")
def product(gateway):
    """A workspace with all that the tutorial makes in it, and what its commands printed."""
    made = gateway.create_workspace()
    script = "\n".join(f"{commands}\necho -----" for commands, _ in STEPS)
    environment = {**os.environ, "URL": f"http://127.0.0.1:{gateway.port}", "TOKEN": made["token"]}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    yield SimpleNamespace(gateway=gateway, token=made["token"], printed=done.stdout.split("-----\n"))
    gateway.drop_workspace(made["id"])


@pytest.fixture(scope="module")
def ask(product):
    def ask(pipe, /, **params):
        answer = product.gateway.get(f"/v0/pipes/{pipe}.json", token=product.token, **params)
        assert answer.status == 200, answer.text
        return answer.json["data"]

    return ask


def test_the_commands_of_the_tutorial_print_what_it_says(product):
    said = [
        (commands, printed, text) for (commands, text), printed in zip(STEPS, product.printed, strict=False) if text
    ]

    assert len(said) >= 5
    for commands, printed, text in said:
        assert printed == text, commands


# Punctuality


def punctuality(first="2013-01-01", last="2013-12-31", carriers=None, min_flights=1):
    groups = defaultdict(list)
    for flight in FLIGHTS:
        if first <= flight["date"] <= last and (carriers is None or flight["carrier"] in carriers):
            groups[flight["carrier"]].append(flight)
    found = {}
    for carrier, flights in groups.items():
        arrived = sorted(known(flights, "arr_delay"))
        if len(flights) >= min_flights:
            found[carrier] = {
                "carrier": carrier,
                "airline": AIRLINES[carrier],
                "flights": len(flights),
                "cancelled": len(flights) - len(known(flights, "dep_time")),
                "avg_dep_delay": average(known(flights, "dep_delay"), ROUNDED),
                "avg_arr_delay": average(arrived, ROUNDED),
                "p90_arr_delay": arrived[int(len(arrived) * 0.9)] if arrived else None,
                "on_time": pytest.approx(sum(delay < 15 for delay in arrived) / len(flights), abs=0.000051),
            }
    return found


@pytest.mark.parametrize(
    ("params", "meant"),
    [
        ({}, {}),
        ({"carriers": "UA,HA"}, {"carriers": ["UA", "HA"]}),
        ({"carriers": "OO"}, {"carriers": ["OO"]}),  # one flight
        ({"carriers": "XX"}, {"carriers": []}),
        ({"carriers": ""}, {"carriers": []}),
        ({"carriers": "A'A,B6"}, {"carriers": ["B6"]}),
        ({"min_flights": "2000"}, {"min_flights": 2000}),
        ({"date_from": "2013-01-31"}, {"first": "2013-01-31"}),  # where the day in UTC is another in the evening
        ({"date_from": "2013-01-05", "date_to": "2013-01-05"}, {"first": "2013-01-05", "last": "2013-01-05"}),
        ({"date_from": "2013-01-05", "date_to": "2013-01-04"}, {"first": "2013-01-05", "last": "2013-01-04"}),
    ],
)
def test_punctuality_is_what_python_counts(ask, params, meant):
    found = ask("punctuality", **params)

    assert {row["carrier"]: row for row in found} == punctuality(**meant)
    assert len({row["carrier"] for row in found}) == len(found)
    assert [row["on_time"] for row in found] == sorted((row["on_time"] for row in found), reverse=True)


@pytest.mark.parametrize(("column", "descending"), [("flights", "1"), ("airline", "0"), ("cancelled", "false")])
def test_punctuality_is_ordered_as_asked(ask, column, descending):
    found = [row[column] for row in ask("punctuality", order_by=column, descending=descending)]

    assert found == sorted(found, reverse=descending == "1")
    assert len(found) == len(AIRLINES)


@pytest.mark.parametrize(
    ("pipe", "params", "sentence"),
    [
        ("punctuality", {"order_by": "flights; DROP TABLE flights"}, "Unknown expression identifier"),
        ("punctuality", {"date_from": "yesterday"}, "Error validating 'yesterday' to type Date"),
        ("punctuality", {"min_flights": "-1"}, "Error validating '-1' to type UInt32"),
        ("busiest_routes", {"page": "-1"}, "page counts from 0, and page_size is 1 to 100"),
        ("busiest_routes", {"page_size": "101"}, "page counts from 0, and page_size is 1 to 100"),
        ("delays_by_weather", {"granularity": "minute"}, "granularity is hour, day, week or month"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(product, pipe, params, sentence):
    answer = product.gateway.get(f"/v0/pipes/{pipe}.json", token=product.token, **params)

    assert answer.status == 400
    assert sentence in answer.error


# Routes


@pytest.mark.parametrize("params", [{}, {"origin": "JFK"}, {"origin": "LGA", "carrier": "DL"}, {"origin": "%"}])
def test_all_pages_of_the_routes_are_what_python_counts(ask, params):
    groups = defaultdict(list)
    for flight in FLIGHTS:
        if all(flight[name] == value for name, value in params.items()):
            groups[flight["origin"], flight["dest"]].append(flight)
    total = sum(map(len, groups.values()))
    expected = [
        {
            "origin": origin,
            "dest": dest,
            "flights": len(flights),
            "airlines": len({flight["carrier"] for flight in flights}),
            "distance": flights[0]["distance"],
            "avg_air_time": average(known(flights, "air_time"), 0.051),
            "share": pytest.approx(len(flights) / total, abs=0.000051),
            "routes_total": len(groups),
            "flights_total": total,
        }
        for (origin, dest), flights in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]

    pages = range(len(expected) // 70 + 2)  # and one behind the last
    found = [row for page in pages for row in ask("busiest_routes", page=str(page), page_size="70", **params)]

    assert found == expected


# Weather


@cache
def observed():
    """What is known of the weather at each flight: the last observation at its airport, at most three hours old."""
    by_airport = defaultdict(list)
    for row in WEATHER:
        by_airport[row["origin"]].append(
            (row["time_hour"], float(row["wind_speed"]), float(row["visib"]), float(row["precip"]))
        )
    for rows in by_airport.values():
        rows.sort()
    found = []
    for flight in FLIGHTS:
        rows = by_airport[flight["origin"]]
        at = bisect_right(rows, flight["time_hour"], key=lambda row: row[0])
        last = rows[at - 1] if at else None
        age = moment(flight["time_hour"]) - moment(last[0]) if last else timedelta.max
        found.append((flight, last if age <= timedelta(hours=3) else None))
    return found


def starts_of(flight, granularity):
    day = date.fromisoformat(flight["date"])
    if granularity == "hour":
        return f"{day} {flight['hour']:02}:00:00"
    starts = {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[granularity]
    return f"{starts} 00:00:00"


@pytest.mark.parametrize("granularity", ["hour", "day", "week", "month"])
@pytest.mark.parametrize(
    "params", [{}, {"origin": "EWR", "wind_min": "20"}, {"visibility_max": "0.12"}], ids=["all", "wind", "fog"]
)
def test_delays_beside_the_weather_are_what_python_joins(ask, granularity, params):
    groups = defaultdict(list)
    for flight, weather in observed():
        _, wind, sight, _ = weather or ("", -1.0, 999.0, 0.0)
        if (
            params.get("origin", flight["origin"]) == flight["origin"]
            and wind >= float(params.get("wind_min", "-1"))
            and sight <= float(params.get("visibility_max", "999"))
        ):
            groups[starts_of(flight, granularity)].append((flight, weather))
    expected = []
    for starts, members in sorted(groups.items()):
        delays = known([flight for flight, _ in members], "dep_delay")
        weathers = [weather for _, weather in members if weather]
        expected.append({
            "starts": starts,
            "flights": len(members),
            "late": sum(delay >= 15 for delay in delays),
            "avg_dep_delay": average(delays, ROUNDED),
            "wind_mph": average([weather[1] for weather in weathers], 0.051),
            "visibility_miles": pytest.approx(min((weather[2] for weather in weathers), default=None), abs=ROUNDED),
            "in_rain": sum(weather[3] > 0 for weather in weathers),
        })  # fmt: skip

    assert expected
    assert ask("delays_by_weather", granularity=granularity, **params) == expected


# Who may see what


def test_an_airline_sees_itself_whatever_it_asks_for(product):
    scopes = [{"type": "PIPES:READ", "resource": "punctuality", "fixed_params": {"carriers": "B6"}}]
    target = with_query("/v0/tokens", {"name": "b6", "expiration_time": "4102444800"})
    gateway = product.gateway
    token = gateway.request("POST", target, orjson.dumps({"scopes": scopes}), token=product.token).json["token"]

    for params in ({}, {"carriers": "UA"}, {"carriers": "B6,UA", "min_flights": "0"}, {"q": "SELECT * FROM _"}):
        answer = gateway.get("/v0/pipes/punctuality.json", token=token, **params)
        assert {row["carrier"]: row for row in answer.json["data"]} == punctuality(carriers=["B6"]), params
    for path, params in (
        ("/v0/pipes/busiest_routes.json", {}),
        ("/v0/sql", {"q": "SELECT carrier FROM flights"}),
        ("/v0/pipes/punctuality.json", {"q": "SELECT carrier FROM flights"}),
    ):
        assert gateway.get(path, token=token, **params).status in {400, 403}, path


# Clients


def test_verdin_calls_the_endpoints(product):
    pipes = Client(product.token, f"http://127.0.0.1:{product.gateway.port}").api.pipes

    found = pipes.query("punctuality", parameters={"carriers": "UA,AA", "order_by": "flights"}).data
    pipes.session.close()

    assert [row["flights"] for row in found] == [punctuality()[carrier]["flights"] for carrier in ("UA", "AA")]


@needs_sdk
def test_the_sdk_calls_the_endpoints(product):
    sdk = Sdk(SimpleNamespace(port=product.gateway.port, token=product.token))

    answer = sdk("query", "punctuality", {"carriers": ["UA", "AA"], "order_by": "flights"})

    assert [row["carrier"] for row in answer["data"]] == ["UA", "AA"]


def moment(text):
    return datetime.fromisoformat(text)


def known(flights, name):
    return [flight[name] for flight in flights if flight[name] is not None]


def average(values, within):
    return pytest.approx(mean(values), abs=within) if values else None
