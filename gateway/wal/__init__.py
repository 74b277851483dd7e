"""Write-ahead log: opaque payloads, appended to files, durable before they are answered for.

One log per process, used from one event loop; one writer thread writes and syncs a group of frames at a time (group
commit). The log never looks inside a payload: the buffer above gives it meaning and says when a segment may go.

    directory/
    ├── 00000000000000000001.log    segments: append-only, numbered without a gap, never written again once left
    ├── 00000000000000000002.log
    ├── spare                       a released segment, kept to make the next one of; its content means nothing
    ├── synced                      how far the last sync reached: a lower bound that recovery may trust
    ├── lock                        flock: one process per log
    └── damaged/                    copies of what recovery could not read

What it promises, whatever the moment of the crash:

* a frame whose future succeeded under `fsync` is read back, in order; under `os` the same unless the machine stops;
* one flipped bit costs at most one frame, is always reported, and never stops the start;
* a failed sync is never followed by a success for the same bytes: the segment is left (Postgres's lesson of 2018);
* a frame that was refused is not read back, unless the machine stops before the next segment is begun;
* a full disk refuses, and the log is clean when there is room again.

Not here, on purpose: compression (payloads come compressed or not), deleting single frames (only whole segments go),
reading while running (what was appended is in the buffer's memory), the acknowledged position (the buffer's), erasing
(what was released lies in `spare` until it is written over).

    frame    how a segment, a frame and the synced record lie on disk        pure
    files    the few calls of the operating system the log makes
    segment  the writing end: one open segment, turned, cut back or left
    sync     what is written together, and by which thread
    log      Log: append, sync, roll, release, close
    scan     one segment read back: frames, damage, tail
    recover  all segments read back at a start
    remove   an emptied log, for good
    inspect  the same, for people, without touching anything
    copy     a log as it is at one moment, while it is written
"""

from gateway.wal.copy import NeverStill, copy_log, link_or_copy
from gateway.wal.errors import LogFull, LogLocked, LogPoisoned, UnknownFormat
from gateway.wal.files import FileSystem, OsFileSystem
from gateway.wal.frame import PAYLOAD_BYTES_MAX, Position
from gateway.wal.inspect import LogReport, SegmentReport, inspect
from gateway.wal.log import Log, LogOptions, LogStats
from gateway.wal.recover import Recovery
from gateway.wal.remove import remove_log
from gateway.wal.scan import Damage
from gateway.wal.sync import InlineWriter, Policy, Writer, WriterThread

__all__ = [
    "PAYLOAD_BYTES_MAX",
    "Damage",
    "FileSystem",
    "InlineWriter",
    "Log",
    "LogFull",
    "LogLocked",
    "LogOptions",
    "LogPoisoned",
    "LogReport",
    "LogStats",
    "NeverStill",
    "OsFileSystem",
    "Policy",
    "Position",
    "Recovery",
    "SegmentReport",
    "UnknownFormat",
    "Writer",
    "WriterThread",
    "copy_log",
    "inspect",
    "link_or_copy",
    "remove_log",
]
