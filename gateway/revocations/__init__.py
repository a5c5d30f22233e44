"""Revocation: what is selected, what it would take, the one transaction that takes it, and what came of it."""

from gateway.store.revocations import InFlight, Revocation, SparedJobs

__all__ = ["InFlight", "Revocation", "SparedJobs"]
