"""The dashboard, as a list of panels one can read; `dashboards/sluice.json` is what Grafana reads.

python deploy/grafana/dashboard.py        writes it anew; a test says when it is behind
"""

import json
from pathlib import Path

OUT = Path(__file__).parent / "dashboards" / "sluice.json"
SOURCE = {"type": "prometheus", "uid": "${prometheus}"}
NODE = 'instance=~"$node"'
ROWS = 'instance=~"$node", datasource=~"$datasource"'
PIPE = 'instance=~"$node", pipe=~"$pipe"'
GREEN, YELLOW, RED = "green", "yellow", "red"


def rate(metric, labels=NODE, by=""):
    """Return the rate of a counter, summed."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantile(share, metric, labels=NODE, by=""):
    """Return a quantile of a histogram."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', labels, f'le, {by}' if by else 'le')})"


def mean(metric):
    """Return the mean of a histogram."""
    return f"{rate(f'{metric}_sum')} / {rate(f'{metric}_count')}"


def stat(title, about, unit, expression, yellow=None, red=None, **more):
    """Return a number, coloured from `yellow` and `red` on."""
    steps = [(None, GREEN), (yellow, YELLOW), (red, RED)]
    panel = _panel("stat", title, about, unit, [(expression, "")], width=3, height=4, **more)
    panel["fieldConfig"]["defaults"]["thresholds"] = {
        "mode": "absolute",
        "steps": [{"color": color, "value": value} for value, color in steps if color == GREEN or value is not None],
    }
    panel["options"] = {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel


def graph(title, about, unit, *lines, stack=False, width=8, limit=None):
    """Return curves: pairs of an expression and what it is called; above `limit` the panel is red."""
    panel = _panel("timeseries", title, about, unit, lines, width=width, height=8)
    defaults = panel["fieldConfig"]["defaults"]
    defaults["min"] = 0
    defaults["custom"] = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stack else 8,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if limit is not None else "off"},
    }
    if limit is not None:
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": GREEN, "value": None}, {"color": RED, "value": limit}],
        }
    panel["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def _panel(kind, title, about, unit, lines, width, height):
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [
            {"refId": chr(65 + place), "expr": expression, "legendFormat": name or "__auto"}
            for place, (expression, name) in enumerate(lines)
        ],
    }


