"""``mtrec new`` in a terminal: what was found, and a question about each thing that is unsure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mtrec.own import field
from mtrec.own.cells import samples
from mtrec.own.draft import Answers, Draft
from mtrec.own.findings import lines
from mtrec.own.table import FileError, Undecided

QUESTIONS = {
    "user_id": "Which column says who did it?",
    "item_id": "Which column says with what?",
    "timestamp": "Which column says when?",
    "rating": "Which column is the rating?",
    "time_unit": "How are the times to be read?",
    "repeats": "Rows repeat user, item and time. What are they?",
}
NONE = "-"
MOST = 12  # choices
REPEATS = {"keep": "events of their own", "collapse": "one event written several times"}


@dataclass(frozen=True)
class Question:
    """A question with numbered answers, of which the first is proposed.

    Attributes:
        key: what :meth:`mtrec.own.draft.Answers.but` takes.
        choices: each answer with its explanation.
    """

    key: str
    choices: dict[str, str]

    def ask(self, read: Callable[[str], str], say: Callable[[str], None]) -> str:
        """The answer; an empty line takes the first."""
        say("\n" + QUESTIONS[self.key])
        for number, (value, why) in enumerate(self.choices.items(), start=1):
            say(f"  {number}  {'none' if value == NONE else value}{f'  ({why})' if why else ''}")
        while True:
            try:
                said = read("number [1]: ").strip() or "1"
            except (EOFError, KeyboardInterrupt):
                raise FileError(
                    "no answer was given, so nothing was written; run it again, or add --yes to "
                    "take what is proposed."
                ) from None
            if said.isdigit() and 1 <= int(said) <= len(self.choices):
                return list(self.choices)[int(said) - 1]
            say(f"Please write a number from 1 to {len(self.choices)}.")


def talk(
    make: Callable[[Answers], Draft], answers: Answers, read: Callable[[str], str] = input,
    say: Callable[[str], None] = print,
) -> Draft:  # fmt: skip
    """Make a draft, asking what cannot be found out or could be otherwise, each once.

    Args:
        make: makes a draft from answers.
        answers: what flags said, which is not asked.
        read: asks for a line.
        say: shows a line.

    Raises:
        FileError: a file cannot be used, whatever the answer, or there is no answer.
    """
    asked = {key for key, value in answers.roles.items() if value}
    asked |= {key for key in ("time_unit", "repeats") if getattr(answers, key)}
    shown = False
    while True:
        try:
            found = make(answers)
        except Undecided as error:
            if error.key in asked:
                raise
            say(f"\n{error}")
            question = Question(error.key, dict(error.choices))
        else:
            open_ones = [q for q in unsure(found) if q.key not in asked]
            if not open_ones:
                return found
            if not shown:
                say("Found\n" + lines(found.inspection.frame()))
                shown = True
            question = open_ones[0]
        asked.add(question.key)
        answers = answers.but(question.key, question.ask(read, say))


def unsure(found: Draft) -> Iterator[Question]:
    """What could be otherwise: a role that other columns may play, and what repeats are."""
    events = found.source.frames["events"]
    roles = {column.kind: column for column in found.inspection.events}
    taken = {column.name for column in roles.values() if column.kind in field.NAMES}
    for role in field.NAMES:
        if role in ("user_id", "item_id"):
            named = field.known({name: name for name in events}, role)
            others = [name for name in named if name not in taken]
        elif role == "timestamp":
            others = [c.name for c in found.inspection.events if c.reason == "another time"]
        else:
            others = [name for name in field.rated({n: n for n in events}) if name not in taken]
        if role in roles and others:
            choices = [roles[role].name, *others[: MOST - 2]]
            explained = {name: samples(events[name]) for name in choices}
            optional = {} if role in ("user_id", "item_id") else {NONE: ""}
            yield Question(role, explained | optional)
    if any("repeat user" in finding.what for finding in found.findings):
        yield Question("repeats", REPEATS)
