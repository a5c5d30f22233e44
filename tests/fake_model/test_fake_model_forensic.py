"""The mark and its code: what the key decides, what is corrected, and what is refused."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_model.errors import InvalidInput
from fake_model.forensic import ForensicMark
from fake_model.forensic_code import (
    CELLS,
    CODED_BITS,
    PILOT,
    WORD_BITS,
    chips,
    decode,
    encode,
    grid_of,
    layout,
    seal,
    unseal,
)

KEY = b"a key of the tests, 32 bytes long"
OTHER = b"another key, as good as the first"
PAYLOADS = st.integers(0, 2**64 - 1)
#: Half of the code's free distance of 24, rounded down below it.
CORRECTED = 11


def signs(coded: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    return 1.0 - 2.0 * coded.astype(np.float64)


@pytest.mark.parametrize(
    ("size", "digest"),
    [
        ((854, 480), "e711df3aa5bc2e6b1d41dddb59474241a5f4047393101b52b92309ff610f5f9e"),
        ((480, 854), "0a637ae2d7e59546362788aca4570a554a760f6691e146cc549cdddbd6f0310a"),
        ((1080, 1080), "9b9a87f69f87e92568a9dc2ea8a508fd6f3e6380b6fdffb76fc7361be39e473d"),
    ],
)
def test_the_pattern_is_the_same_everywhere(size: tuple[int, int], digest: str) -> None:
    pattern = ForensicMark(0x0123456789ABCDEF, KEY, *size).pattern
    assert pattern.shape == size[::-1]
    assert hashlib.sha256(pattern.tobytes()).hexdigest() == digest


@pytest.mark.parametrize(("size", "qp"), [((1920, 1080), 26), ((1280, 720), 28), ((854, 480), 26), ((480, 480), 32)])
def test_the_pattern_is_weak_and_without_a_mean(size: tuple[int, int], qp: int) -> None:
    pattern = ForensicMark(77, KEY, *size, qp=qp).pattern.astype(np.float64)
    assert np.abs(pattern).max() <= 4
    assert abs(pattern.mean()) < 0.2
    assert 10 * math.log10(255**2 / np.mean(pattern**2)) >= 41


def test_a_coarser_quantiser_gets_a_stronger_mark() -> None:
    strengths = [np.abs(ForensicMark(77, KEY, 854, 480, qp=qp).pattern).mean() for qp in (20, 26, 30, 34)]
    assert strengths[0] == strengths[1]
    assert strengths == sorted(strengths)


@pytest.mark.parametrize("qp", [26, 36])
def test_no_pixel_wraps_around(qp: int) -> None:
    mark = ForensicMark(5, KEY, 256, 256, qp=qp)
    luma = np.arange(256, dtype=np.uint8)[:, None].repeat(256, axis=1)
    before = luma.astype(np.int16)
    mark.put(luma)
    reach = int(np.abs(mark.pattern).max())
    assert np.abs(luma.astype(np.int16) - before).max() <= 2 * reach
    inside = slice(16, 236)
    assert np.array_equal(luma[inside].astype(np.int16), before[inside] + mark.pattern[inside])


@pytest.mark.parametrize("payload", [-1, 2**64, True, "7"])
def test_a_payload_has_64_bits(payload: int) -> None:
    with pytest.raises(InvalidInput, match="payload: a whole number from 0 to"):
        ForensicMark(payload, KEY, 854, 480)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(InvalidInput, match="key: at least 16 bytes"):
        ForensicMark(1, b"short", 854, 480)


def test_a_tiny_frame_is_refused() -> None:
    with pytest.raises(InvalidInput, match="width and height: at least 128 pixels each"):
        ForensicMark(1, KEY, 854, 100)


@pytest.mark.parametrize(
    ("size", "grid"),
    [((1920, 1080), (64, 36)), ((854, 480), (64, 36)), ((1024, 1792), (36, 64)), ((720, 720), (48, 48))],
)
def test_cells_are_nearly_square(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert grid_of(*size) == grid
    assert 0.8 < (size[0] / grid[0]) / (size[1] / grid[1]) < 1.25


def test_a_layout_uses_every_cell_once() -> None:
    where = layout(KEY, 64, 36)
    assert sorted([*where.pilot.tolist(), *where.data.tolist()]) == list(range(CELLS))
    assert where.pilot.size == PILOT
    assert set(where.pilot_signs.tolist()) == set(where.data_signs.tolist()) == {-1, 1}


def test_keys_and_grids_share_no_pilot() -> None:
    first, second, third = layout(KEY, 64, 36), layout(OTHER, 64, 36), layout(KEY, 36, 64)
    for other in (second, third):
        both = len(set(first.pilot.tolist()) & set(other.pilot.tolist()))
        assert 90 < both < 200  # 144 of 576 by chance


@given(PAYLOADS, st.integers(0, 63))
@settings(max_examples=30, deadline=None)
def test_neighbouring_payloads_look_unrelated(payload: int, bit: int) -> None:
    data = layout(KEY, 64, 36).data
    one, two = (chips(number, KEY, 64, 36).reshape(-1)[data] for number in (payload, payload ^ 1 << bit))
    assert 0.3 < np.mean(one != two) < 0.7


@given(PAYLOADS)
@settings(max_examples=50, deadline=None)
def test_a_sealed_payload_is_opened_by_its_key_only(payload: int) -> None:
    word = seal(payload, KEY)
    assert word.shape == (WORD_BITS,)
    assert unseal(word, KEY) == payload
    assert unseal(word, OTHER) is None


@given(PAYLOADS, st.sets(st.integers(0, WORD_BITS - 1), min_size=1))
@settings(max_examples=100, deadline=None)
def test_a_changed_word_is_no_word(payload: int, flips: set[int]) -> None:
    word = seal(payload, KEY)
    word[list(flips)] ^= 1
    assert unseal(word, KEY) is None


@given(PAYLOADS, st.sets(st.integers(0, CODED_BITS - 1), max_size=CORRECTED))
@settings(max_examples=40, deadline=None)
def test_up_to_eleven_wrong_bits_are_always_corrected(payload: int, flips: set[int]) -> None:
    coded = encode(seal(payload, KEY))
    coded[list(flips)] ^= 1
    assert unseal(decode(signs(coded)), KEY) == payload


@given(PAYLOADS, st.integers(0, CODED_BITS - CORRECTED))
@settings(max_examples=10, deadline=None)
def test_a_burst_is_corrected_like_any_other_error(payload: int, first: int) -> None:
    coded = encode(seal(payload, KEY))
    coded[first : first + CORRECTED] ^= 1
    assert unseal(decode(signs(coded)), KEY) == payload


@given(PAYLOADS, st.sets(st.integers(0, CODED_BITS - 1), min_size=CORRECTED + 1))
@settings(max_examples=60, deadline=None)
def test_more_wrong_bits_never_name_somebody_else(payload: int, flips: set[int]) -> None:
    coded = encode(seal(payload, KEY))
    coded[list(flips)] ^= 1
    assert unseal(decode(signs(coded)), KEY) in (payload, None)


def test_half_of_the_bits_may_be_missing() -> None:
    soft = signs(encode(seal(99, KEY)))
    soft[::2] = 0
    assert unseal(decode(soft), KEY) == 99


def test_doubtful_bits_may_be_wrong_in_numbers() -> None:
    soft = signs(encode(seal(99, KEY)))
    soft[::4] *= -0.3
    assert unseal(decode(soft), KEY) == 99


def test_noise_says_nothing() -> None:
    soft = np.frombuffer(hashlib.shake_256(b"noise").digest(CODED_BITS * 20), dtype=np.int8).astype(np.float64)
    assert {unseal(decode(part), KEY) for part in soft.reshape(20, CODED_BITS)} == {None}
