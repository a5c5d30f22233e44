"""Runbook documents: the steps by which a team ends a leaked token's access, as a drill can run them.

Steps after OASIS CACAO 2.0 (action, decision, manual, parallel, wait, verify, notify; on_success, on_failure, owner,
timeout). Times are real time: "500ms", "10s", "5m", "1h", or seconds as a number. A step leads to another step, to
`done` or to `failed`; without `on_failure`, a step that fails ends the runbook as failed.
"""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from drills.facts import Identifier, Text
from drills.topology import Defect, Profile, Surface

ENDS = ("done", "failed")
Verb = Literal[
    "quarantine", "suspend", "revoke", "cancel_jobs", "kill_urls", "freeze_minting", "reissue", "restore", "other"
]  # fmt: skip
# What takes access away: the last of these that succeeded is when the runbook holds the leak for contained.
CUTS = frozenset({"quarantine", "suspend", "revoke", "cancel_jobs", "kill_urls", "freeze_minting"})
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_SECONDS = 86_400.0


def _duration(value: object) -> float:
    """Seconds out of a number or a text with a unit."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(ms|s|m|h)", value)):
        seconds = float(found[1]) * UNITS[found[2]]
    else:
        raise ValueError('expected a time such as "10s", "500ms", "5m" or "1h"')
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError("expected a time above 0 and up to 24h")
    return seconds


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": ["number", "string"], "pattern": r"^[0-9]{1,6}(\.[0-9]{1,3})? ?(ms|s|m|h)$"}),
]
Target = Identifier


def _listed(value: object) -> object:
    """A single number is a list of one; "all" is the empty list."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    return [] if value == "all" else value


