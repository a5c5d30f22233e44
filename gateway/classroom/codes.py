"""The class code: four and four characters that are told apart from the back row.

It follows from the class's id and a key of the deployment, so that it can be shown again and is kept nowhere. There are
20^8 of them, 34 bits: who guesses for a whole lesson, at the 120 a minute that are let through, finds the code with a
chance of one in four million.
"""

from __future__ import annotations

import hashlib
import hmac

# No vowel, so that no word appears; none of 0 O Q, 1 I L, 2 Z, 5 S, 8 B, U V.
ALPHABET = "CDFGHJKMNPRTWXY34679"
LENGTH = 8
GROUP = 4


def code_of(key: bytes, class_id: str) -> str:
    """The code as people read it, `HKTM-4C7R`."""
    value = int.from_bytes(hmac.digest(key, class_id.encode(), hashlib.sha256))
    letters = ""
    for _ in range(LENGTH):
        value, place = divmod(value, len(ALPHABET))
        letters += ALPHABET[place]
    return f"{letters[:GROUP]}-{letters[GROUP:]}"


def is_code(given: str, code: str) -> bool:
    """Whether somebody typed this code; case, spaces and hyphens do not matter. Constant time for one length."""
    return hmac.compare_digest(_plain(given).encode(), _plain(code).encode())


def _plain(text: str) -> str:
    return "".join(text.split()).replace("-", "").upper()
