"""The results of the comparison as tables: gains over single-task models, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.metrics.intervals import mean_interval
from mtrec.report.findings import verdict

JOINT = "joint"


def with_gain(results: pd.DataFrame) -> pd.DataFrame:
    r"""Add ``gain``: how much better a task's test metric is than that of its own model, in %.

    .. math:: \Delta_t = \pm 100\, \frac{M_t - M_t^{alone}}{M_t^{alone}}

    with the sign that makes better positive, paired by seed.

    Source: Maninis et al. 2019, "Attentive Single-Tasking of Multiple Tasks",
    https://arxiv.org/abs/1904.08918 (eq. 4), whose average over tasks is :func:`summary`'s.
    """
    alone = results[results["part"] == "alone"].set_index(["task", "seed"])["value"]
    base = alone.reindex(pd.MultiIndex.from_frame(results[["task", "seed"]])).to_numpy()
    sign = results["metric"].map(lambda metric: 1 if HIGHER_IS_BETTER[metric] else -1)
    return results.assign(gain=100 * sign * (results["value"] - base) / base)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Mean over tasks of validation loss and test gain, per setting.

    Returns:
        ``layer``, ``balancing``, ``seeds``, ``val_loss`` (mean over seeds), ``gain``, ``low``,
        ``high`` (95 % by Student's t over seeds, in percent), lowest validation loss first.
    """
    chosen = with_gain(results)[results["part"] == JOINT]
    rows = []
    for (layer, balancing), part in chosen.groupby(["layer", "balancing"], sort=False):
        per_seed = part.groupby("seed")[["val_loss", "gain"]].mean()
        gain, low, high = mean_interval(per_seed["gain"].to_numpy())
        rows.append({"layer": layer, "balancing": balancing, "seeds": len(per_seed),
                     "val_loss": per_seed["val_loss"].mean(), "gain": gain, "low": low,
                     "high": high})  # fmt: skip
    columns = ["layer", "balancing", "seeds", "val_loss", "gain", "low", "high"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        "val_loss", kind="stable", ignore_index=True
    )


def grid(found: pd.DataFrame, column: str, layers: list[str]) -> pd.DataFrame:
    """One column of :func:`summary` as ``(layers, balancers)``, balancers tried with all layers."""
    table = found.pivot(index="layer", columns="balancing", values=column).reindex(layers)
    return table.dropna(axis=1, how="all").loc[:, lambda t: t.notna().sum() > 1]


def difference(
    results: pd.DataFrame, setting: tuple[str, str], other: tuple[str, str], column: str = "gain"
) -> tuple[float, float, float]:
    """Mean over tasks of one (layer, balancer) minus another, paired by seed, with 95 % interval.

    Args:
        results: all results.
        setting: layer and balancer.
        other: those it is compared with.
        column: ``gain`` (test, in percent) or ``val_loss``.
    """
    chosen = with_gain(results)[results["part"] == JOINT]
    mean = chosen.groupby(["layer", "balancing", "seed"])[column].mean()
    return mean_interval((mean.loc[setting] - mean.loc[other]).dropna().to_numpy())


def by_task(results: pd.DataFrame, settings: list[tuple[str, str]]) -> pd.DataFrame:
    """Test metric of each task for some settings, mean and 95 % interval over seeds."""
    chosen = pd.concat(
        [results[(results["part"] == "alone")].assign(name="alone")]
        + [
            results[
                (results["part"] == JOINT)
                & (results["layer"] == layer)
                & (results["balancing"] == balancing)
            ].assign(name=f"{layer} + {balancing}")
            for layer, balancing in settings
        ]
    )
    rows = []
    for (task, metric), part in chosen.groupby(["task", "metric"], sort=False):
        row = {"task": task, "metric": metric}
        for name, values in part.groupby("name", sort=False)["value"]:
            row[name] = show(mean_interval(values.to_numpy()))
        rows.append(row)
    return pd.DataFrame(rows)


def weighting_race(results: pd.DataFrame) -> pd.DataFrame:
    """The best of the static weightings against every balancer in one run, same seed and layer.

    The weighting is chosen by its mean validation loss, as a search would; gains are on test.

    Returns:
        ``method``, ``runs`` (trainings it took), ``val_loss``, ``gain`` in percent.
    """
    searched = with_gain(results)[results["part"] == "weightings"]
    if searched.empty:
        return pd.DataFrame(columns=["method", "runs", "val_loss", "gain"])
    seed, layer = searched["seed"].iloc[0], searched["layer"].iloc[0]
    tried = searched.groupby("setting", sort=False)[["val_loss", "gain"]].mean()
    best = tried["val_loss"].idxmin()
    rows = [
        (f"best of {len(tried)} static weightings ({best})", len(tried), *tried.loc[best]),
        ("median of the static weightings", 1, *tried.median()),
    ]
    single = with_gain(results)[results["part"] == JOINT]
    single = single[(single["seed"] == seed) & (single["layer"] == layer)]
    for name, part in single.groupby("balancing", sort=False)[["val_loss", "gain"]]:
        rows.append((name, 1, *part.mean()))
    table = pd.DataFrame(rows, columns=["method", "runs", "val_loss", "gain"])
    return table.sort_values("val_loss", kind="stable", ignore_index=True)


