"""docs/reference/metrics.md against a live scrape."""

import re
from pathlib import Path

import pytest

from desk import Desk
from scraping import answer, read

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(leakdrill_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", re.MULTILINE)
PARTS = {"counter": r"", "gauge": r"", "histogram": r"(_bucket|_count|_sum)"}


@pytest.mark.anyio
async def test_the_page_lists_what_a_scrape_says_and_nothing_else(desk: Desk) -> None:
    headers = await desk.bearer()
    await desk.create(headers)
    await desk.finished()
    assert (await desk.http.get("/v1/videos/none", headers=headers)).status_code == 404
    await desk.context.usage.flush(desk.store)
    text = (await answer(desk)).text
    figures = read(text)
    told = {name: (kind, text) for name, kind, _, text in ROW.findall(PAGE)}
    helps = dict(re.findall(r"^# HELP (\w+) (.*)$", text, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    assert told == {name: (kinds[name], helps[name]) for name in kinds}
    assert len(told) > 35
    for name, kind, labels, _ in ROW.findall(PAGE):
        shown = [
            set(dict(pairs)) - {"le"} for own, pairs in figures.samples if re.fullmatch(f"{name}{PARTS[kind]}", own)
        ]
        assert shown, name
        assert {frozenset(one) for one in shown} == {frozenset(re.findall(r"`(\w+)`", labels))}, name
