"""What evaluators say of the objectives, kept beside the journal: the journal stays as it was.

Performed without challenges (P), with some (S), with major challenges (M), unable to be performed (U), after HSEEP.
"""

import hashlib
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from drills.errors import JournalError
from drills.journal import read_journal, write_atomically

NAME = "ratings.json"
Letter = Literal["P", "S", "M", "U"]
WORDS: dict[Letter, str] = {
    "P": "performed without challenges",
    "S": "performed with some challenges",
    "M": "performed with major challenges",
    "U": "unable to be performed",
}
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Rating(BaseModel):
    """One objective, as one evaluator saw it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    objective: Name
    rating: Letter
    by: Name
    note: Annotated[str, Field(max_length=2000)] = ""
    at: AwareDatetime


class Ratings(BaseModel):
    """All ratings of one journal, in the order in which they were given. `journal` is the SHA-256 of its bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    journal: str
    ratings: list[Rating] = []

    def of(self, objective: str) -> list[Rating]:
        """The last rating of each evaluator, by name."""
        last = {one.by: one for one in self.ratings if one.objective == objective}
        return [last[name] for name in sorted(last)]


def load_ratings(journal: Path) -> Ratings:
    """The ratings beside a journal; none where there is no such file. Raises JournalError where they are of another."""
    digest = hashlib.sha256(read_journal(journal)).hexdigest()
    path = journal.parent / NAME
    if not path.exists():
        return Ratings(journal=digest)
    try:
        found = Ratings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise JournalError(f"{path}: not a file of ratings: {place}: {first['msg']}") from error
    if found.journal != digest:
        raise JournalError(f"{path}: these are ratings of another journal; move them away, or put the journal back")
    return found


def add_rating(
    journal: Path, known: Collection[str], *, objective: str, rating: Letter, by: str, note: str, at: datetime
) -> Ratings:
    """Add a rating beside the journal. Raises JournalError for an objective that the journal does not have."""
    if objective not in known:
        raise JournalError(f"{journal}: no objective {objective}; it has {', '.join(known) or 'none'}")
    held = load_ratings(journal)
    try:
        added = Rating(objective=objective, rating=rating, by=by, note=note, at=at)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise JournalError(f"{first['loc'][0]}: {first['msg']}") from error
    ratings = held.model_copy(update={"ratings": [*held.ratings, added]})
    write_atomically(journal.parent / NAME, ratings.model_dump_json(indent=1) + "\n")
    return ratings
