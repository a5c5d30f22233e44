"""A webhook receiver that believes only what it can verify, and takes each event once.

    LEAKDRILL_WEBHOOK_SECRET=whsec_… PORT=9000 python webhook_receiver.py

The signature is that of https://www.standardwebhooks.com: HMAC-SHA256 over id, timestamp and the raw body.
"""

import base64
import hashlib
import hmac
import json
import os
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = base64.b64decode(os.environ["LEAKDRILL_WEBHOOK_SECRET"].removeprefix("whsec_"))
OLDEST_SECONDS = 300
seen: set[str] = set()


def verified(headers: Message, body: bytes) -> bool:
    """Whether the sender holds the secret, and sent this just now."""
    event, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > OLDEST_SECONDS:
        return False
    expected = base64.b64encode(hmac.digest(KEY, f"{event}.{timestamp}.".encode() + body, hashlib.sha256)).decode()
    # Several signatures while a secret is rotated; one that verifies is enough.
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(one.encode(), f"v1,{expected}".encode()) for one in given)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not verified(self.headers, body):
            self.answer(401)
            return
        if self.headers["webhook-id"] not in seen:  # delivery is at least once
            seen.add(self.headers["webhook-id"])
            event = json.loads(body)
            print(event["type"], event["data"]["id"], flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing of its own."""


HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver).serve_forever()