Statuses = Annotated[
    list[Annotated[int, Field(ge=100, le=599)]],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}),
]
Surfaces = Annotated[
    list[Surface],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"const": "all"}, {"type": "array", "items": {"enum": list(get_args(Surface))}}]}),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class Http(_Part):
    """A request: `path` on the gateway, or `url` anywhere. `auth` is the bearer that goes with it: the admin's on the
    gateway and none elsewhere, unless said otherwise."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: Annotated[str, Field(pattern=r"^/\S*$")] | None = None
    url: Annotated[str, Field(pattern=r"^(https?://\S+|\{gateway\}\S*)$")] | None = None
    headers: dict[str, str] = {}
    body: Any = Field(default=None, alias="json")
    form: dict[str, str] | None = None
    auth: Literal["admin", "token", "none"] | None = None

    @model_validator(mode="after")
    def _one_place_one_body(self) -> "Http":
        if (self.path is None) == (self.url is None):
            raise ValueError("give either path (on the gateway) or url")
        if self.body is not None and self.form is not None:
            raise ValueError("give either json or form")
        return self

    @property
    def bearer(self) -> Literal["admin", "token", "none"]:
        """Whose bearer goes with it."""
        return self.auth or ("none" if self.path is None else "admin")


class Process(_Part):
    """A program of the team's own: a list of words, no shell. It runs in the runbook's folder, with what `env` adds to
    the environment."""

    argv: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    env: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str] = {}


class Expect(_Part):
    """What counts as success. For http: `status` (2xx unless given) and `body`, which the answer's JSON has to hold.
    For a process: `exit` (0 unless given). For both: `contains`, a text in the answer."""

    status: Statuses = []
    body: dict[str, Any] | None = None
    exit: Annotated[int, Field(ge=0, le=255)] | None = None
    contains: Text | None = None


class _Step(_Part):
    """What all steps have. `owner` is who answers for the step, `timeout` how long it may take."""

    text: Text | None = None
    owner: Text | None = None
    timeout: Duration | None = None


class _Doing(_Step):
    """A step that does something by http or process."""

    http: Http | None = None
    process: Process | None = None
    expect: Expect = Expect()
    on_success: Target
    on_failure: Target | None = None

    @model_validator(mode="after")
    def _expects_what_can_come(self) -> "_Doing":
        if self.http is not None and self.process is not None:
            raise ValueError("give either http or process")
        if self.http is None and (self.expect.status or self.expect.body is not None):
            raise ValueError("expect: status and body go with http")
        if self.process is None and self.expect.exit is not None:
            raise ValueError("expect: exit goes with process")
        return self


class Action(_Doing):
    """Changes something. `does` says what; `irreversible` that there is no way back, as from a revocation."""

    type: Literal["action"]
    does: Verb
    irreversible: bool | None = None

    @model_validator(mode="after")
    def _does_it_somehow(self) -> "Action":
        if self.http is None and self.process is None:
            raise ValueError("an action needs http or process")
        return self

    @property
    def cuts(self) -> bool:
        """Whether it takes access away."""
        return self.does in CUTS

    @property
    def is_final(self) -> bool:
        """Whether there is no way back."""
        return self.does == "revoke" if self.irreversible is None else self.irreversible


class Notify(_Doing):
    """Tells somebody. Without http or process it is the journal that remembers what was to be said."""

    type: Literal["notify"]
    text: Text
    to: list[Text] = Field(min_length=1)


class Decision(_Step):
    """A question that a person answers with yes or no."""

    type: Literal["decision"]
    ask: Text
    on_true: Target
    on_false: Target
    on_failure: Target | None = None


class Manual(_Step):
    """Something that a person does by hand, and says when it is done. `expect` is what they should see."""

    type: Literal["manual"]
    text: Text
    expect: Text | None = None
    on_success: Target
    on_failure: Target | None = None


class Parallel(_Step):
    """Steps side by side. Each branch goes on until it arrives at `on_success`, where all of them join."""

    type: Literal["parallel"]
    branches: list[Target] = Field(min_length=2)
    on_success: Target
    on_failure: Target | None = None


class Wait(_Step):
    """Lets time pass."""

    type: Literal["wait"]
    seconds: Duration = Field(alias="for")
    on_success: Target


class Verify(_Step):
    """Asks every replica with what was got with the leaked token, until all is as expected or the time is over.

    refused: nothing is accepted any more; with `bystanders`, others still are. accepted: the leaked token works.
    No surface named is all of the scenario's; `leaves_out` names the surfaces that are not asked on purpose.
    """

    type: Literal["verify"]
    surfaces: Surfaces = []
    leaves_out: list[Surface] = []
    bystanders: bool = False
    expect: Literal["refused", "accepted"] = "refused"
    on_success: Target
    on_failure: Target | None = None


Step = Action | Decision | Manual | Parallel | Wait | Verify | Notify
Steps = dict[Identifier, Annotated[Step, Field(discriminator="type")]]


class Answered(_Part):
    """What a rehearsal is to come to, and why."""

    verdict: Literal["contained", "not_contained", "inconclusive"]
    why: Text


class Rehearsal(_Part):
    """How the runbook is tried where nobody says otherwise: against which scenario, on which gateways of the drill's
    own; and, for an example, what comes of it."""

    scenario: Text | None = None
    replicas: int | None = Field(default=None, ge=1, le=9)
    consistency: Profile | None = None
    defects: list[Defect] = []
    expect: Answered | None = None


class Runbook(_Part):
    """A whole runbook."""

    name: Identifier
    description: Text
    owner: Text
    rehearsal: Rehearsal = Rehearsal()
    start: Target
    steps: Steps = Field(min_length=1)

    def longest_seconds(self) -> float:
        """What all steps may take together, each once."""
        return sum(
            (step.timeout or DEFAULT_TIMEOUT) + (step.seconds if isinstance(step, Wait) else 0)
            for step in self.steps.values()
        )


DEFAULT_TIMEOUT = 60.0


def ways(step: Step) -> list[tuple[str, str]]:
    """Where a step leads: the key that says so, and the target. A parallel step leads into its branches, which lead
    on to where they join."""
    if isinstance(step, Decision):
        found: list[tuple[str, str | None]] = [("on_true", step.on_true), ("on_false", step.on_false)]
    elif isinstance(step, Parallel):
        found = [("branches", branch) for branch in step.branches]
    else:
        found = [("on_success", step.on_success)]
    failure = None if isinstance(step, Wait) else step.on_failure
    return [(key, target) for key, target in [*found, ("on_failure", failure)] if target is not None]


def targets(step: Step) -> list[tuple[str, str]]:
    """Every target that a step names."""
    return [*ways(step), ("on_success", step.on_success)] if isinstance(step, Parallel) else ways(step)
