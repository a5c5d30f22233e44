"""Jobs: submit, follow, cancel; claim, hold, finish; the worker process."""

from gateway.store.jobs import Job, JobStatus, RenderRequest, id_at

__all__ = ["Job", "JobStatus", "RenderRequest", "id_at"]
