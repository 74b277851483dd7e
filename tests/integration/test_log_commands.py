"""`sluice log inspect` and `sluice log verify`, on a log that was written, and on one that was damaged."""

import pytest

from gateway.cli import main
from gateway.config import log_directory
from gateway.core.clock import SystemClock
from gateway.wal import Log, LogOptions


@pytest.fixture
async def data_dir(tmp_path):
    """A data directory with one log of three frames."""
    directory = log_directory(tmp_path, 0)
    directory.mkdir(parents=True)
    log, recovery = Log.open(directory, LogOptions(preallocate=False), SystemClock())
    assert list(recovery.frames()) == []
    for payload in (b"first", b"second" * 10, b"third"):
        _, durable = log.append(payload)
        await durable
    await log.aclose()
    return tmp_path


async def test_a_whole_log_is_verified(data_dir, capsys):
    assert main(["log", "verify", str(data_dir)]) == 0

    assert "worker-0: whole, 1 segments, 3 frames" in capsys.readouterr().out


async def test_an_inspection_lists_the_segments(data_dir, capsys):
    assert main(["log", "inspect", str(log_directory(data_dir, 0))]) == 0

    listed = capsys.readouterr().out
    assert "segment 1:" in listed
    assert "0 bytes behind the last frame" in listed


async def test_damage_is_shown_with_its_place_and_in_the_exit_code(data_dir, capsys):
    (segment,) = log_directory(data_dir, 0).glob("*.log")
    content = segment.read_bytes()
    segment.write_bytes(content.replace(b"secondsecond", b"secondSecond", 1))

    assert main(["log", "verify", str(data_dir)]) == 1

    assert "damage in segment 1, offset " in capsys.readouterr().out


async def test_a_directory_without_a_log_is_not_called_whole(tmp_path, capsys):
    assert main(["log", "verify", str(tmp_path)]) == 1

    assert "is neither a data directory nor the log of a worker" in capsys.readouterr().err


async def test_a_directory_that_is_not_there_is_said(tmp_path, capsys):
    assert main(["log", "verify", str(tmp_path / "none")]) == 1

    assert "No such file or directory" in capsys.readouterr().err
