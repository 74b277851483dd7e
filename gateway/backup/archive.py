"""Archive: the file of a backup: a tar whose first member says what it is, and whose last that it is whole.

    backup.json     Header
    …               the files, under the names they have in a data directory
    manifest.json   name, size and SHA-256 of every member before it

It is written and read in one go, so it can come through a pipe. Without the last member, or with one more or less than
this names, or another byte in one of them, it is no backup. Names are relative, of plain files, below the directories
that a node has: an archive can write nowhere else.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Literal, Protocol

import msgspec

FORMAT: Final = 1

_HEADER: Final = "backup.json"
_MANIFEST: Final = "manifest.json"
_TOP: Final = frozenset({"metadata.db", "place", "secret", "log", "uploads", "engine"})
_JSON_BYTES_MAX: Final = 1024 * 1024 * 1024
_PIECE_BYTES: Final = 1024 * 1024

Kind = Literal["node", "metadata"]


class BadArchive(Exception):
    """What is read is no backup, not whole, or not what was written; the message is for the operator."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    kind: Kind
    version: str
    """Of Sluice, which took it."""
    created_at: float
    secret: str
    """A fingerprint of the secret that its tokens are signed with; "" if there was none yet."""
    has_secret: bool
    files: int = 0
    bytes: int = 0
    engine_version: str = ""
    tables: int = 0
    format: int = FORMAT


class _Member(msgspec.Struct, array_like=True):
    name: str
    size: int
    sha256: str


class Source(Protocol):
    """A file to be read."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""


class _Hashing:
    """A file whose bytes are summed as they are read."""

    def __init__(self, file: Source, seen: Callable[[int], object]) -> None:
        self.sum = hashlib.sha256()
        self.size = 0
        self._file = file
        self._seen = seen

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sum.update(data)
        self.size += len(data)
        self._seen(len(data))
        return data


class Writer:
    """Writes an archive: the header, the files, then `finish`."""

    def __init__(self, file: IO[bytes], header: Header, seen: Callable[[int], object]) -> None:
        """Begin; `seen` hears how many bytes went by, again and again.

        Raises:
            OSError: the disk does not take it. Every method may raise it.
        """
        self._tar = tarfile.TarFile.open(fileobj=file, mode="w|", bufsize=_PIECE_BYTES)
        self._members: list[_Member] = []
        self._seen = seen
        self._created_at = header.created_at
        self._add_bytes(_HEADER, msgspec.json.encode(header))

    def add(self, name: str, path: Path) -> None:
        """Add a file, which does not change."""
        with path.open("rb") as file:
            file.seek(0, io.SEEK_END)
            size = file.tell()
            file.seek(0)
            self._add(name, size, file)

    def finish(self) -> None:
        """Say that it is whole."""
        self._add_bytes(_MANIFEST, msgspec.json.encode(self._members))
        self._tar.close()

    def _add_bytes(self, name: str, data: bytes) -> None:
        self._add(name, len(data), io.BytesIO(data))

    def _add(self, name: str, size: int, file: Source) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, int(self._created_at)
        summed = _Hashing(file, self._seen)
        reading: Any = summed
        self._tar.addfile(entry, reading)
        self._members.append(_Member(name, size, summed.sum.hexdigest()))


class Reader:
    """Reads an archive: the header, then the files with `each`."""

    def __init__(self, file: IO[bytes], seen: Callable[[int], object]) -> None:
        """Begin.

        Raises:
            BadArchive: it is no backup, or one of a later version.
        """
        self._seen = seen
        self._found: list[_Member] = []
        with _translated():
            self._tar = tarfile.TarFile.open(fileobj=file, mode="r|", bufsize=_PIECE_BYTES)
            first = self._tar.next()
            if first is None or first.name != _HEADER or not first.isreg() or first.size > _JSON_BYTES_MAX:
                raise BadArchive("this is no backup of Sluice")
            data = self._read_whole(first)
        try:
            found = msgspec.json.decode(data, type=dict[str, Any])
            if found.get("format") != FORMAT:
                raise BadArchive(
                    f"this backup has format {found.get('format')}, which this version does not know: "
                    f"restore it with Sluice {found.get('version')} or later"
                )
            self.header = msgspec.convert(found, Header)
        except msgspec.MsgspecError as error:
            raise BadArchive(f"this is no backup of Sluice: {error}") from error

    def each(self, take: Callable[[str, Source], object]) -> None:
        """Give every file to `take`, which reads it to its end; return when all was read and is what was written.

        Raises:
            BadArchive: it is not.
        """
        with _translated():
            while (entry := self._tar.next()) is not None:
                if entry.name == _MANIFEST and entry.isreg() and entry.size <= _JSON_BYTES_MAX:
                    self._check(self._read_whole(entry, is_listed=False))
                    return
                name = _checked(entry)
                with self._member(entry) as file:
                    take(name, file)
        raise BadArchive("the backup is not whole: its end is missing")

    def _read_whole(self, entry: tarfile.TarInfo, *, is_listed: bool = True) -> bytes:
        if is_listed:
            with self._member(entry) as file:
                return file.read()
        unlisted = self._tar.extractfile(entry)
        assert unlisted is not None
        return unlisted.read()

    @contextmanager
    def _member(self, entry: tarfile.TarInfo) -> Iterator[_Hashing]:
        inside = self._tar.extractfile(entry)
        assert inside is not None
        summed = _Hashing(inside, self._seen)
        yield summed
        self._found.append(_Member(entry.name, summed.size, summed.sum.hexdigest()))

    def _check(self, manifest: bytes) -> None:
        try:
            wanted = msgspec.json.decode(manifest, type=list[_Member])
        except msgspec.MsgspecError as error:
            raise BadArchive("the backup is damaged: its list of files cannot be read") from error
        for found, member in zip(self._found, wanted, strict=False):
            if found != member:
                raise BadArchive(f"the backup is damaged: {member.name} is not what was written")
        if len(self._found) != len(wanted):
            raise BadArchive("the backup is damaged: files are missing, or there are too many")


def _checked(entry: tarfile.TarInfo) -> str:
    """Return the name of a member.

    Raises:
        BadArchive: it is not one of a backup.
    """
    path = PurePosixPath(entry.name)
    is_inside = not path.is_absolute() and ".." not in path.parts and "\\" not in entry.name and path.parts
    if not (entry.isreg() and is_inside and path.parts[0] in _TOP and str(path) == entry.name):
        raise BadArchive(f"the backup is damaged: {entry.name[:200]!r} is nothing that a node has")
    return entry.name


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise BadArchive(f"the backup is damaged, not whole, or none: {error}") from error
