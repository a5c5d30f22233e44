"""Calls that the gateway makes itself, to addresses that a caller chose: webhooks, security events, and pictures named
by URL.

Whoever may name an address must not reach with it what only the gateway can reach (OWASP, server-side request
forgery). So a name is resolved once, every address it has is judged, the connection goes to the judged address, and
no redirect is followed.
"""

from gateway.outbound.calls import Reply, fetch, post
from gateway.outbound.rounds import Flights, Policy, Stopped
from gateway.outbound.targets import Reach, Resolver, Target, checked, system_resolver

__all__ = [
    "Flights",
    "Policy",
    "Reach",
    "Reply",
    "Resolver",
    "Stopped",
    "Target",
    "checked",
    "fetch",
    "post",
    "system_resolver",
]
