"""The JSON Schemas of scenario and runbook files, as they are published in `seeds/schemas/` for editors.

A schema knows keys, types and patterns. Whether the parts of a file fit together is for the two `lint` commands.
"""

import json
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel

from drills.runbook import Runbook
from drills.scenario import Scenario

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODELS: dict[str, type[BaseModel]] = {"scenario": Scenario, "runbook": Runbook}
# How a file says to editors which schema it keeps to: a path beside its own.
MARK = "# yaml-language-server: $schema="


def schema_text(kind: str) -> str:
    """The schema of that kind of file, `scenario` or `runbook`, as JSON; it ends without a line end."""
    found = {"$schema": DIALECT, **MODELS[kind].model_json_schema()}
    return json.dumps(found, indent=1, ensure_ascii=False)


def published(kind: str) -> Path:
    """Where the published copy lies."""
    return Path(str(files("seeds"))) / "schemas" / f"{kind}.json"


def for_elsewhere(text: str, kind: str) -> str:
    """A shipped file's text for another folder: editors find the schema by its whole path."""
    return text.replace(f"{MARK}../schemas/{kind}.json", f"{MARK}{published(kind).as_uri()}", 1)
