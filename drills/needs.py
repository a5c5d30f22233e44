"""What a scenario needs of a gateway that it has not started itself, seen before anything is changed.

A notice is believed where its key is known, and the file of keys lies in the gateway's data directory; what becomes of
the tokens that it names is a setting there; receivers at the drill's own address are called by some gateways only.
"""

import asyncio
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from drills.errors import Unfit
from drills.gateway import GatewayClient
from drills.replies import Reporters, Status
from drills.scenario import Scenario
from drills.signing import ReporterKey

PATH = "/control/reporters"
OWN = "or leave --target out: the drill then starts a gateway that fits"


async def ensure_fit(scenario: Scenario, client: GatewayClient, state: Status, *, with_key: bool) -> None:
    """Raises Unfit where the target cannot do what the scenario asks for. `with_key`: notices can be signed."""
    problems = await _unheard(scenario, client.target, state)
    if scenario.sends_notices:
        problems += _unsigned(scenario) if not with_key else _other_policy(scenario, await _reporters(client))
    _raise(problems)


async def ensure_believed(scenario: Scenario, client: GatewayClient, key: ReporterKey | None) -> None:
    """Raises Unfit where the target does not know the key that was published."""
    if key is None or not scenario.sends_notices:
        return
    found = await _reporters(client)
    if found is None or key.identifier in [one.key_identifier for one in found.keys if one.is_current]:
        return
    _raise(
        [
            f"{_line_words(scenario)} sends a signed notice, and the target does not know the key that signs it, which "
            "was written into this machine's data directory: run the drill where the target runs, with --data naming "
            f"the target's data directory, {OWN}"
        ]
    )


async def _unheard(scenario: Scenario, target: str, state: Status) -> list[str]:
    """Receivers that the target will not call."""
    wanted = ["containment.surfaces: webhook"] if "webhook" in scenario.containment.surfaces else []
    wanted += ["topology.sinks"] if scenario.topology.sinks else []
    reach = state.private_targets
    if not wanted or reach is None:
        return []
    if reach == "none":
        why = "which the target does not; start it with LEAKDRILL_ALLOW_PRIVATE_TARGETS=loopback"
    elif not await asyncio.to_thread(_is_here, urlsplit(target).hostname or ""):
        why = "which a target on another machine cannot; run the drill on the target's machine"
    else:
        return []
    return [f"{key} needs a gateway that calls the drill's receiver on 127.0.0.1, {why}, {OWN}" for key in wanted]


def _unsigned(scenario: Scenario) -> list[str]:
    return [f"{_line_words(scenario)} sends a signed notice, and the drill was given no place for its key"]


def _other_policy(scenario: Scenario, found: Reporters | None) -> list[str]:
    wanted = scenario.topology.intake
    if found is None or wanted is None or found.policy == wanted:
        return []
    return [
        f"{_line_words(scenario)} sends a notice, and topology.intake says that the tokens that it names are to meet "
        f"{wanted}; the target is set to {found.policy}: start it with LEAKDRILL_DISCLOSURE_POLICY={wanted}, {OWN}"
    ]


def _line_words(scenario: Scenario) -> str:
    """The first line that sends a notice."""
    cuts = scenario.containment.by == "notice"
    line = next(one for one in scenario.msel if one.notice or (cuts and one.inject == "access_ended"))
    by = "" if line.notice else ", containment.by notice"
    return f"msel {line.id} ({line.inject}{by})"


def _is_here(host: str) -> bool:
    """Whether that is an address of this machine: no other can be bound."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, kind, _, _, address in found:
        with socket.socket(family, kind) as bound, suppress(OSError):
            bound.bind((address[0], 0))
            return True
    return False


async def _reporters(client: GatewayClient) -> Reporters | None:
    """None where the gateway does not say."""
    answer = await client.ask("reporters", "GET", PATH)
    if answer.exchange.status == 404:
        return None
    return client.shaped(Reporters, client.insist(answer))


def _raise(problems: list[str]) -> None:
    if problems:
        raise Unfit("the target cannot play this scenario, and nothing was changed: " + "; ".join(problems))
