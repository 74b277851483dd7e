"""Frames, read back whole or not at all."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from gateway.wal.frame import (
    FRAME_HEADER_BYTES,
    Position,
    SegmentHeader,
    Synced,
    checksum,
    decode,
    decode_header,
    encode_header,
    find_header,
    seed,
)

MARK = 0x4B52414D
payloads = st.binary(max_size=200)
segments = st.integers(1, 2**63)
offsets = st.integers(36, 2**30)


def framed(payload: bytes, segment: int, offset: int) -> bytes:
    return encode_header(MARK, seed(segment) ^ offset, len(payload), checksum([payload])) + payload


@given(payloads, segments, offsets, payloads)
def test_a_frame_is_read_back_in_its_place(payload, segment, offset, rest):
    data = framed(payload, segment, offset) + rest

    assert decode(data, 0, MARK, seed(segment) ^ offset) == payload
    assert decode_header(data, 0, MARK, seed(segment) ^ offset) == (len(payload), zlib.crc32(payload))


@given(payloads, segments, offsets, st.data())
def test_a_cut_frame_is_never_read(payload, segment, offset, data):
    """A frame cut anywhere is refused, never mistaken for a shorter one."""
    whole = framed(payload, segment, offset)
    cut = data.draw(st.integers(0, len(whole) - 1))

    assert decode(whole[:cut], 0, MARK, seed(segment) ^ offset) is None


@given(payloads, segments, offsets, st.data())
def test_a_flipped_bit_is_always_seen(payload, segment, offset, data):
    whole = bytearray(framed(payload, segment, offset))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8

    assert decode(bytes(whole), 0, MARK, seed(segment) ^ offset) is None


@given(payloads, st.integers(1, 1000), offsets, st.integers(1, 1000), offsets)
def test_a_frame_from_another_place_is_not_this_one(payload, segment, offset, other_segment, other_offset):
    frame = framed(payload, segment, offset)
    place = seed(other_segment) ^ other_offset

    is_same = place == seed(segment) ^ offset
    assert (decode(frame, 0, MARK, place) is not None) == is_same
    assert is_same == ((segment, offset) == (other_segment, other_offset))


@given(payloads, segments, st.integers(1, 2**32 - 1), st.integers(0, 3), offsets)
def test_a_frame_an_earlier_segment_left_in_its_place_is_never_taken_for_one(payload, segment, more, times, offset):
    """Not just improbable: no payload and no offset make it one, for numbers that differ modulo 2^32."""
    later = segment + more + times * 2**32
    left, place = framed(payload, segment, offset), seed(later) ^ offset

    assert decode_header(left, 0, MARK, place) is None
    assert decode(left, 0, MARK, place) is None
    assert find_header(left, 0, MARK, seed(later), offset) == -1


@given(st.binary(max_size=20), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_sum_begun_with_another_number_is_another(data, start, other):
    assert (zlib.crc32(data, start) == zlib.crc32(data, other)) == (start == other)


@given(st.lists(st.tuples(st.sampled_from([6, 7]), payloads), max_size=6), offsets, st.data())
def test_the_first_header_of_a_segment_is_found_among_those_of_another(frames, offset, data):
    lying = b""
    for segment, payload in frames:
        lying += framed(payload, segment, offset + len(lying))
    lying = lying[: data.draw(st.integers(0, len(lying)))]
    at = data.draw(st.integers(0, len(lying)))

    places = range(at, len(lying) - FRAME_HEADER_BYTES + 1)
    sound = [each for each in places if decode_header(lying, each, MARK, seed(7) ^ offset + each) is not None]
    assert find_header(lying, at, MARK, seed(7), offset) == min(sound, default=-1)


@given(payloads, segments, offsets)
def test_a_frame_of_another_log_is_not_ours(payload, segment, offset):
    assert decode(framed(payload, segment, offset), 0, MARK ^ 1, seed(segment) ^ offset) is None


@given(st.lists(payloads))
def test_the_checksum_of_parts_is_that_of_the_whole(parts):
    assert checksum(parts) == zlib.crc32(b"".join(parts))


@given(st.integers(0, 2**32 - 1), segments, st.integers(0, 2**40), st.binary(max_size=8))
def test_headers_and_synced_records_are_read_back(mark, segment, offset, rest):
    header, synced = SegmentHeader(mark, segment, offset), Synced(mark, Position(segment, offset))

    assert SegmentHeader.decode(header.encode() + rest) == header
    assert Synced.decode(synced.encode() + rest) == synced
    assert SegmentHeader.decode(header.encode()[:-1]) is None
    assert Synced.decode(synced.encode()[:-1]) is None


def test_zeros_are_no_frame():
    assert decode(bytes(1000), 0, MARK, seed(1) ^ FRAME_HEADER_BYTES) is None
