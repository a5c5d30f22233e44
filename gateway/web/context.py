"""What every endpoint is given, built once by `create_app`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from gateway.clients import ClientBook
from gateway.clock import Clock
from gateway.exercise.sunset import SunsetDesk
from gateway.faults.service import FaultDesk
from gateway.faults.sight import Sight
from gateway.inputs import Inputs
from gateway.jobs.line import Line
from gateway.limits import RequestLimits
from gateway.metrics import Metrics
from gateway.notices import Intake
from gateway.revocations.ramp import Ramps
from gateway.revocations.streams import Streams
from gateway.revocations.transfers import Transfers
from gateway.settings import Settings
from gateway.signals.keys import Signer
from gateway.store import Store
from gateway.tokens.keys import Keyring
from gateway.tokens.usage import UsageBook

# Where a request's scope names the token that was accepted for it.
ACCESSOR = "leakdrill.accessor"


@dataclass(frozen=True)
class Context:
    """The gateway's parts."""

    settings: Settings
    store: Store
    clock: Clock
    keys: Keyring
    usage: UsageBook
    line: Line
    faults: FaultDesk
    limits: RequestLimits
    clients: ClientBook
    inputs: Inputs
    transfers: Transfers
    streams: Streams
    intake: Intake
    sight: Sight
    signer: Signer
    ramps: Ramps
    metrics: Metrics
    sunset: SunsetDesk


def context_of(request: Request) -> Context:
    """The context of the app that serves this request."""
    return cast(Context, request.app.state.context)


async def _given(request: Request) -> Context:
    # A coroutine, because FastAPI sends a plain function through a thread.
    return context_of(request)


Ctx = Annotated[Context, Depends(_given)]
