"""Records: what the frames of the log mean. msgpack; changing a struct here changes the format on disk.

    Data     rows of one request, for one or more layouts; in one frame, so all of them or none
    Seal     the rows of a layout between two positions are batch `batch` from now on
    Split    a batch was cut into smaller ones (looking for the row the database refuses)
    Spill    the rows of a batch lie in a file of their own; the log need not keep them
    Ack      a batch is in ClickHouse
    Poison   a batch will never be in ClickHouse; its rows, quarantined, follow in the same frame

A batch id is a ULID, for the children of a split followed by -0 or -1: ids sort in the order of the rows. It is also
the deduplication token of its insert. That is why a seal and a split are durable before the first insert that depends
on them, and an ack before the next insert of the same layout: after a crash at most one batch of a layout is in doubt,
and it is sent again with the same rows under the same token.
"""

from typing import Final

import msgspec

# How the body of an item is encoded: a list of columns in msgpack, cheap for a few rows; or one serialized Arrow record
# batch, cheap for many.
CODEC_MSGPACK: Final = 0
CODEC_ARROW: Final = 1


class Item(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Rows of one layout, encoded."""

    layout: int
    rows: int
    codec: int
    body: bytes


class Data(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """Rows of one request."""

    items: list[Item]


class Seal(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """The rows of `layout` behind (after_segment, after_offset), up to and with (segment, offset), are batch `batch`.

    Both ends are named, so that a seal the disk refused can be written again behind the seal of a later batch.
    """

    batch: str
    layout: int
    segment: int
    offset: int
    after_segment: int
    after_offset: int


class Child(msgspec.Struct, array_like=True, frozen=True):
    """Rows start ≤ n < stop of the batch that was split."""

    batch: str
    start: int
    stop: int


class Split(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """Batch `batch` is replaced by `children`, which together are all its rows in order."""

    batch: str
    children: list[Child]


class Ack(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """Batch `batch` is in ClickHouse."""

    batch: str


class Spill(msgspec.Struct, array_like=True, tag=5, frozen=True):
    """The rows of batch `batch` lie in the spill file of that name."""

    batch: str


class Poison(msgspec.Struct, array_like=True, tag=6, frozen=True):
    """Batch `batch` was refused for good; `items` are its rows, quarantined."""

    batch: str
    items: list[Item]


Record = Data | Seal | Split | Ack | Spill | Poison

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Record).decode
