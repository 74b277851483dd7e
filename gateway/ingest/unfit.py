"""Unfit: how the ingest says that a value does not fit its column, and how it shows the value.

The sentences are in Tinybird's style (docs, "Quarantine data sources"; observed: Ghost #25923).
"""

from typing import Final

import msgspec

from gateway.schema.columns import Column

SHOWN_CHARS_MAX: Final = 100

ABSENCE: Final = "Strict type checking failed."
NO_FIELD: Final = "There is no field for column"
"""How the reason begins of a row without a value that it needs: an event, a row of a file."""

decode_text: Final = msgspec.json.Decoder(str).decode
"""Return the string that a JSON string stands for."""


class Unfit(Exception):
    """A value does not fit; `str(error)` is the detail, in words that can stand in parentheses, or ""."""


def shown(value: str | bytes) -> str:
    """Return a text, or the JSON text of a value, short enough for a message; strings without their quotes."""
    if isinstance(value, bytes):
        # Cut before decoding: the text of a refused value may be megabytes.
        value = decode_text(value) if value[:1] == b'"' and len(value) < 4096 else value[:512].decode(errors="ignore")
    return value if len(value) <= SHOWN_CHARS_MAX else value[:SHOWN_CHARS_MAX] + "…"


def absence(column: Column, path: str) -> str:
    """Return why a row without a value (or with null) for `column` is refused."""
    return (
        f"{ABSENCE} Object does not have column '{column.name}', you should send a value or "
        f"recreate the table with a Nullable column type. While accessing jsonpath '{path}'"
    )


def refusal(column: Column, raw: bytes, detail: str) -> str:
    """Return why `raw`, the JSON text of a value, is refused for `column`."""
    sentence = f"value '{shown(raw)}' on column '{column.name}' is not {shown(column.type.inner.text)}"
    return f"{sentence}: {detail}" if detail else sentence
