"""Outcomes as JUnit XML, the form that build servers read. Failure: missed. Error: a fault of the drill's, or nothing
known. Skipped: left to the evaluator, or not run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree

from drills.look import visible

STATES = ("failure", "error", "skipped")
# What XML 1.0 cannot hold, not even escaped.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """One test case. `state` passed, failure, error or skipped."""

    group: str
    name: str
    state: str
    words: str


def junit(id: str, cases: Sequence[Case], started_at: datetime, seconds: float) -> str:
    """One suite of these cases. `id` names it; `seconds` is how long it took."""
    totals = {state: str(sum(case.state == state for case in cases)) for state in STATES}
    counts = {
        "tests": str(len(cases)),
        "failures": totals["failure"],
        "errors": totals["error"],
        "skipped": totals["skipped"],
        "time": f"{seconds:.3f}",
    }
    root = ElementTree.Element("testsuites", counts)
    stamp = started_at.isoformat(timespec="seconds")
    suite = ElementTree.SubElement(root, "testsuite", {"name": _fit(f"EXERCISE {id}"), "timestamp": stamp, **counts})
    for case in cases:
        place = {"classname": _fit(f"{id}.{case.group}"), "name": _fit(case.name), "time": "0"}
        element = ElementTree.SubElement(suite, "testcase", place)
        if case.state != "passed":
            ElementTree.SubElement(element, case.state, {"message": _fit(case.words)})
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _fit(text: str) -> str:
    return NOT_XML.sub("\ufffd", visible(text))
