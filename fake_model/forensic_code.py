"""What the forensic mark says, and where: the keyed layout of its cells and the code that carries 64 bits in them.

The frame is divided into 2304 cells. A key decides which 576 of them are the pilot, whose signs are known and by which
the mark is found, and which bit and sign each of the other 1728 has. From payload to cells:

    word   (96 bits)    32 bits of check, then the payload XOR a stream derived from key and check
    coded  (416 bits)   a convolutional code of rate 1/4 and constraint length 9, ended with 8 zeros
    cells  (1728)       each coded bit on 4 or 5 cells, scattered over the frame, times the cell's own sign

The check is the head of HMAC-SHA256(key, payload), so a word that was not made with the key passes once in 2**32. It is
also the nonce of the stream (as in SIV modes, RFC 5297): payloads that differ in one bit differ in about half of the
word. A convolutional code is used, and not Reed-Solomon's (1960), because errors here are single cells of known
reliability and not bursts: Viterbi's decoder (1967) takes the reliabilities as they are, which is worth 3 to 4 dB over
symbols that were decided first, and so a mark that much weaker. Its free distance is 24: any 11 wrong coded bits are
corrected, and several times as many where the doubtful ones are known to be doubtful.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fake_model.errors import InvalidInput

CELLS = 2304
PILOT = CELLS // 4
PAYLOAD_BITS = 64
CHECK_BITS = 32
WORD_BITS = PAYLOAD_BITS + CHECK_BITS
MIN_KEY_BYTES = 16

#: Generators of the code, octal as in the literature (Larsen 1973, rate 1/4, memory 8).
GENERATORS = (0o765, 0o671, 0o513, 0o473)
_MEMORY = 8
_STATES = 1 << _MEMORY
CODED_BITS = (WORD_BITS + _MEMORY) * len(GENERATORS)

Bits = npt.NDArray[np.uint8]
Signs = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where a key puts what. All indices count cells row by row.

    Args:
        columns, rows: of the grid; their product is `CELLS`.
        pilot: (PILOT,) cells of the pilot.
        pilot_signs: (PILOT,) its signs, -1 or 1.
        data: (CELLS - PILOT,) the other cells; the i-th carries coded bit i % CODED_BITS.
        data_signs: (CELLS - PILOT,) -1 or 1, what a coded 0 looks like there.
    """

    columns: int
    rows: int
    pilot: npt.NDArray[np.intp]
    pilot_signs: Signs
    data: npt.NDArray[np.intp]
    data_signs: Signs


def grid_of(width: int, height: int) -> tuple[int, int]:
    """Columns and rows of the grid for a frame: the one whose cells are nearest to squares."""
    if width * 3 >= height * 4:
        return 64, 36
    if height * 3 >= width * 4:
        return 36, 64
    return 48, 48


def check_key(key: bytes) -> None:
    """Raise `InvalidInput` for a key that is no secret."""
    if not isinstance(key, bytes) or len(key) < MIN_KEY_BYTES:
        raise InvalidInput("key", f"at least {MIN_KEY_BYTES} bytes")


@functools.lru_cache(maxsize=32)
def layout(key: bytes, columns: int, rows: int) -> Layout:
    """The layout of a key on a grid; the same on every platform."""
    name = f"layout {columns}x{rows}"
    words = np.frombuffer(_stream(key, name, CELLS * 8), dtype=">u8")
    # A stable sort of 64-bit words is a permutation that depends on nothing but the words.
    order = np.argsort(words, kind="stable").astype(np.intp)
    signs = (np.frombuffer(_stream(key, f"signs {columns}x{rows}", CELLS), dtype=np.uint8) & 1).astype(np.int8) * 2 - 1
    return Layout(columns, rows, order[:PILOT], signs[:PILOT], order[PILOT:], signs[PILOT:])


