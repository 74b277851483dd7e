"""Bodies compressed and not."""

import gzip
import tracemalloc
import zlib

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.coding import PIECE_BYTES, Decoder, Encoder, choose
from gateway.engine.errors import EngineError
from tests.support import zstd

COMPRESS = {
    "": bytes,
    "identity": bytes,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


def decode(coding: str, chunks: list[bytes]) -> bytes:
    decoder = Decoder(coding)
    out = b"".join(piece for chunk in chunks for piece in decoder.decode(chunk))
    decoder.finish()
    return out


@given(st.sampled_from(sorted(COMPRESS)), st.lists(st.binary(max_size=2000), max_size=4), st.integers(1, 500))
def test_frames_in_a_row_are_one_body_however_they_arrive(coding, frames, chunk_bytes):
    sent = b"".join(COMPRESS[coding](frame) for frame in frames)

    chunks = [sent[at : at + chunk_bytes] for at in range(0, len(sent), chunk_bytes)]

    assert decode(coding, chunks) == b"".join(frames)


@given(st.sampled_from(["lz4", "zstd", "gzip", "deflate"]), st.lists(st.binary(max_size=3000), max_size=4))
def test_what_is_encoded_decodes_to_the_same(coding, chunks):
    encoder = Encoder(coding)

    sent = b"".join(encoder.encode(chunk) for chunk in chunks) + encoder.finish()

    assert decode(coding, [sent]) == b"".join(chunks)


@pytest.mark.parametrize("coding", ["lz4", "zstd", "gzip", "deflate"])
def test_a_body_cut_inside_a_frame_is_refused(coding):
    sent = COMPRESS[coding](b"0123456789" * 50)

    with pytest.raises(EngineError) as refused:
        decode(coding, [sent[:-3]])

    assert refused.value.code == 271
    assert refused.value.status == 400


@pytest.mark.parametrize("coding", ["lz4", "zstd", "gzip", "deflate"])
def test_a_body_in_another_coding_is_refused(coding):
    with pytest.raises(EngineError) as refused:
        decode(coding, [b"INSERT INTO t FORMAT CSV\n1,2\n"])

    assert refused.value.code == 271


@pytest.mark.parametrize("coding", ["lz4", "zstd", "gzip", "deflate"])
def test_a_bomb_comes_in_bounded_pieces(coding):
    bomb = COMPRESS[coding](bytes(64 * PIECE_BYTES))
    decoder = Decoder(coding)
    tracemalloc.start()

    sizes = [len(piece) for piece in decoder.decode(bomb)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert sum(sizes) == 64 * PIECE_BYTES
    assert max(sizes) <= PIECE_BYTES
    assert peak < 4 * PIECE_BYTES


def test_an_unknown_coding_is_refused():
    with pytest.raises(EngineError) as refused:
        Decoder("br")

    assert refused.value.code == 89


def test_the_answer_is_coded_as_the_client_accepts():
    assert choose("zstd, gzip;q=0.5") == "zstd"
    assert choose("gzip, lz4") == "lz4"
    assert choose("br") == ""
    assert choose("") == ""
