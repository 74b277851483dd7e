"""Rows keep their values through both encodings, in any mixture, and through a split."""

import asyncio

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buffer import batch as batch_module
from gateway.buffer.batch import Batch, encode_rows, insert_body, stream, table, unstream
from gateway.buffer.layout import Layout
from gateway.buffer.records import Child
from gateway.buffer.recovery import split

SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("s", pa.string()),
        ("l", pa.list_(pa.uint8())),
        ("m", pa.map_(pa.string(), pa.int32())),
        ("t", pa.timestamp("ms", "UTC")),
        ("f", pa.struct([("a", pa.int8()), ("b", pa.string())])),
    ]
)
ROW = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.text(max_size=20),
    st.none() | st.lists(st.integers(0, 255), max_size=4),
    st.none() | st.dictionaries(st.text(max_size=3), st.integers(-(2**31), 2**31 - 1), max_size=3),
    st.none() | st.integers(-(2**40), 2**42),
    st.none() | st.fixed_dictionaries({"a": st.integers(-128, 127), "b": st.text(max_size=5)}),
)


def _item(layout, rows, arrow_rows_min):
    columns = [list(column) for column in zip(*rows, strict=True)]
    return encode_rows(layout, columns, len(rows), arrow_rows_min)


async def pause():
    pass


@given(st.lists(st.tuples(st.lists(ROW, min_size=1, max_size=5), st.booleans()), min_size=1, max_size=4), st.data())
def test_both_encodings_give_the_same_rows(requests, data):
    layout = Layout.of("t_x", False, SCHEMA)
    rows = [row for request, _ in requests for row in request]
    expected = pa.Table.from_arrays(
        [pa.array(list(column), kind.type) for column, kind in zip(zip(*rows, strict=True), SCHEMA, strict=True)],
        schema=SCHEMA,
    )

    items = [_item(layout, request, 0 if arrow else 1000) for request, arrow in requests]
    assert table(layout, items).equals(expected)
    assert unstream(stream(table(layout, items))).equals(expected)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_module, "_CHUNK_ROWS", data.draw(st.integers(1, 6)))
        assert unstream(asyncio.run(insert_body(layout, items, pause))).equals(expected)

    cut = data.draw(st.integers(0, len(rows)))
    batch = Batch(layout, 0.0, 1, items=items, rows=len(rows))
    if 0 < cut < len(rows):
        first, second = split(batch, [Child("x-0", 0, cut), Child("x-1", cut, len(rows))])
        assert (
            pa.concat_tables([table(layout, first.items), table(layout, second.items)])
            .combine_chunks()
            .equals(expected)
        )


@given(st.text(max_size=10), st.booleans())
def test_a_layout_reads_back_as_itself(name, quarantine):
    layout = Layout.of(name, quarantine, SCHEMA)
    again = Layout.from_bytes(layout.to_bytes())

    assert (again.key, again.datasource_id, again.quarantine) == (layout.key, name, quarantine)
    assert again.schema.equals(SCHEMA)
