"""Tokens: the secret's format, the bearer check, issue, introspection, the ladder of states."""

from gateway.store.tokens import Token, TokenFilter, TokenState

__all__ = ["Token", "TokenFilter", "TokenState"]
