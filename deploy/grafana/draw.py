"""Pictures of the dashboard from a real run, for the documents, where there is no Grafana to take a screenshot of.

A gateway, its engine and a worker run on loopback under a small load with bad rows, calls of endpoints, imports and an
outage of the engine; a real Prometheus scrapes them; then each panel's own queries are asked of it and drawn.

    make pictures          needs loadtest/.venv (matplotlib), and prometheus (Debian: apt-get install prometheus)
"""

import argparse
import http.client
import json
import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import dates
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, MaxNLocator

ROOT = Path(__file__).resolve().parents[2]
PANELS = json.loads((ROOT / "deploy/grafana/dashboards/sluice.json").read_text())["panels"]
STEP = 2  # seconds between scrapes, and between the points of a curve
FILLED = {"$node": ".*", "$datasource": ".*", "$pipe": ".*", "$__rate_interval": "14s"}
PICTURES = {
    "dashboard-rows.png": ("Now", "Rows", "Into ClickHouse"),
    "dashboard-requests.png": ("Requests", "Endpoints", "Jobs", "Processes"),
}
RATES = {"rowsps": ", rows/s", "reqps": ", requests/s", "ops": ", a second"}
STYLE = {
    "font.size": 6.5, "axes.titlesize": 7.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.edgecolor": "#cccccc",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e8e8e8", "axes.axisbelow": True,
    "xtick.color": "#666666", "ytick.color": "#666666", "lines.linewidth": 1.0,
    "axes.prop_cycle": mpl.cycler(color=["#56a64b", "#f2cc0c", "#3274d9", "#e02f44", "#8f3bb8", "#ff780a", "#37872d", "#1f60c4", "#a16a4d", "#6d6d6d"]),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--prometheus", default="prometheus")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-picture-") as directory, ExitStack() as stack:
        run = Run(Path(directory), stack, options.prometheus)
        began = time.time()
        run.work(options.seconds)
        draw(run.prometheus, began, time.time(), options.out)


