"""Options: the bounds of a buffer, and what is said where they are reached."""

from dataclasses import dataclass, field

from gateway.buffer.accumulator import BatchLimits
from gateway.core.errors import Unavailable


class BufferFull(Unavailable):
    """No room for more rows now."""


@dataclass(frozen=True, slots=True)
class BufferOptions:
    """Bounds of one buffer (one per worker)."""

    batch: BatchLimits = field(default_factory=BatchLimits)
    memory_bytes_max: int = 128 * 1024 * 1024
    disk_bytes_max: int = 10 * 1024 * 1024 * 1024
