"""Block: what a reader of files gives, piece by piece.

The same file, schema and options give the same blocks, always: that a job which was killed ends with each row once
stands on it (the number of the block is in the token of its insert).
"""

from dataclasses import dataclass

from gateway.ingest.fit import Fitted


@dataclass(slots=True)
class Block:
    """Some rows of a file, in the order of the file.

    Attributes:
        number: 0, 1, 2 …
        fitted: the rows that fit, and those in quarantine.
        lines: read; rows, in a file that has no lines.
        empty_lines: of these, blank ones; they are not rows.
        invalid_lines: of these, those that could not be read at all; they are in quarantine.
        bytes: how far into the file, as it is stored, this block reaches.
    """

    number: int
    fitted: Fitted
    lines: int
    empty_lines: int
    invalid_lines: int
    bytes: int
