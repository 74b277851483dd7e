"""Usage: processor time and memory of processes, as the kernel says; nothing where it does not (no `/proc`)."""

import os
from pathlib import Path
from typing import Final

from gateway.telemetry import metrics

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

# Places in /proc/<pid>/stat, behind the name, which is in parentheses and may hold anything. Source: proc(5).
_USER, _SYSTEM, _PAGES = 11, 12, 21


class Usage:
    """What one process takes, told to the metrics by `measure`: some 20 µs."""

    def __init__(self, name: str) -> None:
        """Tell of it as `name`, which is one of a few."""
        self._seconds = metrics.process_cpu_seconds.labels(name)
        self._bytes = metrics.process_resident_bytes.labels(name)
        self._counted = 0.0

    def measure(self, pid: int | None = None) -> None:
        """Look at the process `pid`, this one by default; one that was started again counts from nothing."""
        try:
            stat = Path(f"/proc/{pid or 'self'}/stat").read_bytes()
        except OSError:
            return
        fields = stat.rpartition(b")")[2].split()
        seconds = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
        self._seconds.inc(seconds - self._counted if seconds >= self._counted else seconds)
        self._counted = seconds
        self._bytes.set(int(fields[_PAGES]) * _PAGE_BYTES)
