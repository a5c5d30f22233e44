"""Locust's side of a user. Brings gevent and Locust in."""

from __future__ import annotations

from typing import cast

from locust import FastHttpUser, constant, task
from locust.env import Environment

from loadtest.clerk import Clerk
from loadtest.client import CONNECT_SECONDS, READ_SECONDS


class LoadEnvironment(Environment):
    """Locust's environment, and the clerk that its users ask what to do next."""

    clerk: Clerk


class Visitor(FastHttpUser):
    """One of the N who can be served at once. Each session is a client of its own, with connections of its own."""

    wait_time = constant(0)
    connection_timeout = CONNECT_SECONDS
    network_timeout = READ_SECONDS
    insecure = False

    @task
    def come(self) -> None:
        """Wait for the next arrival, and be it."""
        clerk = cast(LoadEnvironment, self.environment).clerk
        clerk.serve(self.client, self.client.client.clientpool.close)
