"""The facts an exercise rests on: every line with its sources and how sure it is.

Status words: reported (an outlet states it), claimed (a party says it), derived (worked out from reported things or
a log), invented (ours, for the exercise).
"""

from collections.abc import Iterable
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drills.documents import parse
from drills.errors import ScenarioError

Status = Literal["reported", "claimed", "derived", "invented"]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$", max_length=60)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """Where a fact was read. `date` is as printed, null when the source is undated."""

    id: Identifier
    outlet: Text
    date: str | None
    note: Text


class Fact(_Part):
    """One statement in our own words. `value` is its figure or time, null when it has none."""

    id: Identifier
    text: Text
    value: int | float | str | None
    unit: str | None = None
    sources: list[Identifier]
    status: Status

    @model_validator(mode="after")
    def _only_ours_have_no_source(self) -> "Fact":
        if not self.sources and self.status in ("reported", "claimed"):
            raise ValueError(f"a {self.status} fact needs a source")
        return self


class Position(_Part):
    """What some of the sources say about a disputed question."""

    says: Text
    sources: list[Identifier] = Field(min_length=1)


class Disagreement(_Part):
    """A question on which the sources differ."""

    id: Identifier
    question: Text
    positions: list[Position] = Field(min_length=2)


class FactBook(_Part):
    """All facts of a file, with its sources and the disagreements among them."""

    sources: list[Source]
    facts: list[Fact]
    disagreements: list[Disagreement] = []

    @model_validator(mode="after")
    def _names_fit(self) -> "FactBook":
        known = {source.id for source in self.sources}
        used = [(fact.id, fact.sources) for fact in self.facts]
        used += [(item.id, position.sources) for item in self.disagreements for position in item.positions]
        for owner, names in used:
            for name in names:
                if name not in known:
                    raise ValueError(f"{owner} names source {name}, which is not listed")
        repeated = {fact.id for fact in self.facts if sum(other.id == fact.id for other in self.facts) > 1}
        if repeated:
            raise ValueError(f"fact written twice: {', '.join(sorted(repeated))}")
        return self

    @property
    def told(self) -> bool:
        """Whether any of it comes from a source."""
        return any(fact.sources for fact in self.facts)

    def select(self, ids: Iterable[str]) -> "FactBook":
        """The book with only the facts in `ids` (unknown ids are left out); sources and disagreements stay."""
        wanted = set(ids)
        return self.model_copy(update={"facts": [fact for fact in self.facts if fact.id in wanted]})


def load_facts() -> FactBook:
    """The shipped facts. Raises ScenarioError when the file is missing or wrong."""
    resource = files("seeds").joinpath("facts.yaml")
    try:
        text = resource.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"seeds/facts.yaml: cannot be read: {error.strerror}") from error
    return parse(text, FactBook, "seeds/facts.yaml")
