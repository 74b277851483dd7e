"""Spec: what an import is asked to do, as its job keeps it. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSpec:
    """What an import is asked to do.

    Attributes:
        mode: "create", "append" or "replace".
        format: "csv", "ndjson" or "parquet".
        schema: of the data source when the job was made: blocks are fitted to it, whenever they are read.
        url: of the file, "" if it came with the request; then
        file: is its name in the directory of uploads.
        encoding: how the file is compressed, as the client says; "" if it does not.
        dialect: of a CSV file, as far as it was given; see `DialectOptions`.
        condition: which rows are replaced, fenced; "" for all.
        truncate_when_empty: an empty file replaces, too.
    """

    mode: str
    format: str
    schema: str
    url: str = ""
    file: str = ""
    encoding: str = ""
    dialect: Mapping[str, Any] = field(default_factory=dict)
    condition: str = ""
    truncate_when_empty: bool = False

    def spec(self) -> dict[str, Any]:
        """Return it as a job keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Self:
        """Return what `spec` gave."""
        return cls(**spec)
