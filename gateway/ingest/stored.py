"""Stored: rows that fitted once and that ClickHouse refused, from the texts of their values → values that fit.

Such a row lies in quarantine with every value it had, written as text by `Quarantine.refused`, and a null where it had
one; columns it left to their DEFAULT are absent. That is more than a CSV file says, so it is not read as one: an empty
string stays one, a null stays null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from gateway.ingest.groups import NO_VALUE, Group, Grouper
from gateway.ingest.lines import RECORD
from gateway.ingest.plan import Feed, feeds
from gateway.ingest.unfit import Unfit
from gateway.schema.columns import Column, Schema
from gateway.schema.lexer import words
from gateway.schema.types import DataType

# Plain types whose texts are no JSON.
_STRINGS: Final = words("String FixedString UUID IPv4 IPv6 Enum8 Enum16 Date Date32 DateTime64 Decimal")

_check: Final = msgspec.json.Decoder(msgspec.Raw).decode


@dataclass(slots=True)
class Refitted:
    """What became of rows: those that fit, and by number in which columns and why the others do not."""

    groups: list[Group] = field(default_factory=list)
    refused: dict[int, tuple[list[str], list[str]]] = field(default_factory=dict)


class StoredFitter:
    """Fits rows of stored texts to one version of a data source. Immutable."""

    def __init__(self, columns: Sequence[Column]) -> None:
        """Compile; `columns` are those of the data source that may be inserted, `TextFitter.columns`."""
        # Names and paths do not matter here, and not every name can be a key.
        plain = Schema(tuple(replace(column, name=f"c{n}", jsonpath=None) for n, column in enumerate(columns)))
        self._feeds: list[Feed] = [
            replace(feed, column=column) for feed, column in zip(feeds(plain), columns, strict=True)
        ]
        self._grouper = Grouper(self._feeds)
        self.has_arrivals = any(feed.arrival is not None for feed in self._feeds)
        """Whether what becomes of a row depends on when it came."""

    def fit(self, rows: Sequence[Mapping[str, str | None]], now: float) -> Refitted:
        """Fit rows: column name → text, None for a null; without what was left to a DEFAULT.

        Args:
            rows: not modified.
            now: unix time of their arrival.
        """
        result, kept = Refitted(), []
        for number, row in enumerate(rows):
            values, names, reasons = self._row(row)
            if not reasons and any(self._grouper.empty_rows([[value] for value in values])):
                names, reasons = [RECORD], [NO_VALUE]
            if reasons:
                result.refused[number] = names, reasons
            else:
                kept.append(values)
        if kept:
            result.groups = self._grouper.groups([list(column) for column in zip(*kept, strict=True)], now)
        return result

    def _row(self, row: Mapping[str, str | None]) -> tuple[list[Any], list[str], list[str]]:
        values, names, reasons = [], [], []
        for feed in self._feeds:
            name = feed.column.name
            try:
                values.append(feed.value(_json(feed.kind.inner, row[name]) if name in row else None))
            except Unfit as error:
                names.append(name)
                reasons.append(str(error))
            except msgspec.MsgspecError:
                names.append(name)
                reasons.append(f"the stored text of column '{name}' cannot be read")
        return values, names, reasons


def _json(kind: DataType, text: str | None) -> bytes:
    """Return a stored text of the plain type `kind` as the JSON text that events would have sent.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    if text is None:
        return b"null"
    return msgspec.json.encode(text) if kind.name in _STRINGS else bytes(_check(text.encode()))
