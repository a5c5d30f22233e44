"""Leaked-token notices: whose they are, what they say, what becomes of the tokens they name."""

from gateway.notices.reading import Notice
from gateway.notices.service import Intake

__all__ = ["Intake", "Notice"]
