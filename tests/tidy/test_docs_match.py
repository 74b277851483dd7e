"""Documents say what the code says.

UPDATE_DOCS=1 writes the generated parts anew.
"""

import os
import re
from itertools import groupby
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config import DEFAULTS, SPECS, format_value, variable
from gateway.telemetry import metrics

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- begin -->\n", "<!-- end -->\n"

# Declared and waiting for who uses it. Both may only shrink.
SETTINGS_NOT_USED_YET: set = set()
METRICS_NOT_USED_YET = set()


def configuration():
    """Return the tables of docs/configuration.md."""
    lines = []
    for group, members in groupby(SPECS.items(), lambda item: item[1].group):
        lines += [f"\n## {group}\n", "| setting | default | bounds | what it does |", "|---|---|---|---|"]
        for name, spec in members:
            default = spec.default_text or f"`{format_value(spec, getattr(DEFAULTS, name))}`"
            if spec.kind == "text" and not getattr(DEFAULTS, name):
                default = spec.default_text or "none"
            note = " Secret." if spec.secret else ""
            lines.append(f"| `{name}`<br>`{variable(name)}` | {default} | {bounds(spec)} | {spec.help}{note} |")
    return "\n".join([*lines, "\n"])


def bounds(spec):
    """Return what values a setting takes."""
    if spec.choices:
        return ", ".join(f"`{choice}`" for choice in spec.choices)
    if spec.kind not in {"integer", "size", "duration"}:
        return {"boolean": "`on`, `off`"}.get(spec.kind, spec.kind)
    least = format_value(spec, spec.least)
    return f"{least} to {format_value(spec, spec.most)}" if spec.most is not None else f"at least {least}"


def metrics_table():
    """Return the table of docs/metrics.md."""
    lines = ["", "| metric | kind | labels | what it counts |", "|---|---|---|---|"]
    for metric in metrics.declared():
        kind = f"gauge, {metric.how}" if metric.kind == "gauge" else metric.kind
        labels = ", ".join(f"`{label}`" for label in metric.label_names)
        lines.append(f"| `{metric.name}` | {kind} | {labels} | {metric.text} |")
    return "\n".join([*lines, "\n"])


@pytest.mark.parametrize(
    "page, generated", [("configuration.md", configuration), ("metrics.md", metrics_table)], ids=["settings", "metrics"]
)
def test_a_page_has_the_table_of_the_code(page, generated):
    path = ROOT / "docs" / page
    head, rest = path.read_text().split(BEGIN)
    found, tail = rest.split(END)
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(head + BEGIN + generated() + END + tail)
        found = generated()

    assert found == generated(), f"{page} is behind: UPDATE_DOCS=1 python -m pytest {Path(__file__).relative_to(ROOT)}"


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_help_names_every_setting_and_its_variable(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])

    words = set(re.findall(r"--[a-z][a-z-]+|SLUICE_[A-Z_]+", capsys.readouterr().out))
    assert left.value.code == 0
    assert {variable(name) for name in SPECS} <= words
    assert {"--" + name.replace("_", "-") for name in SPECS} <= words


def test_help_of_a_job_worker_names_what_it_has_a_use_for(capsys):
    with pytest.raises(SystemExit) as left:
        main(["worker", "--help"])

    words = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert left.value.code == 0
    assert {"--worker-concurrency", "--clickhouse-url", "--database-url", "--data-dir", "--drain-seconds-max"} <= words
    assert not {"--port", "--workers", "--job-workers", "--log-sync", "--log-bytes-max"} & words


def sources(*but):
    """Return the text of the package, without the files named."""
    paths = sorted((ROOT / "gateway").rglob("*.py"))
    return "\n".join(path.read_text() for path in paths if not any(part in path.parts for part in but))


def test_every_setting_is_used_by_somebody():
    used = set(re.findall(r"settings\.([a-z_]+)", sources("config")))
    used |= {"clickhouse_user", "clickhouse_password", "tls_key"}  # in `clickhouse_address`, `certificate_of`

    assert set(SPECS) - used <= SETTINGS_NOT_USED_YET


def test_every_metric_is_counted_by_somebody():
    names = {name for name, value in vars(metrics).items() if isinstance(value, metrics.Declared)}
    used = set(re.findall(r"\b([a-z_]+)\.labels\(", sources())) | set(re.findall(r"\b([a-z_]+)\)\.labels\(", sources()))
    used |= {"quarantined_rows", "stored_rows"}  # one expression, two names

    assert names - used <= METRICS_NOT_USED_YET
