"""Metrics in one process: declared once, named alike, counted through children that are kept."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__
from gateway.telemetry import metrics


@pytest.fixture(autouse=True)
def fresh():
    metrics.start()
    yield
    metrics.start()


def samples():
    text = metrics.render()[0].decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("metric", metrics.declared(), ids=lambda metric: metric.name)
def test_a_name_says_part_what_and_unit(metric):
    assert re.fullmatch(
        r"sluice_(ingest|buffer|flush|log|http|jobs|catalog|tls|traces|process|supervisor|backup|build)(_[a-z]+)*_"
        r"(seconds|bytes|rows|jobs|workers|total|info)",
        metric.name,
    )
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.text.endswith(".")


def test_a_kept_child_counts():
    child = metrics.accepted_rows.labels("ws.events")
    child.inc(5)
    child.inc(2)

    assert samples()["sluice_ingest_accepted_rows_total", "ws.events"] == 7


def test_what_has_no_labels_is_shown_before_it_happens():
    found = samples()

    assert found[("sluice_log_damaged_frames_total",)] == 0
    assert found["sluice_build_info", __version__] == 1
    assert not any(name.endswith("_created") for name, *_ in found)


def test_a_flush_is_counted_as_stored_or_as_quarantined():
    metrics.flushed("ws.events", False, 10, 1500, 0.2, 1.1)
    metrics.flushed("ws.events", True, 3, 500, 0.2, 90)
    metrics.flush_failed("retry")

    found = samples()
    assert found["sluice_flush_stored_rows_total", "ws.events"] == 10
    assert found["sluice_flush_quarantined_rows_total", "ws.events"] == 3
    assert found[("sluice_flush_seconds_count",)] == 2
    assert found[("sluice_flush_bytes_sum",)] == 2000
    assert found["sluice_flush_lag_seconds_bucket", "2.0"] == 1
    assert found["sluice_flush_failures_total", "retry"] == 1


def test_a_new_start_counts_from_nothing():
    metrics.recovered_rows.labels().inc(3)

    metrics.start()

    assert samples()[("sluice_buffer_recovered_rows_total",)] == 0


def test_the_answer_says_what_format_it_is():
    assert metrics.render()[1].startswith("text/plain; version=")
