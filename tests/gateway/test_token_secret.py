import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens import secret

PICKS = st.lists(st.sampled_from(secret.BASE62), min_size=30, max_size=30)


def minted(picks: list[str]) -> str:
    remaining = iter(picks)
    return secret.mint(lambda _: next(remaining))


@given(PICKS)
def test_a_minted_secret_has_the_published_format(picks: list[str]) -> None:
    made = minted(picks)
    assert re.fullmatch(r"ldk_[0-9A-Za-z]{30}[0-9A-Za-z]{6}", made)
    assert secret.well_formed(made)


@given(PICKS, st.integers(0, 39), st.sampled_from(secret.BASE62))
def test_any_edit_of_one_character_breaks_it(picks: list[str], place: int, other: str) -> None:
    made = minted(picks)
    edited = made[:place] + other + made[place + 1 :]
    assert secret.well_formed(edited) == (edited == made)


@given(st.text(max_size=60))
def test_no_other_text_is_well_formed_by_accident(text: str) -> None:
    assert not secret.well_formed(text)


def test_the_checksum_is_crc32_in_base62() -> None:
    # zlib.crc32(b"123456789") is 0xCBF43926, the published check value of CRC-32.
    value = 0
    for digit in secret.checksum("123456789"):
        value = value * 62 + secret.BASE62.index(digit)
    assert value == 0xCBF43926


def test_minting_uses_the_given_choice() -> None:
    assert secret.mint(lambda alphabet: alphabet[0]).startswith("ldk_" + "0" * 30)
    assert secret.mint() != secret.mint()


def test_the_kept_hash_depends_on_the_key() -> None:
    made = secret.mint()
    assert secret.keyed_hash(b"one", made) != secret.keyed_hash(b"two", made)
    assert len(secret.keyed_hash(b"one", made)) == 32
