"""Jobs: submit, follow, cancel; claim, hold, finish; the worker process."""

from gateway.store.jobs import Job, JobStatus, RenderRequest

__all__ = ["Job", "JobStatus", "RenderRequest"]
