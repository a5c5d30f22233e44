"""The HTTP face of webhooks: `/v1/webhook_endpoints` as OpenAI's clients speak it."""
