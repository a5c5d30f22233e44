"""How the mock misbehaves on purpose: latency profiles, and named failures that strike requests by seed."""
