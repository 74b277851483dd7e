"""Spill: small durable files beside the log: batches that must not stay in memory, and layouts.

    spill/<batch id>      b"SLUICESP", length and CRC-32 (u32 each), msgpack (layout key, rows), the body of the insert
    layouts/<16 hex>      a layout, as `Layout.to_bytes` writes it

A file appears whole or not at all: it is written under another name, synced, renamed, and the directory is synced. All
functions block; the buffer calls them in a thread, but for layouts, which come once per data source and version.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Final

import msgspec

from gateway.buffer.batch import stream, unstream
from gateway.buffer.layout import Layout
from gateway.buffer.records import Child

_MAGIC: Final = b"SLUICESP"
_PREFIX: Final = struct.Struct("<8sII")  # magic, length of the head, CRC-32 of head and body


class SpillDamaged(Exception):
    """A spill file is not what was written."""


class SpillDirectory:
    """The spill files of one buffer. `size_bytes` is what they take on disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob("*.tmp"):
            leftover.unlink()
        self._sizes = {path.name: path.stat().st_size for path in directory.iterdir()}

    @property
    def size_bytes(self) -> int:
        """Bytes of all spill files."""
        return sum(self._sizes.values())

    def ids(self) -> list[str]:
        """Return the ids of the batches kept here, oldest first."""
        return sorted(self._sizes)

    def write(self, batch_id: str, layout_key: int, rows: int, body: bytes) -> None:
        """Keep the body of an insert; durable when this returns."""
        head = msgspec.msgpack.encode((layout_key, rows))
        checksum = zlib.crc32(body, zlib.crc32(head))
        _write_durably(self._directory / batch_id, _PREFIX.pack(_MAGIC, len(head), checksum), head, body)
        self._sizes[batch_id] = _PREFIX.size + len(head) + len(body)

    def head(self, batch_id: str) -> tuple[int, int]:
        """Return (layout key, rows) of a batch without reading its body.

        Raises:
            SpillDamaged: the head cannot be read.
        """
        with (self._directory / batch_id).open("rb") as file:
            prefix = file.read(_PREFIX.size)
            if len(prefix) < _PREFIX.size or prefix[:8] != _MAGIC:
                raise SpillDamaged(batch_id)
            head = file.read(_PREFIX.unpack(prefix)[1])
        try:
            return msgspec.msgpack.decode(head, type=tuple[int, int])
        except msgspec.MsgspecError as error:
            raise SpillDamaged(batch_id) from error

    def read(self, batch_id: str) -> bytes:
        """Return the body of a batch.

        Raises:
            SpillDamaged: the checksum does not match.
        """
        data = (self._directory / batch_id).read_bytes()
        if len(data) < _PREFIX.size:
            raise SpillDamaged(batch_id)
        magic, head_length, checksum = _PREFIX.unpack_from(data)
        if magic != _MAGIC or zlib.crc32(memoryview(data)[_PREFIX.size :]) != checksum:
            raise SpillDamaged(batch_id)
        return data[_PREFIX.size + head_length :]

    def has(self, batch_id: str) -> bool:
        """Is there a file of this batch?"""
        return batch_id in self._sizes

    def split(self, batch_id: str, children: list[Child]) -> None:
        """Replace the file of a batch by files of its children, all of them durable before it goes.

        Invariant: the split is in the log. A crash in here leaves the parent, and this is done again.

        Raises:
            SpillDamaged: the checksum does not match.
        """
        key, _ = self.head(batch_id)
        rows = unstream(self.read(batch_id))
        for child in children:
            piece = rows.slice(child.start, child.stop - child.start).combine_chunks()
            self.write(child.batch, key, child.stop - child.start, stream(piece))
        self.remove(batch_id)

    def remove(self, batch_id: str) -> None:
        """Delete the file of a batch for good; nothing happens if it is not there."""
        if self._sizes.pop(batch_id, None) is not None:
            (self._directory / batch_id).unlink(missing_ok=True)
            _sync_directory(self._directory)


class LayoutDirectory:
    """Layouts in files (see `LayoutStore`)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._known: dict[int, Layout] = {}

    def put(self, layout: Layout) -> None:
        """See `LayoutStore.put`."""
        if layout.key in self._known:
            return
        path = self._directory / f"{layout.key:016x}"
        if not path.exists():
            _write_durably(path, layout.to_bytes())
        self._known[layout.key] = layout

    def get(self, key: int) -> Layout | None:
        """See `LayoutStore.get`."""
        found = self._known.get(key)
        if found is None:
            path = self._directory / f"{key:016x}"
            if not path.exists():
                return None
            found = self._known[key] = Layout.from_bytes(path.read_bytes())
        return found


def _write_durably(path: Path, *chunks: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
