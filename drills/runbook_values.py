"""What a runbook's `{words}` stand for, and what of it nobody may read.

`{{word}}` is the word in braces itself; other braces mean nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MEANINGS = {
    "accessor": "the leaked token's public name",
    "principal": "who holds it",
    "cohort": "the cohort it was issued with",
    "gateway": "the gateway's address",
    "token_file": "a file that holds the leaked token",
    "admin_token_file": "a file that holds the admin token",
    "out": "the folder of journal and reports",
}
# Each with the file that holds it: what others can read on the machine bears the file's name instead.
SECRETS = {"token": "token_file", "admin_token": "admin_token_file"}
HIDDEN = "[secret]"

_WORD = re.compile(r"\{\{([a-z_]+)\}\}|\{([a-z_]+)\}")
# A whole token, whoever it belongs to.
_TOKEN = re.compile(r"ldk_[0-9A-Za-z]{20,}")


def words_in(value: Any) -> list[str]:
    """The words in braces of a text, or of all texts in a JSON value."""
    if isinstance(value, str):
        return [found[2] for found in _WORD.finditer(value) if found[2]]
    if isinstance(value, dict):
        return [word for each in (*value, *value.values()) for word in words_in(each)]
    return [word for each in value for word in words_in(each)] if isinstance(value, list | tuple) else []


@dataclass(frozen=True)
class Values:
    """What the words stand for in one drill. `hidden` are secrets besides, which no output may show."""

    plain: dict[str, str]
    secret: dict[str, str] = field(default_factory=dict, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    def fill(self, text: str, *, masked: bool = False) -> str:
        """The text with its words filled in; `masked` writes [secret] for secrets."""

        def value(found: re.Match[str]) -> str:
            if found[1]:
                return f"{{{found[1]}}}"
            name = found[2]
            if name in self.secret:
                return HIDDEN if masked else self.secret[name]
            return self.plain[name]

        return _WORD.sub(value, text)

    def fill_all(self, value: Any, *, masked: bool = False) -> Any:
        """A JSON value with the words of all its texts filled in."""
        if isinstance(value, str):
            return self.fill(value, masked=masked)
        if isinstance(value, dict):
            return {
                self.fill(str(key), masked=masked): self.fill_all(each, masked=masked) for key, each in value.items()
            }
        return [self.fill_all(each, masked=masked) for each in value] if isinstance(value, list) else value

    def redact(self, text: str) -> str:
        """The text without any secret, or anything that looks like a token."""
        for secret in sorted({*self.secret.values(), *self.hidden}, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return _TOKEN.sub(HIDDEN, text)


def stand_ins(names: Iterable[str] = MEANINGS) -> Values:
    """Values for a dry run: each word stands for itself, in angle brackets."""
    return Values({name: f"<{name}>" for name in names}, dict.fromkeys(SECRETS, ""))
