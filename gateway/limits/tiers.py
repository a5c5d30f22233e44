"""The tiers, read once at start from `tiers.yaml` or from the file that the setting names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.errors import OperatorError, UnprocessableRequest

STANDARD = "standard"
SHIPPED = Path(__file__).with_name("tiers.yaml")

Limit = Annotated[int, Field(ge=1, le=1_000_000)]


class Tier(BaseModel):
    """One tier. None means no limit; `priority` is that of its jobs, lower is served first."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    requests_per_minute: Limit | None
    in_flight: Limit | None
    queued: Limit | None
    priority: Annotated[int, Field(ge=-1000, le=1000)]


class Tiers:
    """The tiers by name. A token whose tier is no longer in the file counts as `standard`."""

    def __init__(self, tiers: Mapping[str, Tier]) -> None:
        self._tiers = dict(tiers)
        self._standard = self._tiers[STANDARD]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tiers)

    def of(self, name: str) -> Tier:
        """The tier of a token's row."""
        return self._tiers.get(name, self._standard)

    def named(self, name: str) -> Tier:
        """The tier that somebody asks for; raises UnprocessableRequest naming those that there are."""
        if name not in self._tiers:
            raise UnprocessableRequest(
                f"tier: must be one of {', '.join(sorted(self._tiers))}, not {name[:80]!r}.", param="tier"
            )
        return self._tiers[name]


_FILE = TypeAdapter(dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")], Tier])


def load_tiers(file: str = "") -> Tiers:
    """The tiers in `file`, empty for those that ship; raises OperatorError naming what does not fit."""
    path = Path(file) if file else SHIPPED
    advice = "mend it, or unset LEAKDRILL_TIERS_FILE to use the tiers that ship"
    try:
        tiers = _FILE.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise OperatorError(f"cannot read the tiers file {path}: {exc.strerror}; {advice}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise OperatorError(f"the tiers file {path} is not YAML ({exc}); {advice}") from exc
    except ValidationError as exc:
        found = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in exc.errors())
        raise OperatorError(f"the tiers file {path} does not fit: {found}; {advice}") from exc
    if STANDARD not in tiers:
        raise OperatorError(f"the tiers file {path} has no tier {STANDARD!r}, which tokens get by default; {advice}")
    return Tiers(tiers)
