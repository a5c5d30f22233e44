"""What each token's client does right and wrong: gathered in memory as requests come, told as a report."""

from gateway.clients.book import ClientBook

__all__ = ["ClientBook"]
