"""The catalogue of seeded defects: what each does, what a drill sees of it, and where it was seen.

The references are public issues, pull requests and reports; they show kinds of mistakes, not how often they are made.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import InvalidRequest
from gateway.store.defects import Defect

__all__ = ["DEFECTS", "Cache", "Defect", "Description", "cache_of", "named"]


@dataclass(frozen=True)
class Cache:
    """How a gateway remembers good tokens where a mistake is in that. Seconds are divided by the replay clock's speed,
    but never to less than 2.

    `sliding` begins the time anew at each use; `late` seconds pass between reading a row and remembering it.
    """

    seconds: float
    sliding: bool = False
    late: float = 0.0


@dataclass(frozen=True)
class Description:
    """`symptom` is what a client sees; `needs` what must be there for it to show; `cache` what it remembers, if that is
    where the mistake lies."""

    does: str
    symptom: str
    reference: str
    needs: str = ""
    cache: Cache | None = None


DEFECTS: dict[Defect, Description] = {
    Defect.LOCAL_EVICT_ONLY: Description(
        "Remembers good tokens for 60 s; a revocation makes only the gateway that got the call forget.",
        "accepted for up to 60 s on the other replicas",
        "Yuzu#2176, Yuzu#4766, nora#668, artifact-keeper#1173",
        "a second replica, on which the token was used before",
        Cache(60),
    ),
    Defect.RECACHE_RACE: Description(
        "Refreshes what it remembers while it is used; a refresh that read before the revocation is stored after it.",
        "refused at first, then accepted again for up to 60 s",
        "review of Yuzu#2188, ente#12071",
        "use of the token while it is revoked",
        Cache(60, late=0.3),
    ),
    Defect.EVICT_BEFORE_WRITE: Description(
        "Forgets the token before the revocation is written; a request in between brings it back for a day.",
        "accepted for up to a day by the gateway that got the call",
        "storyden#801",
        "use of the token while it is revoked",
        Cache(86_400),
    ),
    Defect.SLIDING_TTL: Description(
        "Remembers good tokens for 60 s from their last use, so that who keeps calling is never checked again.",
        "accepted for as long as it is used",
        "pelican#3696",
        "use of the token before the revocation, and after it more often than every 60 s",
        Cache(60, sliding=True),
    ),
    Defect.EVICT_FAILS: Description(
        "Remembers good tokens for 12 minutes; forgetting fails, and the revocation reports success all the same.",
        "accepted for up to 12 minutes",
        "litellm-rs#959, Infisical#7242",
        "use of the token before the revocation",
        Cache(720),
    ),
    Defect.FIRST_WORKER_WINS: Description(
        "Remembers good tokens for an hour; the note that a revocation leaves wakes the first gateway that takes it.",
        "accepted for up to an hour on all replicas but one",
        "wazuh#38616",
        "two replicas with this defect, on which the token was used before",
        Cache(3600),
    ),
    Defect.STORE_ERROR_IGNORED: Description(
        "Its view of the token store breaks with the first revocation; what it remembers is good until it restarts.",
        "accepted until a restart",
        "ytsaurus#468",
        "use of the token before the revocation",
        Cache(10 * 86_400),
    ),
    Defect.FAIL_OPEN: Description(
        "Its view of the list of revocations breaks with the first one; what it cannot look up, it accepts.",
        "every revoked token is accepted, used there before or not",
        "modular-monolith-ddd#133",
    ),
    Defect.SAME_SECOND_SURVIVES: Description(
        "Compares whole seconds with a strict less-than: a token issued in the second of the revocation stays good.",
        "a token minted in the same second survives a bulk revocation",
        "artifact-keeper#1173",
        "a token that is issued in the second of the revocation",
    ),
    Defect.SKEW_REVIVES: Description(
        "Allows clocks 60 s of difference in the wrong direction: what was issued a minute before stays good.",
        "tokens issued less than 60 s before the revocation are accepted for good",
        "discussion of keycloak#5014",
        "a token that was issued less than 60 s before the revocation",
    ),
    Defect.LEGACY_PATH_UNCHECKED: Description(
        "The download looks up whose token it is, but not whether that is still good.",
        "clips can be downloaded with the revoked token",
        "litellm#35535",
        "a finished video",
    ),
    Defect.OVER_REVOCATION: Description(
        "Revokes the whole cohort of the token that was meant.",
        "bystanders of the same cohort are refused",
        "keycloak#26532",
        "another token in the same cohort",
    ),
    Defect.CLEAN_UP_TAKES_LIVE: Description(
        "Cleans up after a revocation, and takes every token without an expiry for one that has expired.",
        "bystanders are refused, for good",
        "GitLab production#18549",
        "bystanders whose tokens do not expire",
    ),
    Defect.CONSOLE_DIFFERS: Description(
        "By accessor, principal, cohort or label, as a console does it, only the tokens end; jobs and hooks go on.",
        "queued and running jobs go on after a revocation that does not name the token itself",
        "vault#8853",
        "a queued or running job",
    ),
    Defect.BULK_HANGS: Description(
        "A revocation of more than one token does nothing for two minutes, longer than its caller waits.",
        "the call times out: whether it happened is unknown, and the tokens are accepted meanwhile",
        "vault#4143",
        "a selector that matches more than one token",
    ),
    Defect.CHILD_SURVIVES: Description(
        "Takes the token that was named, but not what it minted.",
        "child tokens are accepted",
        "doorkeeper#1946, Containarium#1866",
        "a child token",
    ),
    Defect.LINK_OUTLIVES: Description(
        "Looks at a signed link's own expiry, not at the token behind it.",
        "signed links play until they expire",
        "openeo-api#341, OpenTranscribe#907",
        "a signed link",
    ),
    Defect.STREAM_UNCHECKED: Description(
        "Checks open transfers and streams when they begin, and never again.",
        "open downloads and streams go on",
        "OpenRisk#345, kubestellar/console#6029",
        "an open download or stream",
    ),
    Defect.HOOK_KEEPS_FIRING: Description(
        "Leaves the webhooks of a revoked token alone: what waits is sent and retried.",
        "deliveries arrive after the revocation",
        "outline#3738, keygen-api#139",
        "a webhook with a delivery that waits",
    ),
    Defect.RESTORE_STAMPEDE: Description(
        "Restores everybody at once, whatever batch and time were asked for.",
        "all come back in one moment, and their waiting jobs and retries with them",
        "slack-status 2018-10-18",
        "a restoration of more tokens than one batch",
    ),
    Defect.ALERT_LOST: Description(
        "Answers a notice of a leaked token as if it had been taken, and does nothing.",
        "a disclosed token is accepted as before",
        "PyPI's report of 2025: a notice lay in a spam folder for 5 days",
        "a disclosure",
    ),
    Defect.ALERT_TWICE: Description(
        "Takes every notice of a leaked token twice, repeats included.",
        "what an operator restored is quarantined again by an old notice; everything is told twice",
        "warehouse: 535 processed of 537 valid, repeats counted as invalid",
        "a disclosure",
    ),
}


def named(names: list[str]) -> frozenset[Defect]:
    """The switches of these names; raises InvalidRequest for an unknown one, or two that are about the same thing."""
    unknown = [name for name in names if name not in set(Defect)]
    if unknown:
        raise InvalidRequest(f"There is no defect {unknown[0][:80]!r}; there are {', '.join(Defect)}.", param="defects")
    found = frozenset(map(Defect, names))
    caches = sorted(one for one in found if DEFECTS[one].cache is not None)
    if len(caches) > 1:
        raise InvalidRequest(
            f"{' and '.join(caches)} are about what one gateway remembers; give it one of them.", param="defects"
        )
    return found


def cache_of(defects: frozenset[Defect]) -> tuple[Defect, Cache] | None:
    """The mistake in what is remembered, if there is one."""
    for defect in defects:
        cache = DEFECTS[defect].cache
        if cache is not None:
            return defect, cache
    return None
