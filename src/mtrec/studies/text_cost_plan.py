"""Which ways to embed a text are measured, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mtrec.config import Experiment
from mtrec.settings import EmbedSettings
from mtrec.studies import ledger
from mtrec.studies.plan import Plan, Trainings

VERSION = 1
SIZE = 1536  # training texts in the sample
ROUNDS = 3  # parts of it, in each of which all settings take turns, so that none has the machine's
# quiet hour alone; 512 texts a round is what the pipeline embeds at once
TOKENS = (16, 32, 64, 128)
LAYERS = (4, 8, 16, 30)
PRECISIONS = ("bfloat16", "float32")


@dataclass(frozen=True)
class Setting:
    """One way to embed: the default with one thing changed."""

    part: str
    name: str
    embed: EmbedSettings
    bucketing: bool = True


def settings(default: EmbedSettings) -> list[Setting]:
    """The default, then every change of tokens, layer, precision and bucketing."""
    changes: list[tuple[str, str, dict[str, int | str]]]
    changes = [("truncation", f"{n} tokens", {"max_tokens": n}) for n in TOKENS]
    changes += [("layer", f"layer {n}", {"layer": n}) for n in LAYERS]
    changes += [("precision", name, {"precision": name}) for name in PRECISIONS]
    tried = [Setting(part, name, default.model_copy(update=new)) for part, name, new in changes]
    return [
        Setting("default", "default", default),
        *[setting for setting in tried if setting.embed != default],
        Setting("bucketing", "no bucketing", default, bucketing=False),
    ]


def trainings(run: Experiment) -> Iterator[Trainings]:
    """All settings, by number: they take turns."""
    everything = settings(run.task_embedding)
    keys = {number: fingerprint(run, setting) for number, setting in enumerate(everything)}
    yield Trainings("texts", "ways to embed", keys, everything)


PLAN = Plan("text_cost", "_texts", ("part", "setting"), trainings)


def fingerprint(run: Experiment, setting: Setting) -> str:
    """What identifies a measurement: a change of anything that it depends on makes it new."""
    return ledger.key(
        "text_cost", VERSION, run.name, run.seed, run.domain.data.model_dump(mode="json"), SIZE,
        ROUNDS, setting.part, setting.embed.model_dump(exclude_defaults=True), setting.bucketing,
    )  # fmt: skip
