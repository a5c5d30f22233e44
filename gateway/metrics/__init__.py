"""Figures for operators: what this process does, counted as it happens, and what the database says at a scrape."""

from gateway.metrics.counts import ProcessCounts
from gateway.metrics.service import Metrics, Own, Scrape

__all__ = ["Metrics", "Own", "ProcessCounts", "Scrape"]