OLDEST = f"max(sluice_buffer_oldest_pending_row_seconds{{{NODE}}})"
SECTIONS = {
    "Now": [
        stat("Nodes that do not answer", "Gateways and workers that Prometheus cannot read.", "short",
             'count(up{job=~"sluice.*"} == 0) or vector(0)', red=1),
        stat("Workers without room", "They answer 503 to events.", "short", f"sum(sluice_http_unready_workers{{{NODE}}})", red=1),
        stat("Accepted", "Rows answered with 200 or 202, a second.", "rowsps", rate("sluice_ingest_accepted_rows_total", ROWS)),
        stat("Oldest row on its way", "Age of the oldest row that is not in ClickHouse yet.", "s", OLDEST, yellow=10, red=60),
        stat("Rows on their way", "In the log, not in ClickHouse yet.", "short", f"sum(sluice_buffer_pending_rows{{{ROWS}}})"),
        stat("Log used", "Of log_bytes_max, on the node where it is most. Full: events are refused.", "percentunit",
             f"max(sluice_log_bytes{{{NODE}}} / sluice_log_limit_bytes{{{NODE}}})", yellow=0.3, red=0.7),
        stat("Quarantined", "Share of the rows that landed in a quarantine, over what is shown.", "percentunit",
             f"sum(increase(sluice_flush_quarantined_rows_total{{{ROWS}}}[$__range])) / sum(increase(sluice_ingest_accepted_rows_total{{{ROWS}}}[$__range]))",
             yellow=0.01, red=0.1),
        stat("Server errors", "Share of answers with 5xx, over what is shown.", "percentunit",
             f'(sum(increase(sluice_http_requests_total{{{NODE}, status=~"5.."}}[$__range])) or vector(0)) / sum(increase(sluice_http_requests_total{{{NODE}}}[$__range]))',
             yellow=0.001, red=0.01),
    ],
    "Rows": [
        graph("Accepted and landed", "Accepted: answered, safe in the log. Landed: in ClickHouse. They part in an outage and meet again after it.", "rowsps",
              (rate("sluice_ingest_accepted_rows_total", ROWS), "accepted"),
              (rate("sluice_flush_stored_rows_total", ROWS), "landed"),
              (rate("sluice_flush_quarantined_rows_total", ROWS), "quarantined")),
        graph("Lag", "From the answer to the commit, of the oldest row of each batch; and the age of the oldest row that still waits.", "s",
              (quantile(0.5, "sluice_flush_lag_seconds"), "median"),
              (quantile(0.99, "sluice_flush_lag_seconds"), "99 %"),
              (OLDEST, "oldest on its way"), limit=60),
        graph("Rows on their way", "In the log, not in ClickHouse yet.", "short",
              (f"sum by (datasource) (sluice_buffer_pending_rows{{{ROWS}}})", "{{datasource}}"), stack=True),
        graph("Accepted, by data source", "The ten largest.", "rowsps",
              (f"topk(10, {rate('sluice_ingest_accepted_rows_total', ROWS, 'datasource')})", "{{datasource}}"), stack=True),
        graph("Quarantined, by reason", "unreadable: no JSON object; missing: no value for a column that needs one; value: it does not fit; refused: by ClickHouse.", "rowsps",
              (rate("sluice_ingest_unfit_rows_total", by="reason"), "{{reason}}"), stack=True),
        graph("Quarantined, by data source", "GET /v0/datasources/NAME/quarantine says why.", "rowsps",
              (f"topk(10, {rate('sluice_flush_quarantined_rows_total', ROWS, 'datasource')})", "{{datasource}}"), stack=True),
    ],
    "Into ClickHouse": [
        graph("Inserts a minute", "Each makes a part at least, and each data source, quarantine and worker has inserts of its own.", "short",
              (f"60 * {rate('sluice_flush_rows_count', by='instance')}", "{{instance}}"), width=6, stack=True),
        graph("Rows of an insert", "Small ones cost ClickHouse merges: raise batch_age_seconds_max.", "short",
              (mean("sluice_flush_rows"), "mean"), (quantile(0.95, "sluice_flush_rows"), "95 %"), width=6),
        graph("Size of an insert", "As it is sent.", "bytes",
              (mean("sluice_flush_bytes"), "mean"), (quantile(0.95, "sluice_flush_bytes"), "95 %"), width=6),
        graph("Time of an insert", "Those that succeeded.", "s",
              (quantile(0.5, "sluice_flush_seconds"), "median"), (quantile(0.99, "sluice_flush_seconds"), "99 %"), width=6),
        graph("Inserts that failed", "outage: no answer; busy: not now; hold: a person must act; data: a row is refused, and goes to the quarantine.", "short",
              (f"60 * {rate('sluice_flush_failures_total', by='class')}", "{{class}} a minute"), stack=True, width=6),
        graph("Log", "Rows not in ClickHouse yet, and room that is used again.", "bytes",
              (f"sum by (instance) (sluice_log_bytes{{{NODE}}})", "{{instance}}"), width=6),
        graph("Free on the disk of the log", "Below 2 GB there is an alert; on a full disk events are refused.", "bytes",
              (f"sum by (instance) (sluice_log_free_bytes{{{NODE}}} and sluice_log_limit_bytes{{{NODE}}} > 0)", "{{instance}}"), width=6),
        graph("Time of a sync", "What every event waits for before it is answered.", "s",
              (f"{rate('sluice_log_sync_seconds_total', by='instance')} / {rate('sluice_log_syncs_total', by='instance')}", "{{instance}}"), limit=0.1, width=6),
    ],
    "Requests": [
        graph("By status", "All routes.", "reqps", (rate("sluice_http_requests_total", by="status"), "{{status}}"), stack=True),
        graph("By route", "The ten most asked.", "reqps",
              (f"topk(10, {rate('sluice_http_requests_total', by='route')})", "{{route}}"), stack=True),
        graph("Time to the answer, 99 %", "By route. For events this is the sync of the log, for /v0/sql the query.", "s",
              (f"topk(10, {quantile(0.99, 'sluice_http_request_seconds', by='route')})", "{{route}}")),
        graph("Events, time to the answer", "POST /v0/events; with wait=true it is the time to the commit.", "s",
              (quantile(0.5, "sluice_http_request_seconds", f'{NODE}, route="/v0/events"'), "median"),
              (quantile(0.99, "sluice_http_request_seconds", f'{NODE}, route="/v0/events"'), "99 %")),
        graph("Over a limit (429)", "Whose limit, and of what.", "reqps",
              (rate("sluice_http_limited_requests_total", by="kind, unit"), "{{kind}} {{unit}}"), stack=True),
        graph("Turned away (429, 503)", "By what was full, or down.", "reqps",
              (rate("sluice_http_refused_requests_total", by="reason"), "{{reason}}"), stack=True),
    ],
    "Endpoints": [
        graph("Calls", "The ten most called.", "reqps",
              (f"topk(10, {rate('sluice_http_endpoint_seconds_count', PIPE, 'pipe')})", "{{pipe}}"), stack=True),
        graph("Time to the answer", "Median and 99 % of each endpoint.", "s",
              (quantile(0.5, "sluice_http_endpoint_seconds", PIPE, "pipe"), "{{pipe}} median"),
              (quantile(0.99, "sluice_http_endpoint_seconds", PIPE, "pipe"), "{{pipe}} 99 %")),
        graph("Not answered with 200", "tinybird.endpoint_errors has the sentences.", "reqps",
              (rate("sluice_http_endpoint_errors_total", PIPE, "pipe, status"), "{{pipe}} {{status}}"), stack=True),
    ],
    "Jobs": [
        graph("Waiting and working", "As recorded, of all nodes together.", "short",
              ("max by (kind, status) (sluice_jobs_open_jobs)", "{{kind}} {{status}}"), stack=True),
        graph("Ended a minute", "Imports, deletes, copies, populates, replays.", "short",
              ("60 * sum by (kind, status) (rate(sluice_jobs_ended_total[$__rate_interval]))", "{{kind}} {{status}}"), stack=True),
        graph("Time of a job, 95 %", "From taking it up to its end.", "s",
              ("histogram_quantile(0.95, sum by (le, kind) (rate(sluice_jobs_seconds_bucket[$__rate_interval])))", "{{kind}}")),
    ],
    "Processes": [
        graph("Processor", "Of one core each.", "percentunit",
              (rate("sluice_process_cpu_seconds_total", by="instance, process"), "{{instance}} {{process}}"), width=6),
        graph("Memory", "Resident.", "bytes",
              (f"sum by (instance, process) (sluice_process_resident_bytes{{{NODE}}})", "{{instance}} {{process}}"), width=6, stack=True),
        graph("Restarts", "Processes that died and were started again, in the last 15 minutes.", "short",
              (f"sum by (instance, role) (increase(sluice_supervisor_restarts_total{{{NODE}}}[15m]))", "{{instance}} {{role}}"), width=6),
        graph("Metadata not heard for", "Below a second, unless the database is away.", "s",
              (f"max by (instance) (sluice_catalog_age_seconds{{{NODE}}})", "{{instance}}"), width=6, limit=30),
    ],
    "ClickHouse (its own metrics; none from the embedded engine)": [
        graph("New parts a minute", "By inserts.", "short",
              ("60 * sum by (instance) (rate(ClickHouseProfileEvents_InsertedCompactParts[$__rate_interval]) + rate(ClickHouseProfileEvents_InsertedWideParts[$__rate_interval]))", "{{instance}}"), width=6, stack=True),
        graph("Parts of the fullest partition", "At 1000 inserts are slowed, at 3000 refused.", "short",
              ("max by (instance) (ClickHouseAsyncMetrics_MaxPartCountForPartition)", "{{instance}}"), width=6, limit=1000),
        graph("Queries a second", "Inserts among them.", "ops",
              ("sum by (instance) (rate(ClickHouseProfileEvents_SelectQuery[$__rate_interval]))", "{{instance}} select"),
              ("sum by (instance) (rate(ClickHouseProfileEvents_InsertQuery[$__rate_interval]))", "{{instance}} insert"), width=6),
        graph("Memory", "Resident, and of queries.", "bytes",
              ("sum by (instance) (ClickHouseAsyncMetrics_MemoryResident)", "{{instance}} resident"),
              ("sum by (instance) (ClickHouseMetrics_MemoryTracking)", "{{instance}} tracked"), width=6),
    ],
}  # fmt: skip


