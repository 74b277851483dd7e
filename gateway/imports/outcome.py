"""Outcome: what became of the rows of a file so far, in numbers and in the words clients know. Pure.

Source: Tinybird docs, "Data Sources API"; the sentences are those its clients were seen to get.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

_BLOCKS_SHOWN_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Rows of a file.

    Attributes:
        rows: stored in the data source.
        quarantined: stored in its quarantine, `invalid` among them.
        invalid: lines that could not be read at all.
        lines: read; rows, in a file without lines.
    """

    rows: int = 0
    quarantined: int = 0
    invalid: int = 0
    lines: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """Return what `state` gave."""
        return cls(**state)

    def state(self) -> dict[str, int]:
        """Return it as a checkpoint keeps it."""
        return asdict(self)

    def and_block(self, *, rows: int, quarantined: int, invalid: int, lines: int) -> Self:
        """Return these and those of one block more."""
        return replace(
            self,
            rows=self.rows + rows,
            quarantined=self.quarantined + quarantined,
            invalid=self.invalid + invalid,
            lines=self.lines + lines,
        )

    @property
    def complaint(self) -> str:
        """The sentence of what did not fit; "" if everything did."""
        return complaint(self.quarantined, self.invalid)


def complaint(quarantined: int, invalid: int) -> str:
    """Return the sentence of rows that did not fit; "" if all did."""
    parts = [_counted(quarantined, "row", " in quarantine"), _counted(invalid, "invalid line", "")]
    found = " and ".join(part for part in parts if part)
    return f"There was an error with file contents: {found}." if found else ""


def block_shown(number: int, process: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return a block that is done, as a job shows it."""
    return {"block_id": f"b-{number}", "process_return": [dict(process)], "processing_time": round(seconds, 3)}


def blocks_shown(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks of a job, the first of too many as one: clients add their numbers up."""
    while len(blocks) > _BLOCKS_SHOWN_MAX:
        first, second, *rest = blocks
        sums = dict(first["process_return"][0])
        for name, value in second["process_return"][0].items():
            sums[name] = sums[name] + value if isinstance(value, int | float) else value
        seconds = first["processing_time"] + second["processing_time"]
        blocks = [{**first, "process_return": [sums], "processing_time": round(seconds, 3)}, *rest]
    return blocks


def _counted(count: int, what: str, where: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}{where}" if count else ""
