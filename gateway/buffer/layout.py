"""Layout: which columns a run of rows has, of which Arrow types, and whose rows they are.

Rows of one layout can be put in one insert. The log names a layout by a 64-bit key, so that a frame needs no schema
and a log can be replayed without the catalog: whoever changes a data source later, rows already answered keep the
columns they were fitted to. `LayoutStore` keeps one small file per layout beside the log, written and synced before
the first frame that names it.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import msgspec
import pyarrow as pa


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The shape of rows on their way to one table. Compared by `key`."""

    key: int
    datasource_id: str
    quarantine: bool
    schema: pa.Schema

    @classmethod
    def of(cls, datasource_id: str, quarantine: bool, schema: pa.Schema) -> "Layout":
        """Return the layout of these rows; the same arguments give the same key, in every process."""
        return cls(_key(_encode(datasource_id, quarantine, schema)), datasource_id, quarantine, schema)

    def to_bytes(self) -> bytes:
        """Return the layout as `from_bytes` reads it: msgpack of owner, kind and the serialized Arrow schema."""
        return _encode(self.datasource_id, self.quarantine, self.schema)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Layout":
        """Return the layout that `to_bytes` wrote.

        Raises:
            msgspec.MsgspecError, pyarrow.ArrowInvalid: `data` is damaged.
        """
        datasource_id, quarantine, schema = msgspec.msgpack.decode(data, type=tuple[str, bool, bytes])
        return cls(_key(data), datasource_id, quarantine, pa.ipc.read_schema(pa.py_buffer(schema)))


class LayoutStore(Protocol):
    """Where layouts are kept, durable, as long as the log may name them."""

    def put(self, layout: Layout) -> None:
        """Keep `layout`; on the disk when this returns. Cheap the second time."""

    def get(self, key: int) -> Layout | None:
        """Return the layout of `key`, or None if it was never put."""


def _encode(datasource_id: str, quarantine: bool, schema: pa.Schema) -> bytes:
    return msgspec.msgpack.encode((datasource_id, quarantine, schema.serialize().to_pybytes()))


def _key(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
