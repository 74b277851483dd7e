"""Rehearse: what docker-compose.yml says, run as processes of this machine, tried out, and stopped again.

    make rehearse                 or: python deploy/rehearse

No container engine is needed. Commands, environment, secrets, mounted files, health checks and the order of start are those
of the file; addresses and paths are moved to 127.0.0.1 and a temporary directory; ClickHouse is the engine as a library. At the
end a table says what ran, what was replaced by what, and what could not run here. The exit code is 1 if something failed.
"""

import argparse
import re
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from pathlib import Path

if __package__ in {None, ""}:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.rehearse.proof import Proof
from deploy.rehearse.run import Failed, Loopback, NotHere
from deploy.rehearse.stack import ROOT, Service, Stack

# What no process on a machine without a container engine can show.
_NEVER = (
    ("images", "no container engine: the steps of deploy/Dockerfile are checked by tests/stack and by hand"),
    (
        "limits, read-only root, capabilities, users",
        "the kernel's part of containers; tests/stack checks that all have them",
    ),
    ("networks, published ports", "everything is on 127.0.0.1 here"),
)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="leave the directory with logs and data")
    arguments.add_argument("--load", action="store_true", help="k6 and locust as well, for 5 seconds each")
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = Path(tempfile.mkdtemp(prefix="sluice-rehearsal-"))
    directory.chmod(0o755)  # PostgreSQL is another user, if this one is root
    stack = Stack(ROOT / "docker-compose.yml", {"GATEWAY_WORKERS": "1", "LOAD_SECONDS": "5"})
    loopback = Loopback(stack, directory)
    try:
        return _rehearse(stack, loopback, with_load=options.load)
    finally:
        loopback.aclose()
        if options.keep:
            print(f"\nLogs and data: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def _rehearse(stack: Stack, loopback: Loopback, *, with_load: bool) -> int:
    began = time.monotonic()
    absent: dict[str, str] = {}
    failure = ""
    proof: Proof | None = None
    try:
        for service in stack.in_order():
            _start(loopback, service, absent)
        up = loopback.running
        nodes = [name for name in up if name.startswith("gateway")]
        proof = Proof(loopback, nodes, "proxy" if "proxy" in up else None)
        if "proxy" not in up:
            absent["a node restarted under load"] = "nothing sends requests to the other node meanwhile"
        if "prometheus" not in up:
            absent["metrics, as Prometheus has them"] = "nothing reads them"
        proof.run(has_prometheus="prometheus" in up)
        for service in stack.in_order("load"):
            if "load" in service.profiles:
                _load(loopback, service, absent, with_load=with_load)
    except Failed as error:
        failure = str(error)
    for name, running in reversed(list(loopback.running.items())):
        ended = loopback.stop(name).ended
        if "load" not in running.service.profiles and not ended.startswith(("0,", "143,")) and not failure:
            failure = f"{name} ended with {ended}:\n{loopback.running[name].log.read_text(errors='replace')[-2000:]}"
    absent |= {each.name: "profile cluster: no ClickHouse server here; its configuration is checked by tests/stack"
               for each in stack.services.values() if "cluster" in each.profiles}  # fmt: skip
    _show(stack, loopback, proof, absent)
    print(
        f"\n{'FAILED: ' + failure if failure else 'Everything held'}, after {time.monotonic() - began:.0f} s.",
        flush=True,
    )
    return 1 if failure else 0


def _start(loopback: Loopback, service: Service, absent: dict[str, str]) -> None:
    """Start one of the services; one that cannot run here is noted, and is not waited for."""
    try:
        running = loopback.start(service)
    except NotHere as error:
        absent[service.name] = str(error)
        print(f"{service.name:<12} not run here: {error}", flush=True)
    else:
        print(f"{service.name:<12} healthy after {running.healthy_seconds:.1f} s: {running.program.what}", flush=True)


def _load(loopback: Loopback, service: Service, absent: dict[str, str], *, with_load: bool) -> None:
    if not with_load:
        absent[service.name] = "asked for by --load"
        return
    if "proxy" not in loopback.running:
        absent[service.name] = "it talks to the proxy"
        return
    try:
        running = loopback.start(service)
    except NotHere as error:
        absent[service.name] = str(error)
        return
    code = running.process.wait(120)
    said = running.log.read_text(errors="replace")
    found = re.search(r"rows_accepted\W*(\d+)|(\d+) rows accepted", said)
    if found is None or not int(found[1] or found[2]):
        raise Failed(f"{service.name} ended with {code}, and no row was accepted:\n{said[-3000:]}")
    running.ended = f"{code}, by itself"
    if code:  # how fast is fast enough is not what a rehearsal asks
        running.program.replaced.append(
            f"its thresholds, which do not all hold here ({found[1] or found[2]} rows accepted)"
        )


def _show(stack: Stack, loopback: Loopback, proof: Proof | None, absent: dict[str, str]) -> None:
    rows = [("service", "ran here as", "replaced", "healthy", "exit")]
    for name in stack.services:
        if name in loopback.running:
            running = loopback.running[name]
            replaced = "; ".join(running.program.replaced) or "only where things are"
            rows.append((name, running.program.what, replaced, f"{running.healthy_seconds:.1f} s", running.ended))
    print("\nRun")
    _table(rows)
    if proof is not None:
        print("\nHeld")
        _table([("what", "found"), *proof.said])
    print("\nNot run here")
    _table([("what", "why"), *absent.items(), *_NEVER])


def _table(rows: list[tuple[str, ...]]) -> None:
    most = (46, 110) if len(rows[0]) == 2 else (14, 44, 50, 8, 22)
    widths = [min(limit, max(len(row[at]) for row in rows)) for at, limit in enumerate(most)]
    for number, row in enumerate(rows):
        cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
        for line in range(max(map(len, cells))):
            parts = (cell[line] if line < len(cell) else "" for cell in cells)
            print("  " + "  ".join(f"{part:<{width}}" for part, width in zip(parts, widths, strict=True)).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


if __name__ == "__main__":
    sys.exit(main())
