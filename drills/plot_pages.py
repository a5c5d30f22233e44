"""The first page of a report, by its plot: what leaked, what was reported and came back, or who noticed the end."""

from collections import Counter
from collections.abc import Sequence

from drills.alarm_readings import notice_rows, restore_rows, told_rows
from drills.firstpage import Answer, FirstPage, count, first_page, first_three, some, urgent
from drills.journal import Journal
from drills.metrics import Metrics, replay_minute
from drills.oracle import VerdictWord
from drills.readings import replay_clock
from drills.sunset_readings import MOST_ROWS, client_rows

Words = dict[VerdictWord, str]
NOTICE: Words = {"contained": "Held, and given back", "not_contained": "Not handled as asked"}
FALSE_ALARM: Words = {"contained": "Nobody was hit", "not_contained": "Somebody was hit"}
SUNSET: Words = {"contained": "Ended as announced", "not_contained": "Not ended as announced"}
STEPS = {
    "notice_ignored": "Find why a reported token went on being accepted.",
    "notice_taken_twice": "Let a notice that comes again change nothing.",
    "told_twice": "Tell sinks of one compromise once.",
    "restored_at_once": "Bring tokens back in the batches that are asked for.",
    "notice_mislabelled": "Look a reported token up before it is called one of your own.",
    "bystander_refused": "Give those who were hit by mistake their access back.",
    "not_announced": "Put the headers into every answer from the announcement on.",
    "refused_too_soon": "Serve everybody until the end, but for the brown-outs.",
    "brown_out_missed": "Let brown-outs reach every gateway.",
    "served_after_end": "Find what goes on serving after the end.",
}


def page_of(journal: Journal, metrics: Metrics, unrated: Sequence[str]) -> FirstPage:
    """The first page, by what the exercise is about. `unrated` are objectives that wait for an evaluator."""
    plot = journal.scenario.scenario.plot
    if plot == "leak":
        return first_page(journal, metrics, unrated)
    if plot == "sunset":
        return _page(
            journal, SUNSET, _sunset_sentence(journal), _sunset_answers(journal), _sunset_steps(journal), unrated
        )
    titles = NOTICE if plot == "notice" else FALSE_ALARM
    return _page(journal, titles, _alarm_sentence(journal), _alarm_answers(journal), [], unrated)


def _page(
    journal: Journal, titles: Words, sentence: str, answers: list[Answer], steps: list[str], unrated: Sequence[str]
) -> FirstPage:
    verdict = journal.verdict
    broken = [STEPS[rule] for rule in STEPS if any(one.rule == rule for one in verdict.offences)]
    again = (
        [f"Repeat the drill once this is settled: {verdict.reasons[0]}."] if verdict.verdict == "inconclusive" else []
    )
    rest = [f"Let an evaluator rate what no program can: {', '.join(unrated)}."] if unrated else []
    rest += ["Write an owner and a date beside each line of the improvement plan."]
    return FirstPage(
        tone=verdict.verdict,
        headline=titles.get(verdict.verdict, "Inconclusive"),
        sentence=f"Not known: {verdict.reasons[0]}." if verdict.verdict == "inconclusive" else sentence,
        answers=answers,
        steps=first_three([*urgent(journal), *broken, *again, *steps, *rest]),
    )


def _alarm_sentence(journal: Journal) -> str:
    if journal.verdict.verdict == "contained":
        return f"{'; '.join(journal.verdict.reasons)}."
    signs = count(len(journal.verdict.offences), "sign")
    return f"{signs} that it did not go as it should: see the offending requests."


def _alarm_answers(journal: Journal) -> list[Answer]:
    notices, told, restores = notice_rows(journal), told_rows(journal), restore_rows(journal)
    first = [row for row in notices if not row.call.again]
    again = len(notices) - len(first)
    reported = f"{count(sum(row.call.named for row in first), 'token')} in {count(len(first), 'notice')}"
    reported += f"; {count(again, 'notice')} came again." if again else "."
    answers = [Answer("What was reported?", reported if notices else "Nothing.", notices[0].proof if notices else "")]
    if journal.scenario.scenario.plot == "notice":
        answers += [Answer("How soon were they held?", *_held(journal))]
        answers += [
            Answer(f"Who came back by {row.call.line}?", _back(row.back, len(row.backs), row.last), f"{row.proof}-back")
            for row in restores
        ]
    if told:
        missed = sum(row.acknowledged is None for row in told)
        sinks = len({row.first.sink for row in told})
        rest = f"; {missed} not acknowledged." if missed else ", all acknowledged."
        words = f"{count(sinks, 'sink')}, of {count(len(told), 'event')}{rest}"
        answers.append(Answer("Who was told?", words, told[0].proof))
    return [*answers, Answer("Who was hit by mistake?", _hit(journal))]


