"""Accepted = stored + quarantined + pending, seen from outside."""

import re

from tests.support.gateway import shared_gateway, show_gateway_log  # noqa: F401  fixtures


def rows_of(gateway, name):
    """Return accepted, stored, quarantined and pending rows of one data source, over all workers."""
    text = gateway.get("/metrics", token="").text
    found = []
    for metric in (
        "ingest_accepted_rows_total",
        "flush_stored_rows_total",
        "flush_quarantined_rows_total",
        "buffer_pending_rows",
    ):
        match = re.search(rf'^sluice_{metric}{{datasource="[^"]*\.{name}"}} (\S+)$', text, re.MULTILINE)
        found.append(int(float(match[1])) if match else 0)
    return found


def test_what_was_accepted_is_stored_quarantined_or_pending(gateway):
    name = gateway.create_datasource("id UInt8 `json:$.id`")
    for start in range(0, 300, 30):
        body = "\n".join(f'{{"id": {each}}}' for each in range(start, start + 30))
        assert gateway.post_events(name, body.encode()).status == 202
    for _ in range(2000):
        accepted, stored, quarantined, pending = rows_of(gateway, name)
        if (stored, quarantined, pending) == (256, 44, 0):
            break

    assert (accepted, stored, quarantined, pending) == (300, 256, 44, 0)
    assert gateway.count(name) == 256
    assert gateway.count(f"{name}_quarantine") == 44
