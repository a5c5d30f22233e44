"""What a token may ask for in a minute, at once and in line, and what counts as the same request sent again."""

from gateway.limits.guesses import GuessLimits
from gateway.limits.requests import RequestLimits
from gateway.limits.tiers import Tier, Tiers, load_tiers

__all__ = ["GuessLimits", "RequestLimits", "Tier", "Tiers", "load_tiers"]