def _held(journal: Journal) -> tuple[str, str]:
    rows = [row for row in notice_rows(journal) if row.call.accessors and not row.call.again]
    late = [row.last_held for row in rows if row.last_held is not None]
    if not rows or not late:
        return "Not known: none of them was refused.", ""
    held, named = sum(row.held for row in rows), sum(len(row.call.accessors) for row in rows)
    words = f"{held} of {named} were refused, the last {max(late):.1f} s after its notice was answered."
    return words, f"{rows[0].proof}-held"


def _back(back: int, of: int, last: float | None) -> str:
    return f"{back} of {of}" + ("." if last is None else f", the last {last:.1f} s after it was asked for.")


def _hit(journal: Journal) -> str:
    hit = sorted({one.who for one in journal.verdict.offences if one.rule == "bystander_refused"})
    if hit:
        return f"{count(len(hit), 'holder')}: {some(hit)}."
    tried = {each.accessor for each in journal.exchanges if each.actor in ("holder", "bystander", "fresh")}
    return f"Nobody: {len(tried)} tokens were tried all along." if tried else "Not known: nobody was tried."


def _sunset_sentence(journal: Journal) -> str:
    seen = journal.sunset
    if journal.verdict.verdict != "contained" or seen is None:
        return f"{count(len(journal.verdict.offences), 'answer')} did not fit what was announced."
    went = len(seen.went_on)
    rest = (
        "nobody calls on"
        if not went
        else f"{went} of {len(seen.clients)} clients " + ("calls" if went == 1 else "call")
    )
    return f"The API ended when it said that it would; {rest}{' on all the same' if went else ''}."


def _sunset_answers(journal: Journal) -> list[Answer]:
    seen, rows = journal.sunset, client_rows(journal)
    if seen is None:
        return [Answer("When did it end?", "Not known: the end was never announced.")]
    announced, ended = (replay_clock(journal, replay_minute(journal, at)) for at in (seen.announced, seen.ends))
    kinds = Counter(row.heeds for row in rows if row.seen.stopped is not None)
    stopped = ", ".join(f"{number} at {words}" for words, number in kinds.items())
    still = [row for row in rows if row.calls_on]
    deaf = [row.seen.principal for row in rows if row.headed and row.calls[-1].n != row.headed[0].n]
    after = next((row for row in rows[:MOST_ROWS] if row.on_after), None)
    calls = sum(len(row.on_after) for row in rows)
    heard = f"{rows[0].proof}-headers" if rows else ""
    told = f"{rows[0].proof}-calls" if rows else ""
    return [
        Answer("When did it end?", f"At {ended} on the exercise's clock, announced at {announced}.", "stage-1"),
        Answer("Who stopped, and at what?", f"{stopped or 'Nobody'}; {len(rows)} clients in all.", told),
        Answer("Who was sent the headers, and called on?", f"{some(deaf)}." if deaf else "Nobody.", heard),
        Answer(
            "Who called on after a brown-out?",
            f"{sum(bool(row.on_after) for row in rows)} clients, {calls} calls before the end.",
            f"{after.proof}-on" if after else "",
        ),
        Answer(
            "Who calls on after the end?",
            f"{some([row.seen.principal for row in still])}: {sum(row.seen.after_end for row in still)} calls."
            if still
            else "Nobody.",
            f"{still[0].proof}-ended" if still else "",
        ),
    ]


def _sunset_steps(journal: Journal) -> list[str]:
    rows = client_rows(journal)
    still = [row.seen.principal for row in rows if row.calls_on]
    late = [row.seen.principal for row in rows if row.headed and row.seen.heeds in ("end", "nothing")]
    steps = [f"Reach by name who calls on: {some(still)}."] if still else []
    return [*steps, *([f"Ask why these were sent the headers and did not stop: {some(late)}."] if late else [])]
