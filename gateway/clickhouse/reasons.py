"""Reasons: how the reasons of quarantined rows are told apart in SQL, whatever the value that was refused.

A reason names the value (`value '9.5' on column 'amount' is not Float32`), so every row has its own sentence. Its
normal form has `…` in the place of the value, and of every part of it that the detail behind the type shows; numbers
that count bytes, fields or elements are N. Column, type and kind of detail stay. The normal form of a normal form is
itself, so a filter may be given either.

The sentences are those of `ingest.unfit`, `ingest.lines` and of ClickHouse; of the latter, all that is quoted goes.

Pure: text in, SQL out.
"""

from typing import Final

from gateway.schema.names import quote_string

_SHOWN_CHARS_MAX: Final = 101
"""Of a value in a reason; see `ingest.unfit.shown`."""

# These name no value.
_ABSENT: Final = ("Strict type checking failed.", "There is no field for column ")
_NUMBER: Final = quote_string(r"\b[0-9]+\b")
_BEGIN: Final = "value '"


def _replaced(text: str, pattern: str, by: str) -> str:
    return f"replaceRegexpOne({text}, {quote_string(pattern)}, {quote_string(by)})"


def _numberless(text: str) -> str:
    return f"replaceRegexpAll({text}, {_NUMBER}, 'N')"


def _unquoted(text: str) -> str:
    """Everything from the first quote to the last."""
    return _replaced(text, "(?s)'.*'", "'…'")


def normal_reason(column: str, reason: str) -> str:
    """Return the SQL of the normal form of a reason.

    Args:
        column: SQL of the name of the column it is about.
        reason: SQL of the reason.
    """
    # The value ends where these words stand last, as far as it may reach: it may hold them itself.
    words = f"concat('\\' on column \\'', {column}, '\\' is not ')"
    head = f"substringUTF8({reason}, 1, {len(_BEGIN) + _SHOWN_CHARS_MAX} + lengthUTF8({words}))"
    from_end = f"position(reverse({head}), reverse({words}))"
    tail = f"substring({reason}, length({head}) - {from_end} + 2)"
    begin = f"concat({quote_string(_BEGIN + '…')}, {words})"
    colon = f"position({tail}, ': ')"
    # A number may stand without quotes in front of these.
    detail = _replaced(
        _unquoted(f"substring({tail}, {colon} + 2)"),
        "(?s)^.*( in an array cannot be stored exactly| has more than 64 bits)",
        r"…\1",
    )
    detail = f"replaceRegexpAll({detail}, 'element [0-9]+', 'element N')"
    is_absent = " OR ".join(f"startsWith({reason}, {quote_string(each)})" for each in _ABSENT)
    return (
        f"multiIf({is_absent}, {reason}, "
        f"NOT startsWith({reason}, {quote_string(_BEGIN)}) OR {from_end} = 0, {_numberless(_unquoted(reason))}, "
        f"{colon} = 0, concat({begin}, {tail}), "
        f"concat({begin}, substring({tail}, 1, {colon} + 1), {detail}))"
    )


def matches(column: str | None, reason: str | None) -> str:
    """Return the SQL of the condition that a row of a quarantine has an error in `column` for `reason`.

    Args:
        column: its name; None: any.
        reason: the sentence, or its normal form; None: any.
    """
    conditions = []
    if column is not None:
        conditions.append(f"c = {quote_string(column)}")
    if reason is not None:
        conditions.append(f"{normal_reason('c', 'r')} = {normal_reason('c', quote_string(reason))}")
    if not conditions:
        return "1"
    return f"arrayExists((c, r) -> {' AND '.join(conditions)}, c__error_column, c__error)"
