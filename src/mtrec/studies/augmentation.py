"""What is each change of batches worth, on warm and on cold rows, and what does it cost?

Every variant is trained on the same rows with the same seeds as the plain training, and judged
beside it on the same validation rows; no label of a test row is read. A row is cold where its user
or its item has no training row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from keras import ops

from mtrec.config import Experiment
from mtrec.features.candidates import left_out
from mtrec.metrics.families import MAIN_METRIC
from mtrec.metrics.intervals import evaluate
from mtrec.metrics.ranks import ranks
from mtrec.models.predict import predict
from mtrec.models.twins import build_some
from mtrec.settings import Search
from mtrec.studies import runner, workbench
from mtrec.studies.augmentation_plan import EPOCHS, FEWEST, PLAIN, PLAN, SHARE, chosen
from mtrec.studies.search import Source
from mtrec.studies.workbench import Workbench

Array = np.ndarray
Answers = dict[str, Array]  # predictions of the validation rows, or ranks, by task


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Train every variant with every seed; see :func:`mtrec.studies.runner.main`."""
    short = replace(run, search=Search(share=SHARE, epochs=EPOCHS))
    return runner.resume(PLAN, run, Variants(Source.read(short)).train, minutes)


@dataclass
class Variants:
    """The trainings, which are all compared with the plain one of their seed.

    Attributes:
        source: of rows and features.
    """

    source: Source
    _plain: dict[int, tuple[Answers, float]] = field(default_factory=dict)

    def train(self, variant: str, seeds: Sequence[int]) -> Iterator[tuple[int, pd.DataFrame]]:
        """Train a variant with some seeds.

        Yields:
            The seed and its rows: ``variant``, ``seed``, ``task``, ``metric``, ``rows`` (all, warm,
            cold user, cold item), ``n``, ``system`` (``value``, or ``difference`` from the plain
            training), ``value``, ``low``, ``high``, and ``seconds`` per epoch, of the plain
            training, too.
        """
        for seed in seeds:
            plain, usual = self._of_plain(seed)
            bench = self.source.bench(chosen(variant))
            answers, seconds = (plain, usual) if variant == PLAIN else self._fit(bench, seed)
            rows = self._figures(bench, plain, answers)
            yield seed, pd.DataFrame(
                [
                    {"variant": variant, "seed": seed, **row, "seconds": round(seconds, 2),
                     "plain_seconds": round(usual, 2)}
                    for row in rows
                ]
            )  # fmt: skip

    def _of_plain(self, seed: int) -> tuple[Answers, float]:
        if seed not in self._plain:
            self._plain[seed] = self._fit(self.source.bench(chosen(PLAIN)), seed)
        return self._plain[seed]

    def _fit(self, bench: Workbench, seed: int) -> tuple[Answers, float]:
        """Answers of a trained model on the validation rows, and CPU seconds per epoch."""
        names = tuple(bench.assembly.types)
        model = build_some(bench.assembly, names, bench.vectors["tasks"], bench.sizes, seed)
        trainer, ends = workbench.trainer_of(bench, model, names), []
        trainer.run(seed, report=lambda epoch, loss: ends.append(time.process_time()))
        seconds = float(np.median(np.diff(ends))) if len(ends) > 1 else float("nan")
        logits = predict(model, bench.validation.inputs)
        found = {}
        for name, kind in bench.assembly.types.items():
            known = bench.validation.masks[name]
            answer = ops.convert_to_numpy(kind.predict(logits[name][known]))
            if kind.candidates:
                label, rows = bench.domain.tasks[name].label, bench.validation_rows[known]
                out = left_out(kind, bench.assembly.encoder, bench.tables, label, rows)
                answer = ranks(answer, bench.validation.labels[name][known], out)
            found[name] = answer
        return found, seconds

    def _figures(self, bench: Workbench, plain: Answers, answers: Answers) -> list[dict]:
        """The main metric of each task and group of rows, and its difference from plain."""
        run, found = self.source.run, []
        for name, kind in bench.assembly.types.items():
            known = bench.validation.masks[name]
            about = bench.tables.examples.iloc[bench.validation_rows[known]]
            labels, metric = bench.validation.labels[name][known], MAIN_METRIC[kind.metrics]
            who = about["user_id"].where(about["user_id"].notna(), about["item_id"]).to_numpy()
            for group, rows in groups(about).items():
                if rows.sum() < FEWEST:
                    continue
                scores = evaluate(
                    kind.metrics, labels[rows],
                    {"value": answers[name][rows], "plain": plain[name][rows]},
                    who[rows].astype(str), run.evaluation.resamples, run.seed,
                    {"difference": ("value", "plain")},
                )  # fmt: skip
                found += [
                    {"task": name, "metric": metric, "rows": group, "n": int(rows.sum()),
                     "system": system,
                     **{key: round(v, 6) for key, v in scores[system][metric].items()}}
                    for system in ("value", "difference")
                ]  # fmt: skip
        return found


def groups(about: pd.DataFrame) -> Mapping[str, Array]:
    """All rows, those whose user and item both have training rows, and the others."""
    user, item = about["cold_user"].to_numpy(), about["cold_item"].to_numpy()
    everything = np.ones(len(about), dtype=bool)
    return {"all": everything, "warm": ~user & ~item, "cold user": user, "cold item": item}
