"""Options of the embedded engine."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the engine process is started; defaults fit one small machine."""

    data_dir: Path
    password: str = field(repr=False)
    user: str = "default"
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes any free port; `ready` is told which."""

    threads_max: int = 16
    """Statements at once; a quarter of them is kept for statements that are not reads."""
    queue_max: int = 256
    """Reads, and other statements, that may wait for a thread before the next is refused (code 202)."""
    memory_bytes_max: int = 0
    """What the engine may allocate in all; 0 leaves its own default, nine tenths of the machine."""

    query_bytes_max: int = 16 * 1024 * 1024
    """Text of one statement, without the data of an INSERT; the engine's own `max_query_size` comes first."""
    insert_bytes_max: int = 64 * 1024 * 1024 * 1024
    """Data of one INSERT, decompressed. It streams: this bounds the disk, not memory."""
    answer_buffer_bytes: int = 1024 * 1024
    """How much of an answer is held back, so that an early error still gets its own status."""
    spool_memory_bytes_max: int = 8 * 1024 * 1024
    """With `wait_end_of_query=1`: what is kept in memory before the answer goes to a file."""
    spool_disk_bytes_max: int = 16 * 1024 * 1024 * 1024
    """With `wait_end_of_query=1`: the largest answer."""

    sessions_max: int = 5000
    session_timeout_seconds: int = 60
    session_timeout_seconds_max: int = 3600
    receive_timeout_seconds: float = 60.0
    """How long a client may pause in the middle of a body."""
    send_timeout_seconds: float = 300.0
    """How long a client may leave an answer unread."""

    hold_seconds_max: float = 60.0
    """How long a hold lasts if nobody releases it; less than what waits for an answer waits. See `hold`."""

    lock_wait_seconds: float = 10.0
    """How long to wait for a predecessor that is just dying to let go of the data directory."""
    drain_seconds: float = 20.0
    """On SIGTERM: how long running statements may take before they are cancelled."""
    exit_when_stdin_closes: bool = False
    """Stop like on SIGTERM when standard input ends: the engine never outlives the process that holds the pipe."""
