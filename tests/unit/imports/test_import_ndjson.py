"""NDJSON files: the same blocks from the same bytes, each line accounted for."""

import io
import random

import pytest

from gateway.imports import ndjson
from gateway.imports.ndjson import ndjson_blocks
from gateway.ingest.fit import Fitter
from gateway.schema.columns import parse_schema

FITTER = Fitter(parse_schema("n Int64 `json:$.n`"))


class Content:
    """Bytes that come as they like; `read` keeps to the contract of streams."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.largest = 0

    @property
    def position(self) -> int:
        return self._file.tell()

    def read(self, size: int) -> bytes:
        self.largest = max(self.largest, size)
        return self._file.read(size)


def blocks_of(data: bytes, fitter: Fitter = FITTER):
    return list(ndjson_blocks(Content(data), fitter, 0.0, "import"))


def values(blocks) -> list[int]:
    return [value for block in blocks for group in block.fitted.groups for value in group.columns[0]]


@pytest.fixture
def small(monkeypatch):
    """Blocks of a kilobyte, so that a test need not be of megabytes."""
    monkeypatch.setattr(ndjson, "BLOCK_BYTES", 1024)
    monkeypatch.setattr(ndjson, "LINE_BYTES_MAX", 4096)
    monkeypatch.setattr(ndjson, "_KEPT_BYTES", 10)
    monkeypatch.setattr(ndjson, "_READ_BYTES", 100)


def test_every_line_is_a_row_in_quarantine_or_blank(small):
    lines = [b'{"n": %d}' % number for number in range(1000)]
    lines[10] = b""
    lines[20] = b"  "
    lines[500] = b"nonsense"
    lines[501] = b'{"n": "x"}'
    lines[502] = b'{"n": 1.5}'
    blocks = blocks_of(b"\n".join(lines))

    assert values(blocks) == [n for n in range(1000) if n not in {10, 20, 500, 501, 502}]
    assert [block.number for block in blocks] == list(range(len(blocks)))
    assert len(blocks) > 5
    assert sum(block.lines for block in blocks) == 1000
    assert sum(block.empty_lines for block in blocks) == 2
    assert sum(block.invalid_lines for block in blocks) == 1
    assert sum(block.fitted.quarantined for block in blocks) == 3


def test_blocks_are_the_same_whenever_they_are_made(small):
    generator = random.Random(5)
    lines = [b'{"n": %d, "x": "%s"}' % (n, b"y" * generator.randrange(400)) for n in range(500)]
    data = b"\n".join(lines) + b"\n"

    once = [(block.number, block.lines, block.bytes, values([block])) for block in blocks_of(data)]

    assert once == [(block.number, block.lines, block.bytes, values([block])) for block in blocks_of(data)]
    assert once[-1][2] == len(data)
    assert [value for block in once for value in block[3]] == list(range(500))


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n"])
def test_the_last_line_counts_with_and_without_a_newline(ending):
    blocks = blocks_of(b'\xef\xbb\xbf{"n": 1}\r\n{"n": 2}' + ending)

    assert values(blocks) == [1, 2]
    assert sum(block.empty_lines for block in blocks) == ending.count(b"\n\n")


def test_a_block_has_a_bounded_number_of_lines():
    blocks = blocks_of(b'{"n":1}\n' * 200_000)

    assert [block.lines for block in blocks] == [65_536, 65_536, 65_536, 3392]
    assert sum(block.fitted.rows for block in blocks) == 200_000


def test_blank_lines_alone_are_no_rows():
    blocks = blocks_of(b"\n" * 100_000)

    assert sum(block.empty_lines for block in blocks) == 100_000
    assert not any(block.fitted.rows or block.fitted.quarantined for block in blocks)
    assert blocks_of(b"") == []


def test_many_columns_make_small_blocks():
    fitter = Fitter(parse_schema(", ".join(f"c{n} Nullable(Int8) `json:$.c{n}`" for n in range(500))))
    blocks = blocks_of(b'{"c0":1}\n' * 30_000, fitter)

    assert [block.lines for block in blocks] == [10_000] * 3
    assert sum(block.fitted.rows for block in blocks) == 30_000


@pytest.mark.parametrize("size", [1023, 1024, 1025, 2000, 4000, 4096, 4097, 4500, 9000])
@pytest.mark.parametrize("behind", [b'\n{"n": 3}\n{"n": 4}', b"\n", b""])
def test_a_long_line_is_read_whole_or_its_beginning_is_kept(small, size, behind):
    long = b'{"n": 2, "x": "' + b"y" * (size - 17) + b'"}'
    assert len(long) == size
    blocks = blocks_of(b'{"n": 1}\n' + long + behind)

    rest = [3, 4] if b"3" in behind else []
    refused = [block.fitted for block in blocks if block.fitted.quarantined]
    if refused:
        assert size >= 4096
        assert values(blocks) == [1, *rest]
        assert refused[0].quarantine_columns[-1] == [long[:10].decode()]
        assert "longer than 4096 bytes" in refused[0].quarantine_columns[1][0][0]
        assert sum(block.invalid_lines for block in blocks) == 1
    else:
        assert size <= 4200
        assert values(blocks) == [1, 2, *rest]
    assert sum(block.lines for block in blocks) == 2 + len(rest)


def test_a_line_of_a_hundred_megabytes_costs_no_more_than_a_block():
    class Endless(Content):
        left = 100_000_000

        def read(self, size: int) -> bytes:
            piece = b"x" * min(size, self.left)
            self.left -= len(piece)
            self.largest = max(self.largest, size)
            return piece or super().read(size)

    content = Endless(b'\n{"n": 7}\n')
    blocks = list(ndjson_blocks(content, FITTER, 0.0, "import"))

    assert values(blocks) == [7]
    assert [block.fitted.quarantined for block in blocks if block.fitted.quarantined] == [1]
    assert content.largest <= ndjson.BLOCK_BYTES


def test_a_file_of_something_else_is_quarantined_line_by_line():
    blocks = blocks_of(b"<html>\n<body>\n</body>\n</html>\n")

    assert [(block.fitted.rows, block.fitted.quarantined, block.invalid_lines) for block in blocks] == [(0, 4, 4)]
    assert blocks[0].fitted.quarantine_columns[-1] == ["<html>", "<body>", "</body>", "</html>"]
