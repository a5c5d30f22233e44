"""Revocation: what is selected, what it would take, and the one transaction that takes it."""

from gateway.store.revocations import Revocation

__all__ = ["Revocation"]
