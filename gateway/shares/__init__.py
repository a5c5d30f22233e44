"""Clips that play without a bearer: asked for by their owner, approved by an operator where that is wanted."""

from gateway.store.shares import Shared, ShareState

__all__ = ["ShareState", "Shared"]