class Run:
    """What is looked at."""

    def __init__(self, directory, stack, prometheus):
        self.directory, self._stack = directory, stack
        self._engine_port, self.port, self.worker_port, self.prometheus = (free_port() for _ in range(4))
        self._password, self.token, self._stop = secrets.token_hex(16), secrets.token_hex(16), threading.Event()
        self._engine = self.start_engine()
        await_port(self._engine_port)
        self._gateway = self.start("gateway", "serve", "--port", self.port, "--workers", "2", "--job-workers", "0", "--admin-token", self.token,
                   "--rate-limits", "datasource.requests=45", *self._clickhouse)  # fmt: skip
        await_port(self.port)
        self.start("worker", "worker", "--worker-port", self.worker_port, *self._clickhouse)
        config = directory / "prometheus.json"  # JSON is YAML
        config.write_text(json.dumps({
            "global": {"scrape_interval": f"{STEP}s", "evaluation_interval": f"{STEP}s"},
            "scrape_configs": [
                {"job_name": "sluice", "static_configs": [{"targets": [f"127.0.0.1:{self.port}"], "labels": {"instance": "gateway-1"}}]},
                {"job_name": "sluice-worker", "static_configs": [{"targets": [f"127.0.0.1:{self.worker_port}"], "labels": {"instance": "worker"}}]},
            ],
        }))  # fmt: skip
        self.spawn("prometheus", [prometheus, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{self.prometheus}",
                                  f"--storage.tsdb.path={directory / 'series'}", "--log.level=warn"])  # fmt: skip
        await_port(self.prometheus)
        self.prepare()

    @property
    def _clickhouse(self):
        return ("--clickhouse-url", f"http://default:{self._password}@127.0.0.1:{self._engine_port}/")

    def start(self, name, *arguments):
        return self.spawn(
            name,
            [
                ROOT / ".venv/bin/sluice",
                *map(str, arguments),
                "--data-dir",
                self.directory / ("engine" if name == "engine" else "data"),
            ],
        )

    def start_engine(self):
        return self.start("engine", "engine", *self._clickhouse)

    def spawn(self, name, command):
        log = (self.directory / f"{name}.log").open("ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)
        self._stack.callback(log.close)
        self._stack.callback(end, process)
        return process

    def prepare(self):
        for name in ("clicks", "orders", "sensors"):
            self.ask(
                "POST",
                "/v0/datasources",
                {
                    "name": name,
                    "schema": "id UInt32 `json:$.id`, at DateTime64(3) `json:$.at`, value Float64 `json:$.value`",
                },
            )
        for name, sql in {
            "recent": "SELECT toStartOfSecond(at) AS s, count() AS c, avg(value) AS v FROM clicks GROUP BY s ORDER BY s DESC LIMIT 60",
            "top_orders": "%\nSELECT id, max(value) AS most FROM orders WHERE value > {{Float64(least, required=True)}} GROUP BY id ORDER BY most DESC LIMIT 10",
        }.items():
            self.ask(
                "POST", "/v0/pipes", body=json.dumps({"name": name, "nodes": [{"name": f"{name}_node", "sql": sql}]})
            )
            self.ask("POST", f"/v0/pipes/{name}/nodes/{name}_node/endpoint")

    def ask(self, method, path, params=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(
                method,
                f"{path}?{urlencode(params)}" if params else path,
                body,
                {"Authorization": f"Bearer {self.token}"},
            )
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass  # its worker was killed
        finally:
            connection.close()

    def work(self, seconds):
        """Load it for so long; the engine is away for the third fifth, and a worker of the gateway is killed after the fourth."""
        loads = [
            threading.Thread(target=self.repeat, args=(pause, what), daemon=True)
            for pause, what in [
                (0.03, lambda n: self.events("clicks", n, 100)),
                (0.05, lambda n: self.events("orders", n, 20, bad=n % 4 == 0)),
                (0.2, lambda n: self.events("sensors", n, 5, wait="true")),
                (0.1, lambda _: self.ask("GET", "/v0/pipes/recent.json")),
                (0.15, lambda n: self.ask("GET", "/v0/pipes/top_orders.json", {"least": "0.5"} if n % 20 else None)),
                (1.0, lambda _: self.ask("GET", "/v0/sql", {"q": "SELECT count() FROM clicks FORMAT JSON"})),
                (
                    10.0,
                    lambda n: self.ask(
                        "POST", "/v0/datasources", {"name": "orders", "mode": "append", "format": "csv"}, self.file(n)
                    ),
                ),
                (25.0, self.burst),
            ]
        ]
        for each in loads:
            each.start()
        time.sleep(seconds * 2 / 5)
        end(self._engine, signal.SIGKILL)
        time.sleep(seconds / 5)
        self._engine = self.start_engine()
        time.sleep(seconds / 5)
        children = Path(f"/proc/{self._gateway.pid}/task/{self._gateway.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        time.sleep(seconds / 5)
        self._stop.set()
        for each in loads:
            each.join(60)

    def repeat(self, pause, what):
        number = 0
        while not self._stop.wait(pause):
            number += 1
            what(number)

    def events(self, name, number, rows, *, bad=False, **params):
        made = [
            {"id": number % 97, "at": time.strftime("%Y-%m-%d %H:%M:%S"), "value": (number * 7 + row) % 101}
            for row in range(rows)
        ]
        if bad:
            made[0] = {"id": "no number", "at": "2026-01-01 00:00:00", "value": 1}
            made[1] = {"at": "2026-01-01 00:00:00"}
        self.ask(
            "POST",
            "/v0/events",
            {"name": name, **params},
            "\n".join(map(json.dumps, made)) + ("\nnot JSON" if bad else ""),
        )

    def file(self, number):
        return "\n".join(f"{number},2026-01-01 00:00:00,{row / 7}" for row in range(20_000 if number % 2 else 400_000))

    def burst(self, number):
        for each in range(600):  # more than its limit takes
            self.events("sensors", number + each, 1)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def await_port(port):
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def end(process, how=signal.SIGTERM):
    if process.poll() is None:
        process.send_signal(how)
        process.wait(60)


def ask_prometheus(port, path, **params):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", f"/api/v1/{path}?{urlencode(params)}")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    if answer["status"] != "success":
        raise SystemExit(f"{params}: {answer['error']}")
    return answer["data"]["result"]


def draw(port, began, ended, out):
    filled = FILLED | {"$__range": f"{int(ended - began)}s"}
    sections, members = {}, []
    for panel in PANELS:
        if panel["type"] == "row":
            members = sections[panel["title"]] = [panel]
        else:
            members.append(panel)
    out.mkdir(parents=True, exist_ok=True)
    for name, titles in PICTURES.items():
        chosen = [panel for title in titles for panel in sections[title]]
        top, bottom = chosen[0]["gridPos"]["y"], max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in chosen)
        with plt.rc_context(STYLE):
            figure = plt.figure(figsize=(13, (bottom - top) * 0.28), dpi=100)
            for panel in chosen:
                draw_panel(figure, panel, top, bottom, port, began, ended, filled)
            figure.savefig(out / name, pil_kwargs={"optimize": True})
            plt.close(figure)
        print(out / name, (out / name).stat().st_size, "bytes")


def draw_panel(figure, panel, top, bottom, port, began, ended, filled):
    place, height = panel["gridPos"], bottom - top
    left, low = place["x"] / 24, 1 - (place["y"] + place["h"] - top) / height
    if panel["type"] == "row":
        figure.text(0.008, low + 0.3 / height, panel["title"], fontsize=9, fontweight="bold", color="#333333")
        return
    queries = [(target["legendFormat"], fill(target["expr"], filled)) for target in panel["targets"]]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if panel["type"] == "stat":
        found = ask_prometheus(port, "query", query=queries[0][1], time=ended)
        value = float(found[0]["value"][1]) if found else float("nan")
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        colour = next(step["color"] for step in reversed(steps) if step["value"] is None or value >= step["value"])
        middle = left + place["w"] / 48
        figure.text(
            middle, low + 3.1 / height, panel["title"] + RATES.get(unit, ""), ha="center", fontsize=7, fontweight="bold"
        )
        figure.text(
            middle,
            low + 1.2 / height,
            shown(value, unit),
            ha="center",
            fontsize=17,
            color={"yellow": "#c69b06"}.get(colour, colour),
        )
        return
    size = [left + 0.032, low + 1.9 / height, place["w"] / 24 - 0.042, (place["h"] - 3.0) / height]
    axis = figure.add_axes(size)
    axis.set_title(panel["title"] + RATES.get(unit, ""))
    curves = [
        (label(legend, each["metric"]), [(float(at), float(value)) for at, value in each["values"]])
        for legend, query in queries
        for each in ask_prometheus(port, "query_range", query=query, start=began, end=ended, step=STEP)
    ]
    curves = sorted((name, points) for name, points in curves if any(value > 0 for _, value in points)) or curves[:1]
    if panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal":
        moments = sorted({at for _, points in curves for at, _ in points})
        heights = [[dict(points).get(at, 0.0) for at in moments] for _, points in curves]
        if moments:
            axis.stackplot([clock(at) for at in moments], *heights, labels=[name for name, _ in curves], alpha=0.65)
    else:
        for name, points in curves:
            axis.plot([clock(at) for at, _ in points], [value for _, value in points], label=name)
    axis.set_xlim(clock(began), clock(ended))
    axis.set_ylim(bottom=0, top=None if any(value > 0 for _, points in curves for _, value in points) else 1)
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))
    axis.xaxis.set_major_locator(dates.MinuteLocator())
    axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    if curves:
        axis.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=4 if place["w"] >= 8 else 2, frameon=False, fontsize=5.5,
                    handlelength=1, columnspacing=1, borderaxespad=0)  # fmt: skip


def fill(expression, filled):
    for name in sorted(filled, key=len, reverse=True):
        expression = expression.replace(name, filled[name])
    return expression


def label(legend, metric):
    for name, value in metric.items():
        legend = legend.replace("{{" + name + "}}", value.removeprefix("Tinybird_Local_Testing."))
    return legend


def clock(at):
    return at / 86400  # of matplotlib, in UTC


def shown(value, unit):
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{value:.1%}" if value < 0.1 else f"{value:.0%}"
    if unit == "bytes":
        for name in ("B", "kB", "MB", "GB", "TB"):
            if value < 1000 or name == "TB":
                return f"{value:.3g} {name}"
            value /= 1000
    if unit == "s":
        return f"{value * 1000:.3g} ms" if 0 < value < 1 else f"{value:.3g} s"
    for name, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{name}"
    return f"{value:.3g}"


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    sys.exit(main())
