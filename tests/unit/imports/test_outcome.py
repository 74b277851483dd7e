"""What is said of an import's rows."""

import pytest

from gateway.imports.outcome import Counts, block_shown, blocks_shown, complaint


@pytest.mark.parametrize(
    "quarantined, invalid, sentence",
    [
        (0, 0, ""),
        (1, 0, "There was an error with file contents: 1 row in quarantine."),
        (564, 0, "There was an error with file contents: 564 rows in quarantine."),
        (1, 1, "There was an error with file contents: 1 row in quarantine and 1 invalid line."),
        (3, 2, "There was an error with file contents: 3 rows in quarantine and 2 invalid lines."),
    ],
)
def test_the_sentence_counts_as_tinybirds_does(quarantined, invalid, sentence):
    assert complaint(quarantined, invalid) == sentence


def test_counts_survive_a_checkpoint():
    counts = (
        Counts()
        .and_block(rows=3, quarantined=2, invalid=1, lines=6)
        .and_block(rows=1, quarantined=0, invalid=0, lines=1)
    )

    assert Counts.of(counts.state()) == counts == Counts(rows=4, quarantined=2, invalid=1, lines=7)


def test_however_many_blocks_there_are_few_are_shown_and_their_sums_stay():
    blocks: list = []
    for number in range(1000):
        blocks = blocks_shown(
            [*blocks, block_shown(number, {"lines": number, "parser": "clickhouse", "time": 0.5}, 0.5)]
        )

    assert len(blocks) == 100
    assert [block["block_id"] for block in blocks][-2:] == ["b-998", "b-999"]
    parts = [block["process_return"][0] for block in blocks]
    assert sum(part["lines"] for part in parts) == sum(range(1000))
    assert {part["parser"] for part in parts} == {"clickhouse"}
    assert sum(block["processing_time"] for block in blocks) == 500
