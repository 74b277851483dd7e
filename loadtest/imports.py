"""Imports: a file of a million rows as a job, against the engine reading the same file itself.

    python loadtest/imports.py                           CSV, NDJSON and Parquet, one round
    python loadtest/imports.py --rows 200000 --formats csv --rounds 3

The file is sent to `/v1/datasources/{name}/append`; the clock of the job runs from the moment it was taken up until it is
done (upload and wait not included, shown beside it). The engine runs `INSERT INTO … SELECT … FROM file(…)` into a table of the
same definition, in the same process, in turn. Rows and the sum of a column have to agree on both sides.
"""

import argparse
import csv
import http.client
import io
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet
import workload
from measure import Bench, Stack, database_of, stack
from processes import TOKEN, Failed, ask, cpu_seconds, peak_bytes

_ENGINE_FORMATS = {"csv": "CSVWithNames", "ndjson": "JSONEachRow", "parquet": "Parquet"}
_JOB_SECONDS_MAX = 600
_BLOCK_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Side:
    """What one side did with a file."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    upload_seconds: float = 0.0


def make(directory: Path, rows: int, form: str) -> Path:
    """Write the rows of `workload` as a file of `form`, block by block."""
    path = directory / f"rows.{form}"
    blocks = (workload.bodies(min(_BLOCK_ROWS, rows - at), 1, seed=at)[0] for at in range(0, rows, _BLOCK_ROWS))
    if form == "ndjson":
        with path.open("wb") as file:
            file.writelines(blocks)
    elif form == "csv":
        with path.open("w", newline="") as file:
            writer = None
            for block in blocks:
                events = [json.loads(line) for line in block.splitlines()]
                writer = writer or csv.DictWriter(file, list(events[0]))
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerows({**event, "is_new": int(event["is_new"])} for event in events)
    else:
        writer = None
        for block in blocks:
            table = pa.json.read_json(io.BytesIO(block))
            moments = (
                [datetime.fromisoformat(str(text)).astimezone(UTC) for text in table["ts"].to_pylist()]
                if pa.types.is_string(table["ts"].type)
                else table["ts"].cast(pa.timestamp("ms")).to_pylist()
            )
            table = table.set_column(
                table.schema.get_field_index("ts"), "ts", pa.array(moments, pa.timestamp("ms", "UTC"))
            )
            writer = writer or pa.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
    return path


def by_job(made: Stack, name: str, path: Path, form: str, rows: int) -> Side:
    """Send the file, and wait until its job is done."""
    worker = made.gateway.pids()["jobs"][0]
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    used = cpu_seconds(worker) + cpu_seconds(made.engine.pid)
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", made.gateway.port, timeout=_JOB_SECONDS_MAX)
    with path.open("rb") as file:
        target = f"/v1/datasources/{name}/append?{urlencode({'format': form})}"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Length": str(path.stat().st_size)}
        connection.request("POST", target, file, headers)
        answer = json.loads(connection.getresponse().read())
    connection.close()
    uploaded = time.monotonic()
    while True:
        job = json.loads(ask("GET", made.gateway.port, f"/v0/jobs/{answer['id']}", b"", _auth())[1])
        if job["status"] in {"done", "error", "cancelled"}:
            break
        if time.monotonic() - uploaded > _JOB_SECONDS_MAX:
            raise Failed(f"the job does not end: {job}")
        time.sleep(0.05)
    if job["status"] != "done" or job.get("quarantine_rows"):
        raise Failed(f"the job did not store every row: {job.get('error')} {job.get('quarantine_rows')}")
    if sum(block["process_return"][0]["lines"] for block in job["blocks"]) != rows:
        raise Failed("the job counts other rows than the file has")
    took = _moment(job["updated_at"]) - _moment(job["started_at"])
    used = cpu_seconds(worker) + cpu_seconds(made.engine.pid) - used
    return Side(took, used, peak_bytes(worker) / 1e6, uploaded - began)


def by_engine(made: Stack, table: str, path: Path, form: str) -> Side:
    """Have the engine read the file."""
    used = cpu_seconds(made.engine.pid)
    began = time.monotonic()
    made.engine.sql(
        f"INSERT INTO {table} SELECT id, ts, user, event, path, duration_ms, price, is_new "
        f"FROM file('{path}', '{_ENGINE_FORMATS[form]}', 'id UInt64, ts DateTime64(3), user String, "
        "event String, path String, duration_ms UInt32, price Float64, is_new Bool') "
        "SETTINGS date_time_input_format = 'best_effort', insert_deduplicate = 0"
    )
    return Side(time.monotonic() - began, cpu_seconds(made.engine.pid) - used, peak_bytes(made.engine.pid) / 1e6)


def compare(made: Stack, path: Path, form: str, rows: int, number: int) -> tuple[Side, Side]:
    """Import the file on both sides, each into a fresh table, and check that both hold the same."""
    ours = made.gateway.create(f"{form}_{number}", workload.SCHEMA)
    theirs = made.gateway.create(f"{form}_{number}_direct", workload.SCHEMA)
    database = database_of(made.engine, ours)
    sides = (by_job(made, f"{form}_{number}", path, form, rows), by_engine(made, f"{database}.{theirs}", path, form))
    sums: Callable[[str], str] = lambda table: made.engine.sql(  # noqa: E731
        f"SELECT count(), sum(id), sum(duration_ms), round(sum(price)) FROM {database}.{table}"
    )
    if sums(ours) != sums(theirs) or int(sums(ours).split()[0]) != rows:
        raise Failed(f"the sides disagree: {sums(ours)} and {sums(theirs)}")
    return sides


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--formats", default="csv,ndjson,parquet")
    arguments.add_argument("--rounds", type=int, default=1)
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(
        "| format | file MB | job, rows/s | engine itself, rows/s | ratio | CPU s, job (worker + engine) | CPU s, engine itself "
        "| peak MB, job worker | upload s |\n|---|---|---|---|---|---|---|---|---|"
    )
    with TemporaryDirectory(prefix="sluice-imports-") as name:
        directory = Path(name)
        with stack(Bench(directory, workers=1), "--workers", "1", "--import-parquet-body-bytes-max", "500MB") as made:
            for form in given.formats.split(","):
                path = make(directory, given.rows, form)
                for number in range(given.rounds):
                    ours, theirs = compare(made, path, form, given.rows, number)
                    print(
                        f"| {form} | {path.stat().st_size / 1e6:.0f} | {given.rows / ours.seconds:,.0f} | "
                        f"{given.rows / theirs.seconds:,.0f} | {theirs.seconds / ours.seconds:.2f} | {ours.cpu_seconds:.1f} | "
                        f"{theirs.cpu_seconds:.1f} | {ours.peak_mb:.0f} | {ours.upload_seconds:.1f} |",
                        flush=True,
                    )
    return 0


def _auth() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


if __name__ == "__main__":
    sys.exit(main())
