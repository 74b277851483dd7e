"""Log: `sluice log inspect` and `verify`, which look into the write-ahead log and change nothing."""

from collections.abc import Mapping
from pathlib import Path

from gateway.commands import EXIT_FAILED, complain, say
from gateway.wal import UnknownFormat, inspect


def run(options: Mapping[str, str]) -> int:
    """Do what the `action` in `options` says with `DIR`; return the exit code."""
    return _report(Path(options["DIR"]), with_segments=options["action"] == "inspect")


def logs_in(directory: Path) -> list[Path]:
    """Return the logs in `directory`: a data directory, its `log`, or the log of one worker; none if it is none."""
    for place in (directory / "log", directory):
        if found := sorted(path for path in place.glob("worker-*") if path.is_dir()):
            return found
    is_log = (directory / "lock").exists() and not (directory / "log").exists()
    return [directory] if is_log or any(directory.glob("[0-9]*.log")) else []


def _report(directory: Path, *, with_segments: bool) -> int:
    """Print a report on the log in `directory`, or on all logs of a data directory; return the exit code."""
    status = 0
    for log in logs_in(directory) or [directory]:
        try:
            report = inspect(log)
        except (OSError, UnknownFormat) as error:
            complain(f"{log}: {error.strerror if isinstance(error, OSError) else error}")
            status = EXIT_FAILED
            continue
        if not report.segments and not (log / "lock").exists():
            complain(f"{log}: is neither a data directory nor the log of a worker")
            status = EXIT_FAILED
            continue
        status = max(status, report.exit_status)
        frames = sum(segment.frames for segment in report.segments)
        verdict = f"{len(report.damage)} damaged places" if report.damage else "whole"
        at = report.synced
        synced = f"synced up to byte {at.offset} of segment {at.segment}" if at else "nothing synced"
        say(f"{log}: {verdict}, {len(report.segments)} segments, {frames} frames, {synced}\n")
        for segment in report.segments if with_segments else ():
            say(
                f"  segment {segment.segment}: {segment.bytes} bytes, {segment.frames} frames, "
                f"{segment.payload_bytes} bytes of payload, {segment.tail_bytes} bytes behind the last frame\n"
            )
        for damage in report.damage:
            say(f"  damage in segment {damage.segment}, offset {damage.offset}, {damage.length} bytes: {damage.what}\n")
    return status
