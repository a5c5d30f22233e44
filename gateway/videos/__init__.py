"""The OpenAI face of a job: `/v1/videos`, `/v1/models`, content and signed links."""
