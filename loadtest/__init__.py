"""The load test: users that behave as the `openai` client does, on Locust, and a verdict by exit code.

An HTTP client only. `python -m loadtest ORDER.json` runs one; `leakdrill load` writes the order and starts it as a
process of its own, since gevent changes the standard library under whoever imports it. Modules that bring gevent in
say so in their first line; the rest are plain.
"""
