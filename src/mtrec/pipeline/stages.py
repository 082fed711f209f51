"""Stages of dvc.yaml by domain: what each does, how long it took, which are out of date."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mtrec.paths import ConfigError
from mtrec.settings import Config

DEFAULT = "video"  # the domain of `make repro` and `make test`
ALL = "all"
FIRST = "social_reviews"  # of several domains: most text, so that no other waits for it at the end
RAW = "data.dvc"
DOES = {  # {tasks}: how many tasks the domain has
    "preprocessing": "raw files become the four tables",
    "task_embedding": "the language model reads every text once",
    "model_building": "builds the joint model and a model for each of {tasks} tasks",
    "training": "trains a model for each of {tasks} tasks and then the joint model",
    "evaluation": "scores all models on the test rows, beside peers and baselines",
    "fusion": "fits specialists beside the models, and finds out who should answer each task",
    "explanations": "says why the joint model answers as it does, and tests whether that is true",
    "quickstart": "asks the trained model, as your program would",
    "by_hand": "builds and trains the joint model once more, in plain Keras",
    "reading": "shows which words of a text each task looks at",
    "controls": "reads the study of joint training over three seeds",
    "task_analysis": "reads the study of tasks trained together and alone",
    "comparison": "reads the study of layers, balancers and heads",
    "cold_start": "reads the study of new items and users",
    "sparse_data": "reads the study of thinned pasts",
    "text_cost": "reads the study of what a language model costs",
    "scale": "reads what was measured of large data",
    "new_task": "reads the study of a task added by its text",
    "tuning": "reads the study of tuning the language model",
    "distillation": "reads the study of one model taught by the fused answer",
    "augmentation": "reads the study of batches changed at random",
    "search": "reads the study of settings tried",
    "own_data": "takes the files of a small shop through the whole pipeline",
}


@dataclass(frozen=True)
class Plan:
    """A domain and its stages, in their order."""

    domain: str
    stages: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)  # of the last committed run
    tasks: int = 0

    def names(self) -> list[str]:
        """The stages as DVC calls them.

        Example:
            >>> Plan("video", ("training",)).names()
            ['training@video']
        """
        return [f"{stage}@{self.domain}" for stage in self.stages]

    def does(self, stage: str) -> str:
        """What a stage will do, in a phrase, and about how long if that is known.

        Example:
            >>> Plan("video", ("text_cost",), {"text_cost": 130.0}).does("text_cost")
            'reads the study of what a language model costs, about 2 min'
        """
        what = DOES.get(stage, f"runs notebook {stage}").format(tasks=self.tasks)
        seconds = self.seconds.get(stage)
        return f"{what}, about {about(seconds)}" if seconds else what


def about(seconds: float) -> str:
    """A time to expect.

    Example:
        >>> about(7.2), about(44), about(866.7)
        ('10 s', '40 s', '14 min')
    """
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min"


def duration(seconds: float) -> str:
    """A time that passed.

    Example:
        >>> duration(7.2), duration(80), duration(4000)
        ('7 s', '1 min 20 s', '1 h 6 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def dvc(*arguments: str) -> list[str]:
    """The command line of DVC in this environment, waiting while another one writes."""
    return [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]


def start_listing(root: Path) -> subprocess.Popen[str]:
    """Ask DVC for the stages of dvc.yaml; it takes a second, in which other things can be done."""
    return subprocess.Popen(
        dvc("stage", "list", "--name-only"), cwd=root, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def listed(listing: subprocess.Popen[str]) -> list[str]:
    """The stages that :func:`start_listing` asked for.

    Raises:
        ConfigError: DVC cannot read dvc.yaml.
    """
    found, errors = listing.communicate()
    if listing.returncode:
        raise ConfigError(f"dvc.yaml: DVC cannot read it: {last_line(errors)}")
    return [name for name in found.split() if "@" in name]


def require(wanted: Iterable[str], found: Iterable[str]) -> None:
    """Raise ConfigError if a wanted domain is not among those found, nor :data:`ALL`."""
    known = list(found)
    unknown = [domain for domain in wanted if domain not in known and domain != ALL]
    if unknown:
        raise ConfigError(
            f"there is no domain '{unknown[0]}'. There are: {', '.join(known)}; '{ALL}' runs every "
            "one. `mtrec new` makes a domain of your own files."
        )


def plans(
    names: Sequence[str], wanted: Sequence[str], config: Config, root: Path, until: str | None
) -> list[Plan]:
    """The wanted domains with their stages, the one with most text first, then the longest.

    Args:
        names: ``stage@domain`` in the order of dvc.yaml.
        wanted: domains; ``all`` for every one.
        config: the parameters.
        root: of the repository.
        until: the last stage to run; None for all.

    Raises:
        ConfigError: a domain is not there.
    """
    found: dict[str, list[str]] = {}
    for stage, domain in (name.split("@", 1) for name in names):
        found.setdefault(domain, []).append(stage)
    require(wanted, found)
    chosen = found if ALL in wanted else wanted
    made = [
        Plan(
            domain,
            tuple(_until(found[domain], until)),
            _seconds(root, domain),
            len(config.domains[domain].tasks) if domain in config.domains else 0,
        )
        for domain in dict.fromkeys(chosen)
    ]
    return sorted(made, key=lambda plan: (plan.domain != FIRST, -sum(plan.seconds.values())))


def changed(root: Path, names: Iterable[str]) -> set[str]:
    """Which of these DVC finds out of date; stages after them will be, too.

    Raises:
        ConfigError: DVC cannot tell.
    """
    done = subprocess.run(
        dvc("status", "--json", *names), cwd=root, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ConfigError(f"dvc status failed: {last_line(done.stderr)}")
    return set(json.loads(done.stdout))


def last_line(text: str) -> str:
    """What a failed program said last, without the word ERROR."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "it said nothing").removeprefix("ERROR: ")


def _until(stages: list[str], last: str | None) -> list[str]:
    return stages[: stages.index(last) + 1] if last in stages else stages


def _seconds(root: Path, domain: str) -> dict[str, float]:
    try:
        text = (root / "reports" / domain / "metrics.json").read_text(encoding="utf-8")
        return {name: float(value) for name, value in json.loads(text)["seconds"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
