"""A runbook in the place of the scenario's own revocation."""

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from drills.callers import Bearer
from drills.looking import Looker
from drills.oracle import RevokeCall
from drills.runbook import Verify
from drills.runbook_file import RunbookFile
from drills.runbook_lint import lint
from drills.runbook_record import RunbookRecord
from drills.runbook_run import Doors, Looked, Question, Reply, RunbookRun
from drills.runbook_values import Values

Ask = Callable[[Question], Awaitable[Reply]]


@dataclass
class Response:
    """Runs the runbook against one gateway. `ask` is how people are asked; `transport` another way there, for tests."""

    loaded: RunbookFile
    ask: Ask
    gateway: str
    admin_token: str
    out: Path
    transport: httpx.AsyncBaseTransport | None = None
    _run: RunbookRun | None = field(default=None, init=False)

    @property
    def record(self) -> RunbookRecord | None:
        """What it has done so far; None before it began."""
        return self._run.record() if self._run else None

    async def run(
        self,
        bearer: Bearer,
        looker: Looker,
        *,
        now: Callable[[], float],
        before_cut: Callable[[], Awaitable[None]],
        tell: Callable[[str], None],
    ) -> RevokeCall | None:
        """The whole runbook, about this leaked token. The revocation that it stands for; None where it cut nothing and
        knows it."""

        async def verify(step: Verify, within: float) -> Looked:
            seen = await looker.until(step.surfaces, step.bystanders, step.expect, within)
            return Looked(seen.shows(step.expect), seen.words)

        def waits(calm: bool) -> None:
            looker.kit.calm = calm

        with self._values(bearer, looker.leaked) as values:
            async with httpx.AsyncClient(transport=self.transport, trust_env=False) as http:
                doors = Doors(http, self.gateway, self.ask, verify, before_cut, waits, tell)
                findings = [str(finding) for finding in lint(self.loaded)]
                self._run = RunbookRun(self.loaded, values, doors, now, looker.sleep, findings)
                await self._run.run()
        return self._run.record().call()

    @contextmanager
    def _values(self, bearer: Bearer, leaked: Sequence[Bearer]) -> Iterator[Values]:
        """What the runbook's words stand for; the files that hold secrets are there meanwhile, for this user alone."""
        folder = Path(tempfile.mkdtemp(prefix="leakdrill-runbook-"))
        try:
            secret = {"token": bearer.token, "admin_token": self.admin_token}
            for name, text in secret.items():
                path = folder / name
                path.touch(mode=0o600)
                path.write_text(text, encoding="utf-8")
            yield Values(
                plain={
                    "accessor": bearer.accessor,
                    "principal": bearer.principal,
                    "cohort": bearer.cohort,
                    "gateway": self.gateway,
                    "token_file": str(folder / "token"),
                    "admin_token_file": str(folder / "admin_token"),
                    "out": str(self.out.resolve()),
                },
                secret=secret,
                hidden=tuple(one.token for one in leaked),
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
