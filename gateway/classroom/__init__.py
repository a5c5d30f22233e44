"""A school class: named seats with a token each, and a code by which students take them."""

from gateway.store.classes import Seat

__all__ = ["Seat"]