def variable(name, label, metric, of):
    """Return a choice of the values of a label."""
    query = f"label_values({metric}, {of})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"qryType": 1, "query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def dashboard():
    """Return what Grafana reads."""
    panels, top = [], 0
    for name, members in SECTIONS.items():
        panels.append(
            {
                "type": "row",
                "title": name,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": 24, "h": 1},
                "panels": [],
            }
        )
        top, left = top + 1, 0
        for panel in members:
            place = panel["gridPos"]
            if left + place["w"] > 24:
                top, left = top + place["h"], 0
            panels.append(panel | {"gridPos": {"x": left, "y": top, **place}})
            left += place["w"]
        top += members[-1]["gridPos"]["h"]
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return {
        "uid": "sluice",
        "title": "Sluice",
        "description": "Rows from their producers into ClickHouse, and out again. Made by deploy/grafana/dashboard.py.",
        "tags": ["sluice"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {
                    "type": "datasource",
                    "name": "prometheus",
                    "label": "Prometheus",
                    "query": "prometheus",
                    "refresh": 1,
                    "current": {},
                },
                variable("node", "Node", "sluice_build_info", "instance"),
                variable("datasource", "Data source", "sluice_ingest_accepted_rows_total", "datasource"),
                variable("pipe", "Endpoint", "sluice_http_endpoint_seconds_count", "pipe"),
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "Restarts",
                    "datasource": SOURCE,
                    "enable": True,
                    "iconColor": YELLOW,
                    "expr": f"increase(sluice_supervisor_restarts_total{{{NODE}}}[$__rate_interval]) > 0",
                    "titleFormat": "{{instance}} {{role}}",
                }
            ]
        },
        "panels": panels,
    }


def text():
    """Return the file."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OUT.write_text(text())
