"""What operators look at: rules and dashboards name metrics that exist, documents that exist, and are what they say."""

import json
import re
import runpy

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from gateway.telemetry import metrics
from tests.support import promql

ROOT = promql.ROOT
ALERTS = (ROOT / "docs" / "alerts.md").read_text()
EXPRESSIONS = list(promql.expressions())

# Of others, with the labels we name: those of ClickHouse are looked up in tests/integration/test_watching.py.
FOREIGN = {"up": {"job"}, "haproxy_backend_active_servers": {"proxy"}}


def declared():
    """Every series we export, with its labels."""
    found = {}
    for metric in metrics.declared():
        labels = set(metric.label_names)
        found[metric.name] = labels
        if metric.kind == "histogram":
            found |= {f"{metric.name}_bucket": {*labels, "le"}, f"{metric.name}_sum": labels}
            found[f"{metric.name}_count"] = labels
    return found


@pytest.mark.parametrize("where, expression, shown", EXPRESSIONS, ids=[where for where, *_ in EXPRESSIONS])
def test_an_expression_names_metrics_and_labels_that_there_are(where, expression, shown):
    known = declared()
    found = promql.used(expression)

    assert found, "no metric at all"
    for name, labels in found.items():
        if not name.startswith("ClickHouse"):
            assert name in known or name in FOREIGN, f"{where}: {name} is not exported"
            assert labels <= known.get(name, FOREIGN.get(name, set())), f"{where}: labels of {name}"
    carried = set().union(*(known.get(name, FOREIGN.get(name, set())) for name in found))
    assert shown <= carried | {"instance", "job"}, f"{where}: a label that is shown is not there"


@pytest.mark.parametrize("expression", ["sum(", "rate(x)", "sum by (a)"])
def test_what_is_no_promql_is_noticed(expression):
    with pytest.raises(ValueError):
        promql.used(expression)


def test_labels_of_selectors_and_groups_are_found():
    assert promql.used('sum by (a, instance) (rate(x_total{b="1"}[5m])) / max(y{c=~"d"} offset 1h)') == {
        "x_total": {"a", "b"},
        "y": {"c"},
    }


def test_every_alert_says_what_it_is_how_bad_and_what_to_do():
    names = [rule["alert"] for rule in promql.alerts()]
    assert len(names) == len(set(names))
    for rule in promql.alerts():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_every_alert_has_its_section_and_every_section_its_alert():
    assert re.findall(r"^### (.+)$", ALERTS, re.MULTILINE) == [rule["alert"] for rule in promql.alerts()]


def test_every_alert_has_a_test_of_its_own():
    tests = "".join(path.read_text() for path in (promql.RULES.parent / "tests").glob("*.yml"))

    assert [rule["alert"] for rule in promql.alerts() if rule["alert"] not in tests] == []


def test_the_dashboard_is_what_its_source_says():
    source = runpy.run_path(str(ROOT / "deploy" / "grafana" / "dashboard.py"))

    assert source["OUT"].read_text() == source["text"](), "python deploy/grafana/dashboard.py"


def test_grafana_s_own_models_know_every_field_of_the_dashboard():
    plugins.register_default_plugins()
    for path in promql.DASHBOARDS.glob("*.json"):
        written = json.loads(path.read_text())
        read = json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder))

        assert lost(written, read) == ["annotations.list.0.titleFormat"]  # of its data source for Prometheus


def lost(written, read, where=()):
    """Return what of `written` is not in `read`."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [each for key, value in written.items() for each in lost(value, read.get(key), (*where, key))]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return [
            each for place, pair in enumerate(zip(written, read, strict=True)) for each in lost(*pair, (*where, place))
        ]
    return [] if written == read else [".".join(map(str, where))]


def test_panels_fill_the_grid_and_none_lies_on_another():
    taken = set()
    for panel in promql.panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["description"]
