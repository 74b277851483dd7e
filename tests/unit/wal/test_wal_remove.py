"""An emptied log is removed in an order in which no kill makes what has landed look owed."""

import pytest

from gateway.buffer.records import Ack, Data, Seal, decode, encode
from gateway.buffer.recovery import Replay
from gateway.buffer.spill import LayoutDirectory
from gateway.wal import LogLocked, OsFileSystem, remove_log
from tests.support.lane import layout, rows
from tests.support.wal import open_log, put


class Dying(OsFileSystem):
    """Files until so many were removed."""

    def __init__(self, removals: int) -> None:
        self._left = removals

    def unlink(self, path):
        if self._left == 0:
            raise OSError("the process is gone")
        self._left -= 1
        super().unlink(path)


@pytest.fixture
async def emptied(tmp_path):
    """A log whose rows, seal and ack lie in three segments."""
    directory = tmp_path / "worker-0"
    log, _, _ = open_log(OsFileSystem(), directory)
    LayoutDirectory(directory / "layouts").put(layout("a"))
    _, item = rows("a", [1, 2, 3])
    (row,) = await put(log, [encode(Data([item]))])
    for record in (Seal("id-1", item.layout, *row, 0, 0), Ack("id-1")):
        log.roll()
        await put(log, [encode(record)])
    await log.aclose()
    assert len(list(directory.glob("*.log"))) == 3
    return directory


async def owed(directory):
    """The rows that the log in `directory` owes."""
    log, frames, _ = open_log(OsFileSystem(), directory)
    await log.aclose()
    replay = Replay(LayoutDirectory(directory / "layouts"), 0.0)
    for position, payload in frames:
        replay.take(position, decode(payload))
    return replay.result.rows()


@pytest.mark.parametrize("removals", [0, 1, 2])
async def test_what_a_kill_leaves_owes_nothing_and_is_removed_by_the_next(emptied, removals):
    with pytest.raises(OSError, match="the process is gone"):
        remove_log(emptied, Dying(removals))

    assert await owed(emptied) == 0
    assert remove_log(emptied)
    assert not emptied.exists()


async def test_a_log_that_somebody_has_open_stays(emptied):
    log, _, _ = open_log(OsFileSystem(), emptied)

    with pytest.raises(LogLocked):
        remove_log(emptied)

    assert len(list(emptied.glob("*.log"))) == 3
    await log.aclose()


async def test_copies_of_damage_stay_for_people_who_ask_for_that(emptied):
    (emptied / "damaged").mkdir()
    (emptied / "damaged" / "0-0.bin").write_bytes(b"?")

    assert not remove_log(emptied, keep_damaged=True)
    assert [path.name for path in emptied.iterdir()] == ["damaged"]
