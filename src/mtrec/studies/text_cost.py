"""What embedding a text costs, and what each way of saving costs in prediction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mtrec.config import Experiment
from mtrec.files import whole
from mtrec.studies import runner, text_cost_plan
from mtrec.studies.probe import held_out, quality
from mtrec.studies.text_cost_plan import PLAN, Setting, fingerprint
from mtrec.tables import schema
from mtrec.tables.schema import Tables
from mtrec.text import embed
from mtrec.text.embed import Batches, bucketed

Array = np.ndarray
TASK = "recommended"  # the binary task whose label the probe predicts


@dataclass(frozen=True)
class Round:
    """A part of the sample, embedded: vectors ``(texts, width)``, wall time, time of all cores."""

    vectors: Array
    seconds: float
    cpu_seconds: float


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Measure every way to embed a text; see :func:`mtrec.studies.runner.main`.

    The domain has texts of items and the binary task ``recommended``.
    """
    return runner.resume(PLAN, run, partial(measure, run), minutes)


def measure(
    run: Experiment, everything: Sequence[Setting], missing: Sequence[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Time the embedding and judge the vectors by a linear probe, a row per setting.

    The probe is a logistic regression on whitened principal components, both fitted on the
    training folds of a stratified cross-validation over texts of training rows. Intervals are
    95 % over bootstrap resamples of texts; ``difference`` is the log-loss minus the default's on
    the same resamples.

    Args:
        run: the settings.
        everything: all ways to embed, the default first.
        missing: numbers of those to measure.

    Returns:
        By number: ``part``, ``setting`` and what it consists of, ``texts``, ``ms_per_text``,
        ``tokens_per_second`` (medians over rounds), ``padding`` (share of the positions),
        ``all_texts``, ``all_tokens``, ``minutes`` and ``cpu_minutes`` (estimates for all distinct
        texts of items: wall time as fast as here, and the time of all cores together, which other
        jobs change less),
        ``log_loss``, ``difference`` with ``_low`` and ``_high``, ``accuracy``, ``auc`` and
        ``constant_log_loss``.
    """
    tables, keys = schema.read(run.paths.tables), {s: fingerprint(run, s) for s in everything}
    sample = sample_texts(tables, text_cost_plan.SIZE, run.seed)
    chosen = list(dict.fromkeys([everything[0], *(everything[number] for number in missing)]))
    work = run.paths.root / "build" / "texts" / run.name
    rounds = text_cost_plan.ROUNDS
    parts = embed_in_turns(sample["text"], chosen, keys, rounds, run.paths.raw, work)
    texts = sorted(set(tables.items["text"].dropna()))
    lengths = token_counts(texts, run.task_embedding.preset, run.paths.raw)
    of = dict(zip(texts, lengths, strict=True))
    own = np.array([of[text] for text in sample["text"]])
    labels = sample["label"].to_numpy()
    found = {
        s: held_out(
            np.concatenate([done.vectors for done in parts[s]]),
            labels,
            s.embed.components,
            run.seed,
        )
        for s in chosen
    }
    default = found[everything[0]]
    for number in missing:
        setting = everything[number]
        row = {
            "part": setting.part, "setting": setting.name, "layer": setting.embed.layer,
            "max_tokens": setting.embed.max_tokens, "precision": setting.embed.precision,
            "bucketing": setting.bucketing,
            **cost(setting, own, parts[setting], lengths),
            **quality(labels, found[setting], default, run.evaluation.resamples, run.seed),
        }  # fmt: skip
        yield number, pd.DataFrame([row])


def sample_texts(tables: Tables, size: int, seed: int) -> pd.DataFrame:
    """Distinct ``text`` and ``label`` (int) of training rows, at random.

    Raises:
        ValueError: the domain has no such task or no texts.
    """
    examples = tables.examples
    if TASK not in examples or "text" not in tables.items:
        raise ValueError(
            f"examples: the study of texts needs the label '{TASK}' and items with a text; this "
            "domain lacks one. Run it on social_reviews."
        )
    rows = examples[(examples["split"] == "train") & examples[TASK].notna()]
    text = rows["item_id"].map(tables.items.set_index("item_id")["text"])
    frame = pd.DataFrame({"text": text, "label": rows[TASK].astype(int)}).dropna()
    frame = frame.drop_duplicates("text")
    return frame.sample(min(size, len(frame)), random_state=seed).reset_index(drop=True)


def unbucketed(lengths: Sequence[int], budget: int) -> Iterator[tuple[Array, int]]:
    """Rows in the order given, all padded to the longest: what :func:`bucketed` saves."""
    longest = int(max(lengths))
    size = max(1, budget // longest)
    for start in range(0, len(lengths), size):
        yield np.arange(start, min(start + size, len(lengths))), longest


def embed_in_turns(
    texts: pd.Series,
    chosen: Sequence[Setting],
    keys: Mapping[Setting, str],
    rounds: int,
    raw: Path,
    work: Path,
) -> dict[Setting, list[Round]]:
    """Embed part after part with every setting; what ``work`` holds is not done again."""
    runners: dict[Setting, Callable[[Sequence[str]], Array]] = {}
    found: dict[Setting, list[Round]] = {setting: [] for setting in chosen}
    for number, part in enumerate(np.array_split(texts.to_numpy(), rounds)):
        for setting in chosen:
            file = work / f"{keys[setting]}-{number}.npz"
            if not file.is_file():
                if setting not in runners:
                    runners[setting] = embed.runner(setting.embed, raw, _batches(setting))
                    runners[setting](list(part[:2]))  # traces the graph
                done = _timed(runners[setting], list(part))
                _save(file, done)
                print(f"{setting.part}, {setting.name}, round {number + 1}: {done.seconds:.0f} s "
                      f"({done.cpu_seconds:.0f} s of CPU)", flush=True)  # fmt: skip
            with np.load(file) as kept:
                found[setting].append(
                    Round(kept["vectors"], float(kept["seconds"]), float(kept["cpu_seconds"]))
                )
    return found


def token_counts(texts: Sequence[str], preset: str, raw: Path) -> Array:
    """Tokens of each text, uncut and without the start token, ``(n,)``."""
    from mtrec.text import backbone

    tokenizer = backbone.load_tokenizer(preset, raw)
    return np.array([len(tokens) for tokens in tokenizer(list(texts))])


def cost(setting: Setting, lengths: Array, rounds: Sequence[Round], all_lengths: Array) -> dict:
    """Time per text and token, share of padding, and an estimate for all texts.

    Args:
        setting: what was timed.
        lengths: tokens of the sample's texts, uncut, in order.
        rounds: the timed parts of the sample.
        all_lengths: tokens of all texts, uncut.
    """
    cut = setting.embed.max_tokens
    parts = np.array_split(np.minimum(lengths, cut) + 1, len(rounds))  # + 1: the start token
    total = int((np.minimum(all_lengths, cut) + 1).sum())
    wall = np.array([done.seconds for done in rounds])
    cpu = np.array([done.cpu_seconds for done in rounds])
    texts, tokens = (np.array([len(p) for p in parts]), np.array([p.sum() for p in parts]))
    batches = _batches(setting)
    positions = sum(
        len(rows) * length
        for part in parts
        for rows, length in batches(part.tolist(), setting.embed.batch_tokens)
    )
    return {
        "texts": len(lengths),
        "ms_per_text": round(1000 * float(np.median(wall / texts)), 2),
        "tokens_per_second": round(float(np.median(tokens / wall)), 1),
        "padding": round(1 - float(tokens.sum()) / positions, 4),
        "all_texts": len(all_lengths),
        "all_tokens": total,
        "minutes": round(total * float(np.median(wall / tokens)) / 60, 2),
        "cpu_minutes": round(total * float(np.median(cpu / tokens)) / 60, 2),
    }


def _batches(setting: Setting) -> Batches:
    return bucketed if setting.bucketing else unbucketed


def _timed(run: Callable[[Sequence[str]], Array], texts: list[str]) -> Round:
    wall, cpu = time.perf_counter(), time.process_time()
    vectors = run(texts)
    return Round(vectors, time.perf_counter() - wall, time.process_time() - cpu)


def _save(file: Path, done: Round) -> None:
    with whole(file) as temporary, temporary.open("wb") as handle:
        np.savez(handle, **vars(done))
