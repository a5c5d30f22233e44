"""Telling a token's owner that a video has ended: endpoints, the queue of deliveries, and who delivers them.

The form on the wire is Standard Webhooks (https://www.standardwebhooks.com), which OpenAI's clients verify.
"""

from gateway.store.deliveries import Delivery, DeliveryState
from gateway.store.webhooks import Endpoint
from gateway.webhooks.queueing import EVENT_TYPES

__all__ = ["EVENT_TYPES", "Delivery", "DeliveryState", "Endpoint"]
