r"""CSV lines: the bytes of a file → its lines as text, so many at a time that memory stays constant.

Text in other charsets becomes UTF-8 first; bytes that are no text in the charset survive as lone surrogates, so that
they can be told and shown. What the csv module would misread is masked with noncharacters of Unicode, which no file may
contain then, and put back in the fields:

    a newline that is neither `\n` nor `\r\n`      the csv module knows no other; a real `\n` becomes part of a field
    `\N` where the backslash is an escape          it would become `N`
"""

import codecs
import re
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.core.errors import InvalidRequest
from gateway.imports.dialect import RECORD_CHARS_MAX, Dialect, not_text

_PIECE_BYTES: Final = 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_LF, _CR, _NULL = "\ufdd0", "\ufdd1", "\ufdd2"
_MASKS: Final = re.compile(f"[{_LF}{_CR}{_NULL}]")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class ByteStream(Protocol):
    """The content of a file."""

    @property
    def position(self) -> int:
        """How many bytes of the stored file were read."""

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, fewer only at the end."""


@dataclass(frozen=True, slots=True)
class Mask:
    """What is masked in the lines of a dialect."""

    newline: str
    has_nulls: bool

    @classmethod
    def of(cls, dialect: Dialect) -> "Mask | None":
        """Return what must be masked; None if nothing must."""
        is_usual = dialect.newline in {"\n", "\r\n"}
        has_nulls = dialect.escapechar == "\\"
        return None if is_usual and not has_nulls else cls("" if is_usual else dialect.newline, has_nulls)

    def on(self, text: str) -> str:
        """Mask `text`.

        Raises:
            InvalidRequest: it has one of the masks in it.
        """
        if _MASKS.search(text):
            raise InvalidRequest("The file has a character, U+FDD0 to U+FDD2, that this dialect cannot take")
        if self.newline:
            text = text.replace(self.newline, _NULL).replace("\n", _LF).replace("\r", _CR).replace(_NULL, "\n")
        if self.has_nulls and "\\N" in text:
            text = _ESCAPED.sub(lambda found: _NULL if found[1] == "N" else found[0], text)
        return text

    def off_field(self, field: str) -> str:
        r"""Undo `on` in a field that was read; what was `\N` as a whole is so again."""
        return "\\N" if field == _NULL else self._off(field, "N")

    def off_line(self, line: str) -> str:
        """Undo `on` in a line that was not read."""
        return self._off(line, "\\N")

    def _off(self, text: str, null: str) -> str:
        if self.newline:
            text = text.replace("\n", self.newline)
        return text.replace(_LF, "\n").replace(_CR, "\r").replace(_NULL, null)


class CsvLines:
    """The lines of a file, without their newlines, masked."""

    def __init__(self, stream: ByteStream, dialect: Dialect, mask: Mask | None) -> None:
        self._stream = stream
        self._read = _Utf8(stream, dialect.encoding).read if dialect.encoding != "utf-8" else stream.read
        self._newline = b"\n" if dialect.newline in {"\n", "\r\n"} else dialect.newline.encode()
        self._mask = mask
        self._rest = b""
        self._lines: list[str] = []
        self._is_first = True
        self._at_end = False
        self._taken = 0
        self.is_odd = False
        """Whether bytes that are no text, or NULs, were seen so far."""

    @property
    def position(self) -> int:
        """How many bytes of the stored file were read."""
        return self._stream.position

    def take(self, lines_max: int, chars_max: int) -> list[str]:
        """Return the next lines, about so many at most; none at the end.

        Raises:
            InvalidRequest: a line is too long, or the text cannot be read.
        """
        chars = sum(map(len, self._lines))
        while not self._at_end and len(self._lines) < lines_max and chars < chars_max:
            text = self._piece()
            if text is None:
                continue
            chars += len(text)
            self._lines += text.split("\n")
        found, self._lines = self._lines[:lines_max], self._lines[lines_max:]
        self._taken += len(found)
        return found

    def _piece(self) -> str | None:
        """Return some lines, without the last newline; None if there is none yet."""
        piece = self._read(_PIECE_BYTES)
        data = self._rest + piece
        if self._is_first:
            data = data.removeprefix(_BOM)
            self._is_first = False
        cut = data.rfind(self._newline)
        if len(piece) < _PIECE_BYTES:
            self._at_end = True
            data = data.removesuffix(self._newline)
            self._rest = b""
            return self._text(data) if data or cut >= 0 else None
        if cut < 0:
            self._rest = data
            if len(data) > RECORD_CHARS_MAX:
                line = self._taken + len(self._lines) + 1
                raise InvalidRequest(f"Line {line} is longer than {RECORD_CHARS_MAX} bytes: is this a CSV file?")
            return None
        self._rest = data[cut + len(self._newline) :]
        return self._text(data[:cut])

    def _text(self, data: bytes) -> str:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode(errors="surrogateescape")
            self.is_odd = True
        self.is_odd = self.is_odd or b"\0" in data
        return self._mask.on(text) if self._mask else text


class _Utf8:
    """A stream in another charset, as UTF-8."""

    def __init__(self, stream: ByteStream, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._rest = b""
        self._at_end = False

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end."""
        while len(self._rest) < size and not self._at_end:
            piece = self._stream.read(size)
            self._at_end = len(piece) < size
            try:
                text = self._decoder.decode(piece, self._at_end)
            except (UnicodeError, ValueError):
                raise not_text(self._encoding) from None
            self._rest += text.encode(errors="surrogatepass")  # which no UTF-8 can be, whatever is next to it
        found, self._rest = self._rest[:size], self._rest[size:]
        return found
