"""Library: chdb, the ClickHouse engine inside this process. The only module that touches it.

One process opens one directory; connections to it are cheap, independent (each has its own settings, current database
and temporary tables) and run in parallel, one statement at a time each. Everything here blocks and belongs in a thread.

The raw extension module is used, not the `chdb.Connection` around it, because `classify_query` is only there.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import chdb
from chdb import _chdb

from gateway.engine import errors
from gateway.engine.errors import READONLY, SYNTAX_ERROR, EngineError
from gateway.engine.statement import Plain, from_file, kill_by_our_id, several

# The stubs leave most of it out.
_engine: Any = _chdb

# A server's defaults where the library's differ: no bare expressions as statements, no introspection of the process.
_SERVER_DEFAULTS = "implicit_select=0&allow_introspection_functions=0&storage_file_read_method=pread"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement did; `body` is its result, unless that went through a pipe."""

    body: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    leaves_nothing: bool = False
    """Whether the connection is as it was before."""


class Library:
    """chdb, open on one directory from `open` until `close`."""

    def __init__(self, directory: Path, spool_dir: Path, memory_bytes_max: int) -> None:
        self._spool_dir = spool_dir
        memory = f"&max_server_memory_usage={memory_bytes_max}" if memory_bytes_max else ""
        self._address = f"{directory}?{_SERVER_DEFAULTS}{memory}"
        self._anchor: Link | None = None
        self.version = str(chdb.engine_version)
        self.timezone = "UTC"

    def open(self) -> None:
        """Open the directory, with all its tables.

        Raises:
            EngineError: it cannot be opened.
        """
        # The import has put signal handlers in place, of the kind a command line wants: ours is a server.
        _engine.set_signal_handlers_enabled(0)
        _engine.reset_signal_handlers()
        self._anchor = self.connect()
        self.timezone = self._anchor.execute(b"SELECT timezone()").body.decode().strip()

    def connect(self) -> "Link":
        """Return a new connection."""
        with _translated():
            return Link(_engine.connect(self._address), self._spool_dir)

    def close(self) -> None:
        """Close the engine; every other connection is closed already. Safe twice."""
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None


class Link:
    """One connection: one statement at a time, from any thread."""

    def __init__(self, connection: Any, spool_dir: Path) -> None:
        self._spool_dir = spool_dir
        self._connection = connection

    def execute(
        self, text: bytes, default_format: str = "TabSeparated", params: Mapping[str, str] | None = None
    ) -> Outcome:
        """Run one statement, its result whole in memory.

        Raises:
            EngineError: it failed.
        """
        with _translated():
            result = self._connection.query(text, default_format, params=params or {})
        return _outcome(result, result.bytes())

    def run(
        self,
        plain: Plain,
        default_format: str,
        params: Mapping[str, str],
        output: int,
        *,
        reads_only: bool,
        tag: bytes = b"",
    ) -> Outcome:
        """Run one statement that brings no data.

        Args:
            plain: the statement.
            default_format: of its result, if it has no FORMAT clause.
            params: values of its placeholders, escaped as in TabSeparated.
            output: a descriptor to write; the result of a SELECT goes there, any other into the outcome.
            reads_only: refuse a statement that does anything else.
            tag: a comment to end the statement with.

        Raises:
            EngineError: it failed, or is more than one statement.
        """
        what = self._connection.classify_query(plain.text)
        if what["statement_count"] > 1:
            raise several()
        is_read = what["query_class"] == _engine.query_class.READ_ONLY
        if is_read and plain.is_select:
            return self._stream(plain, default_format, params, output, tag)
        if reads_only and not is_read:
            raise EngineError(READONLY, "Cannot execute query in readonly mode")
        outcome = self.execute(kill_by_our_id(plain.text) + tag, default_format, params)
        if what["statement_count"] == 0 and not outcome.body:
            # Words the library takes for commands of a terminal (`exit`), and silently obeys.
            raise EngineError(SYNTAX_ERROR, "Syntax error: failed at position 1")
        return replace(outcome, leaves_nothing=is_read)

    def insert(self, head: bytes, input_format: str, pieces: Iterable[bytes]) -> Outcome:
        """Insert the data in `pieces`; nothing is inserted if they end in an exception.

        The data waits in a file without a name until it is whole, so an insert that breaks off never begins. The
        library's own streaming insert is no way: it confirms rows that a constraint or a view refused (seen on 26.9).

        Raises:
            EngineError: it failed.
        """
        with TemporaryFile(dir=self._spool_dir) as data:
            for piece in pieces:
                data.write(piece)
            data.seek(0)  # flushes, too; not every system opens /dev/fd at the beginning
            with _translated():
                text = from_file(head, f"/dev/fd/{data.fileno()}", input_format)
                result = self._connection.query(text, "Null", params={})
        return replace(_outcome(result, b""), leaves_nothing=True)

    def count(self, text: bytes) -> int:
        """Return how many statements the engine sees in `text`; 0 if it cannot parse it."""
        return int(self._connection.classify_query(text)["statement_count"])

    def close(self) -> None:
        """Close the connection, and what it has running."""
        with _translated():
            self._connection.close()

    def _stream(self, plain: Plain, default_format: str, params: Mapping[str, str], output: int, tag: bytes) -> Outcome:
        try:
            text = plain.into(f"/dev/fd/{output}", default_format) + tag
            with _translated():
                result = self._connection.query(text, "Null", params=params)
        except EngineError as error:
            if error.code != SYNTAX_ERROR:
                raise
            # Either the statement is wrong, and its error should not speak of our clause, or the clause was misplaced.
            return self.execute(plain.text, default_format, params)
        return replace(_outcome(result, b""), leaves_nothing=True)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the library's exceptions, which are text, into `EngineError`."""
    try:
        yield
    except UnicodeDecodeError as error:  # an error message that quotes bytes which are no text
        raise errors.parse(error.object.decode("utf-8", "replace")) from None
    except RuntimeError as error:
        raise errors.parse(str(error)) from None


def _outcome(result: Any, body: bytes) -> Outcome:
    return Outcome(
        body=body,
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read() or result.rows_written(),
        result_bytes=result.bytes_read() or result.bytes_written(),
    )