def chips(payload: int, key: bytes, columns: int, rows: int) -> Signs:
    """The whole mark as signs, int8 of shape (rows, columns).

    Args:
        payload: 0 to 2**64 - 1.
        key: at least `MIN_KEY_BYTES`.
        columns, rows: a grid as from `grid_of`.
    """
    where = layout(key, columns, rows)
    coded = encode(seal(payload, key)).astype(np.int8)
    cells = np.empty(CELLS, dtype=np.int8)
    cells[where.pilot] = where.pilot_signs
    cells[where.data] = (1 - 2 * np.resize(coded, where.data.size)) * where.data_signs
    return cells.reshape(rows, columns)


def seal(payload: int, key: bytes) -> Bits:
    """The word for a payload: uint8 of shape (WORD_BITS,), zeros and ones."""
    check = _check(payload, key)
    hidden = payload.to_bytes(8, "big")
    mask = _stream(key, "payload " + check.hex(), 8)
    return np.unpackbits(np.frombuffer(check + bytes(a ^ b for a, b in zip(hidden, mask, strict=True)), np.uint8))


def unseal(word: Bits, key: bytes) -> int | None:
    """The payload of a word, or None if the word was not sealed with this key."""
    packed = np.packbits(word).tobytes()
    check, hidden = packed[: CHECK_BITS // 8], packed[CHECK_BITS // 8 :]
    mask = _stream(key, "payload " + check.hex(), 8)
    payload = int.from_bytes(bytes(a ^ b for a, b in zip(hidden, mask, strict=True)), "big")
    return payload if hmac.compare_digest(check, _check(payload, key)) else None


def encode(word: Bits) -> Bits:
    """Coded bits of a word: uint8 of shape (CODED_BITS,)."""
    coded = []
    register = 0
    for bit in (*word.tolist(), *(0,) * _MEMORY):
        register = (bit << _MEMORY) | (register >> 1)
        coded += [(register & generator).bit_count() & 1 for generator in GENERATORS]
    return np.array(coded, dtype=np.uint8)


def decode(soft: npt.NDArray[np.float64]) -> Bits:
    """The most likely word (Viterbi 1967).

    Args:
        soft: (CODED_BITS,) evidence, positive for a 0 and negative for a 1; its size is its reliability.

    Returns:
        uint8 of shape (WORD_BITS,).
    """
    table = _branches()
    metric = np.full(_STATES, -np.inf)
    metric[0] = 0.0
    choices = []
    for evidence in soft.reshape(-1, len(GENERATORS)):
        # Registers 2n and 2n + 1 both lead to state n, from the states that are their lower 8 bits.
        ways = (table @ evidence + np.tile(metric, 2)).reshape(_STATES, 2)
        choices.append(ways.argmax(axis=1))
        metric = ways.max(axis=1)
    state = 0
    bits = []
    for choice in reversed(choices):
        bits.append(state >> (_MEMORY - 1))
        state = ((state << 1) | int(choice[state])) & (_STATES - 1)
    return np.array(bits[::-1][:WORD_BITS], dtype=np.uint8)


@functools.cache
def _branches() -> npt.NDArray[np.float64]:
    """What each of the registers puts out, as signs: (2 * _STATES, len(GENERATORS)), 1 for a 0 and -1 for a 1."""
    return np.array(
        [[1.0 - 2.0 * ((register & generator).bit_count() & 1) for generator in GENERATORS]
         for register in range(2 * _STATES)]
    )  # fmt: skip


def _check(payload: int, key: bytes) -> bytes:
    message = b"leakdrill forensic check" + payload.to_bytes(8, "big")
    return hmac.digest(key, message, hashlib.sha256)[: CHECK_BITS // 8]


def _stream(key: bytes, name: str, length: int) -> bytes:
    """`length` bytes of HMAC-SHA256 in counter mode; each name is a stream of its own."""
    blocks = -(-length // 32)
    prefix = b"leakdrill forensic " + name.encode() + b" "
    return b"".join(hmac.digest(key, prefix + b"%d" % block, hashlib.sha256) for block in range(blocks))[:length]
