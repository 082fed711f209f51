"""Rows of a ranking protocol from metrics per user: each system's, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.harness.results import DIFFERENCE, Row
from benchmarks.models.topk import interval

Array = np.ndarray
OURS = "mtrec fused"
RESAMPLES, SEED = 200, 42


@dataclass(frozen=True)
class Ranked:
    """A system's metrics per user.

    Attributes:
        system: name in the results.
        version: of its package.
        runs: of each training, ``{metric: (users,)}``; users are the same for all systems.
        seconds: of one training.
        peak_mb: peak memory of its process, 10^6 bytes.
        note: settings and what else a reader must know.
    """

    system: str
    version: str
    runs: Sequence[Mapping[str, Array]]
    seconds: float
    peak_mb: float
    note: str

    def per_user(self, metric: str) -> Array:
        """Mean over trainings, ``(users,)``."""
        return np.mean([run[metric] for run in self.runs], axis=0)


def rows(protocol: str, split_sha256: str, found: Sequence[Ranked]) -> list[Row]:
    """A row per system and metric, then how far ours is above each peer.

    Values are means over users and trainings; intervals are of a bootstrap over users.

    Args:
        protocol: name in the results.
        split_sha256: of its split.
        found: every system, :data:`OURS` among them.
    """
    ours = next(one for one in found if one.system == OURS)
    gains = [gain(ours, one) for one in found if one is not ours]
    return [
        Row(protocol, split_sha256, one.system, one.version, metric,
            *interval(one.per_user(metric), RESAMPLES, SEED), len(one.runs),
            round(one.seconds, 2), one.peak_mb, one.note)
        for one in (*found, *gains) for metric in one.runs[0]
    ]  # fmt: skip


def gain(ours: Ranked, peer: Ranked) -> Ranked:
    """What each training of ours has more than the mean of a peer's, user by user."""
    runs = [{name: run[name] - peer.per_user(name) for name in run} for run in ours.runs]
    nothing = float("nan")  # is spent on a difference
    return Ranked(f"{OURS}{DIFFERENCE}{peer.system}", "", runs, nothing, nothing, "")
