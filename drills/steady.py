"""The steady state: whether the gateway works for somebody who has nothing to do with the exercise."""

from collections.abc import Sequence

from drills.callers import Bearer, Caller
from drills.explan import SteadyState
from drills.gateway import GatewayClient
from drills.history import History
from drills.journal import Check
from drills.onlookers import Onlookers
from drills.probes import Sleep, finish_one
from drills.scenario import Scenario


async def checked_before(
    check: SteadyState, client: GatewayClient, bystanders: Sequence[Bearer], history: History, sleep: Sleep
) -> Check:
    """A check before the exercise, and how it went. Raises as `GatewayClient.ready` does."""
    if check.probe == "ready":
        await client.ready()
        ok, detail = True, "/readyz says ready"
    else:
        caller = Caller("bystander", bystanders[0].principal, bystanders[0])
        video = await finish_one(client, caller, check.within_seconds, history, sleep)
        ok = video is not None
        detail = "a bystander's clip was made and fetched" if ok else f"no clip within {check.within_seconds:g} s"
    return Check(id=check.id, ok=ok, at=history.now(), detail=detail)


async def checked_after(
    scenario: Scenario, members: Sequence[GatewayClient], fresh: Bearer, history: History
) -> list[Check]:
    """The checks of the steady state at the end of an exercise without a cut: is a new token accepted everywhere?"""
    answers = await Onlookers(members, []).look_as(fresh)
    ok = all(answer.accepted for answer in answers)
    detail = "a token issued at the end is accepted" if ok else "a new token is not accepted"
    wanted = [check for check in scenario.steady_state if check.when == "after"]
    return [Check(id=check.id, ok=ok, at=history.now(), detail=detail) for check in wanted]
