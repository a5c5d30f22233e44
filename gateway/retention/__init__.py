"""What ages out: clips by their own time, and by setting ended jobs, deliveries and reports."""

from gateway.retention.service import Retention

__all__ = ["Retention"]
