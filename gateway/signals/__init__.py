"""Security events out: whoever runs a sink is told when access changes, as Security Event Tokens pushed over HTTP.

The token is RFC 8417's, the push RFC 8935's, the subject RFC 9493's; the events are those of OpenID CAEP 1.0 and RISC
1.0, and the verification that of the Shared Signals Framework 1.0.
"""

from gateway.signals.claims import Cause
from gateway.store.signals import Signal, SignalCounts, SignalState
from gateway.store.sinks import Sink, SinkStatus

__all__ = ["Cause", "Signal", "SignalCounts", "SignalState", "Sink", "SinkStatus"]
