"""What a runbook did, step by step, and what it believes at its end. Seconds on the history's clock; no secret."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from drills.oracle import RevokeCall, Verdict, VerdictWord
from drills.runbook import CUTS

Outcome = Literal["ok", "failed", "unknown", "timeout", "interrupted"]
Belief = Literal["contained", "not contained", "not verified", "nothing was cut"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StepRun(_Part):
    """One step as it was done. `took` is seconds, `by` who answered where a person had to, `next` where it led.

    unknown: it may or may not have happened (no answer, 5xx, a program that failed). `status` is that of an answer.
    """

    step: str
    type: str
    owner: str
    text: str
    does: str | None = None
    branch: str | None = None
    started: float
    took: float
    by: str | None = None
    expected: str
    got: str
    outcome: Outcome
    status: int | None = None
    output: str = ""
    next: str

    @property
    def end(self) -> float:
        """When it was over."""
        return round(self.started + self.took, 6)

    @property
    def cuts(self) -> bool:
        """Whether it was to take access away."""
        return self.does in CUTS


class RunbookRecord(_Part):
    """A runbook as it was run. `ended_as` is None where the drill ended before it. `findings` are lint's, `planned` all
    of the file's steps."""

    name: str
    file: str
    description: str
    owner: str
    findings: list[str]
    started: float
    ended: float | None = None
    ended_as: Literal["done", "failed"] | None = None
    why: str = ""
    steps: list[StepRun] = []
    planned: list[str] = []

    @property
    def belief(self) -> Belief:
        """What the runbook knows by its own steps: what its verify said after the last cut."""
        cuts = [step for step in self.steps if step.cuts and step.outcome != "interrupted"]
        after = cuts[-1].end if cuts else 0.0
        looks = [step for step in self.steps if self._looks(step) and step.started >= after]
        if looks:
            return "contained" if looks[-1].outcome == "ok" else "not contained"
        return "not verified" if cuts else "nothing was cut"

    @property
    def believes_done(self) -> bool:
        """Whether it ends as done, and knows nothing against that."""
        return self.ended_as == "done" and self.belief != "not contained"

    @property
    def person_seconds(self) -> float:
        """How long people took, in manual steps and decisions."""
        return round(sum(step.took for step in self.steps if step.type in ("manual", "decision")), 6)

    @staticmethod
    def _looks(step: StepRun) -> bool:
        return step.type == "verify" and step.expected.startswith("refused")

    def call(self) -> RevokeCall | None:
        """The revocation that it stands for: from the first step that cuts to the end of the last one.

        None where nothing was cut and the runbook does not say that it is done. A last cut without a clear answer
        leaves it unknown.
        """
        cuts = [step for step in self.steps if step.cuts]
        if not cuts:
            if self.ended_as != "done" or self.ended is None:
                return None
            return RevokeCall(start=self.ended, end=self.ended, outcome="acknowledged", status=None)
        last = max(cuts, key=lambda step: step.end)
        start = min(step.started for step in cuts)
        if last.outcome == "ok":
            return RevokeCall(start=start, end=last.end, outcome="acknowledged", status=last.status)
        refused = last.outcome == "failed" and last.status is not None and 400 <= last.status < 500
        return RevokeCall(start=start, end=last.end, outcome="refused" if refused else "unknown", status=last.status)


def with_belief(verdict: Verdict, record: RunbookRecord) -> Verdict:
    """The verdict with a first reason that sets what the runbook believes against what clients saw."""
    own = _own_words(record)
    if verdict.verdict == "not_contained":
        price_only = all(offence.rule == "bystander_refused" for offence in verdict.offences)
        seen = "clients outside the leak are refused" if price_only else "clients still get in"
        words = f"the runbook believes that it is done ({own}), but {seen}"
        words = words if record.believes_done else f"{own}; {seen}"
    else:
        seen = "clients saw the same" if verdict.verdict == "contained" else "what clients saw is inconclusive"
        words = f"{own}; {seen}" if record.belief == "contained" else f"{own}; clients: {verdict.verdict}"
    return verdict.model_copy(update={"reasons": [words, *verdict.reasons]})


def _own_words(record: RunbookRecord) -> str:
    """What the runbook would say of itself."""
    if record.ended_as is None:
        return "the runbook did not come to its end"
    looks = [step for step in record.steps if RunbookRecord._looks(step)]
    said = {
        "contained": f"its {looks[-1].step} found all that it asked refused" if looks else "",
        "not contained": f"its {looks[-1].step} found {looks[-1].got}" if looks else "",
        "not verified": "it never looked",
        "nothing was cut": "it cut nothing",
    }[record.belief]
    return said if record.ended_as == "done" else f"the runbook ended as failed ({record.why}); {said}"


def outcomes(record: RunbookRecord, verdict: VerdictWord) -> list[tuple[str, str, str]]:
    """For a build server: name, state and words of each step, and of whether the runbook knows what is true.

    States: passed, failure (not as expected), error (interrupted, or nothing known), skipped (never reached).
    """
    rows = []
    for number, step in enumerate(record.steps, 1):
        state = {"ok": "passed", "interrupted": "error"}.get(step.outcome, "failure")
        rows.append((f"{number}-{step.step}", state, f"expected {step.expected}; got {step.got}"))
    done = {step.step for step in record.steps}
    rows += [(name, "skipped", "not reached") for name in record.planned if name not in done]
    agrees = record.believes_done == (verdict == "contained")
    state = "error" if verdict == "inconclusive" else ("passed" if agrees else "failure")
    return [*rows, ("belief", state, f"believes: {record.belief}; clients saw: {verdict.replace('_', ' ')}")]
