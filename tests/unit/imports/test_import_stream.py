"""The content of a stored file: compression undone, by what the bytes are, within bounds."""

import gzip
import io
import os
from collections import deque
from contextlib import suppress

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.imports.stream import Stream, open_stream

TEXT = b"".join(b'{"n": %d}\n' % number for number in range(20_000))


def read_all(data: bytes, encoding: str = "", size: int = 1000, **options) -> bytes:
    with Stream(io.BytesIO(data), encoding, **{"unfolded_bytes_max": 10**9, **options}) as stream:
        pieces = []
        while piece := stream.read(size):
            pieces.append(piece)
        assert stream.position == len(data)
        return b"".join(pieces)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
@pytest.mark.parametrize("size", [1, 7, 65_536, 10**7])
def test_what_is_compressed_is_told_by_its_bytes(pack, size):
    text = TEXT[:5000] if size < 100 else TEXT
    assert read_all(pack(text), size=size) == text


def test_what_is_declared_is_undone_first_and_once_more_if_the_content_is_compressed_too():
    assert read_all(gzip.compress(TEXT), "gzip") == TEXT
    assert read_all(zstd.compress(gzip.compress(TEXT)), "zstd") == TEXT
    assert read_all(gzip.compress(gzip.compress(TEXT)), "GZIP") == TEXT


def test_an_encoding_nobody_knows_is_refused():
    with pytest.raises(InvalidRequest, match="gzip, zstd or identity"):
        read_all(TEXT, "br")


def test_members_follow_each_other_and_zeros_between_them_are_padding():
    packed = gzip.compress(TEXT[:100]) + b"\0" * 700_000 + gzip.compress(TEXT[100:]) + b"\0" * 5
    assert read_all(packed) == TEXT
    assert read_all(zstd.compress(TEXT[:100]) + zstd.compress(TEXT[100:])) == TEXT


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
@pytest.mark.parametrize("kept", [5, 100, -1])
def test_a_file_cut_short_says_so_unless_it_may_be_cut(pack, kept):
    packed = pack(os.urandom(10_000))

    with pytest.raises(InvalidRequest, match="cut short"):
        read_all(packed[:kept])
    with Stream(io.BytesIO(packed[:kept]), unfolded_bytes_max=10**6, may_be_cut=True) as stream:
        assert len(stream.read(20_000)) <= 10_000
        assert stream.is_broken_off


def checked_zstd(data: bytes) -> bytes:
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


@pytest.mark.parametrize("pack", [gzip.compress, checked_zstd])
@given(place=st.integers(0, 10**6), bits=st.integers(1, 255))
def test_a_flipped_byte_never_passes_for_another_content(pack, place, bits):
    packed = bytearray(pack(TEXT[:3000]))
    packed[place % len(packed)] ^= bits
    with suppress(InvalidRequest):
        # If it is read, its magic was hit, so that it is no compressed file any more; or nothing that counts was.
        assert read_all(bytes(packed)) in {TEXT[:3000], bytes(packed)}


def test_garbage_behind_a_member_is_refused():
    with pytest.raises(InvalidRequest, match="not valid compressed data"):
        read_all(gzip.compress(TEXT) + b"garbage" * 10)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_bomb_is_refused_at_the_bound(pack):
    bomb = pack(b"\0" * 50_000_000)
    stream = Stream(io.BytesIO(bomb), unfolded_bytes_max=1_000_000)

    with pytest.raises(TooLarge, match="1000000 bytes"):
        deque(iter(lambda: stream.read(65_536), b""), 0)


def test_a_bomb_in_a_bomb_is_refused_at_the_bound():
    bomb = gzip.compress(gzip.compress(b"\0" * 100_000_000))

    with pytest.raises(TooLarge):
        read_all(bomb, "gzip", unfolded_bytes_max=1_000_000)


def test_nothing_is_nothing(tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(b"")
    with open_stream(path, unfolded_bytes_max=10) as stream:
        assert stream.read(10) == b""
        assert not stream.is_compressed
    assert read_all(b"", "gzip") == b""


def test_a_file_is_closed_if_it_cannot_be_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(TEXT)

    with pytest.raises(InvalidRequest):
        open_stream(path, "gzip", unfolded_bytes_max=10)