def heads(results: pd.DataFrame) -> pd.DataFrame:
    """Other heads and losses against the task's default, single-task, paired by seed.

    Returns:
        ``task``, ``metric``, ``default`` (mean of the metric), ``head or loss``, ``value``,
        ``gain [%]`` with interval, in words whether it is clear.
    """
    gains = with_gain(results)
    alone = gains[gains["part"] == "alone"].groupby("task")["value"].mean()
    rows = []
    for (task, name), part in gains[gains["part"] == "heads"].groupby(
        ["task", "setting"], sort=False
    ):
        gain = mean_interval(part["gain"].to_numpy())
        rows.append({"task": task, "metric": part["metric"].iloc[0], "default": alone[task],
                     "head or loss": name, "value": part["value"].mean(),
                     "gain [%]": show(gain, 1, signed=True),
                     "verdict": verdict(*gain[1:])})  # fmt: skip
    columns = ["task", "metric", "default", "head or loss", "value", "gain [%]", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def show(interval: tuple[float, float, float], decimals: int = 3, signed: bool = False) -> str:
    """A mean with its interval.

    Example:
        >>> show((0.5, 0.25, 0.75), 2)
        '0.50 [0.25, 0.75]'
    """
    form = f"{'+' if signed else ''}.{decimals}f"
    mean, low, high = interval
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """:func:`summary` for readers."""
    gains = found[["gain", "low", "high"]].to_numpy()
    return found[["layer", "balancing", "seeds", "val_loss"]].assign(
        **{"test gain over single-task [%]": [show(tuple(row), 1, signed=True) for row in gains]}
    )


def conclusions(results: pd.DataFrame, layer: str, balancing: str) -> list[str]:
    """What the intervals allow to be said, one sentence each; ``layer`` and ``balancing`` rule."""
    found, default = summary(results), (layer, balancing)
    best = (found.iloc[0]["layer"], found.iloc[0]["balancing"])
    static = found[found["balancing"] == "static"]["val_loss"]
    same_layer = found[found["layer"] == layer]["val_loss"]
    lines = [
        f"Lowest mean validation loss: {' + '.join(best)} ({found.iloc[0]['val_loss']:.4f}).",
        f"With static weights the layers differ by at most {static.max() - static.min():.4f}; with "
        f"{layer} the balancers differ by at most {same_layer.max() - same_layer.min():.4f}.",
    ]
    tried = set(zip(found["layer"], found["balancing"], strict=True))
    for other in dict.fromkeys([(layer, "static"), ("shared_bottom", "static"), best]):
        if {default, other} <= tried and other != default:
            loss = difference(results, default, other, "val_loss")
            gain = difference(results, default, other)
            better = verdict(-loss[2], -loss[1])
            lines.append(
                f"{' + '.join(default)} minus {' + '.join(other)}: validation loss "
                f"{show(loss, 4, signed=True)} ({better}), mean test gain "
                f"{show(gain, 1, signed=True)} % ({verdict(*gain[1:])})."
            )
    own = found[(found["layer"] == layer) & (found["balancing"] == balancing)]
    if len(own):
        gain = tuple(own.iloc[0][["gain", "low", "high"]])
        lines.append(
            f"{' + '.join(default)} against single-task models, mean test gain: "
            f"{show(gain, 1, signed=True)} % ({verdict(*gain[1:])})."
        )
    return lines


def choose(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Settings that every domain tried, lowest validation loss over all domains first.

    Args:
        found: :func:`summary` by domain.

    Returns:
        ``layer``, ``balancing``, a column of validation losses per domain, and ``mean``.
    """
    columns = {
        domain: frame.set_index(["layer", "balancing"])["val_loss"]
        for domain, frame in found.items()
    }
    table = pd.DataFrame(columns).dropna()
    table["mean"] = table.mean(axis=1)
    return table.sort_values("mean", kind="stable").reset_index()


def read_cost(file: Path) -> pd.DataFrame:
    """Times per step, see :func:`mtrec.studies.cost.measure`.

    Raises:
        FileNotFoundError: nothing was timed yet.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file. Run `make study` to time the settings.")
    return pd.read_csv(file)


def relative_cost(cost: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds per step, and as a multiple of the first setting timed."""
    first = cost["milliseconds"].iloc[0]
    return cost.assign(**{"times the first": np.round(cost["milliseconds"] / first, 2)})
