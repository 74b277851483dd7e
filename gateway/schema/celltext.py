r"""Cell text: what the text of one CSV field may stand for, apart from any column.

    nothing      an empty field, `\N`, `N`, `NA`, `NULL`, `null`; in a column of text only the first two, because there
                 the others are words
    a number     `5`, `-5`, `1.5`, `1e3`; for a column that is known to hold numbers also `+5`, `007`, `.5` and `5.`
    a list       `[1,2]`, `["a","b"]`, `['a','b']`; so do maps `{'a':1}` and tuples `(1,'a')`

`N` is what remains of `\N` where the backslash is an escape. Source: datasources.md §9; `NA` and `NULL` are ours: that
is how R, and others, write a missing value. Blanks around anything but text mean nothing.
"""

import re
from typing import Final

import msgspec

TEXT_NULLS: Final = frozenset(("", "\\N"))
"""What stands for no value in a column of text."""
NULLS: Final = TEXT_NULLS | {"N", "NA", "NULL", "null"}
"""What stands for no value in any other column."""

BLANKS: Final = " \t\r\n"

INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
"""An integer whose text is all there is to know: no zeros in front, as postal codes have, and no plus sign."""
FRACTION: Final = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""Any other number of that kind, and `INTEGER` too."""

_NUMBER: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
# A string in single quotes, one in double quotes, and what stands between strings.
_LITERAL: Final = re.compile(r"""'((?:[^'\\]|\\.|'')*)'|("(?:[^"\\]|\\.)*")|([^'"]+)""", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)|''", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_ESCAPES_ITSELF: Final = "\\'\"/"
_BRACKETS: Final = str.maketrans("()", "[]")

_is_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


def number_json(text: str) -> str | None:
    """Return the number that `text` spells as JSON spells it, digit by digit; None if it spells none."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, fraction, exponent = found.groups()
    if not whole and not fraction:
        return None
    result = ("-" if sign == "-" else "") + (whole.lstrip("0") or "0")
    if fraction:
        result += "." + fraction
    return f"{result}e{exponent}" if exponent else result


def literal_json(text: str) -> bytes | None:
    """Return the JSON text of a list, map or tuple, written as JSON, or as ClickHouse and Python do; None if neither.

    Raises:
        RecursionError: it is nested too deeply.
    """
    text = text.strip(BLANKS)
    if text[:1] not in {"[", "{", "("}:
        return None
    try:
        return bytes(_is_json(text))
    except msgspec.MsgspecError:
        pass
    written = _as_json(text)
    try:
        return None if written is None else bytes(_is_json(written))
    except msgspec.MsgspecError:
        return None


def _as_json(text: str) -> str | None:
    parts = []
    position = 0
    while position < len(text):
        found = _LITERAL.match(text, position)
        if found is None:
            return None
        single, double, between = found.groups()
        if single is not None:
            plain = _unescaped(single)
            if plain is None:
                return None
            parts.append(msgspec.json.encode(plain).decode())
        else:
            parts.append(double or between.replace("NULL", "null").translate(_BRACKETS))
        position = found.end()
    return "".join(parts)


def _unescaped(text: str) -> str | None:
    """Return what stands between single quotes without its escapes; None if one of them is unknown."""
    if any(
        found[1] and found[1] not in _ESCAPED and found[1] not in _ESCAPES_ITSELF for found in _ESCAPE.finditer(text)
    ):
        return None
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]) if found[1] else "'", text)
