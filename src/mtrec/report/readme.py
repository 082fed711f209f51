"""The generated parts of README.md, docs/results.md and CONTRIBUTING.md, and one figure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mtrec.config import Experiment, experiment, read_params
from mtrec.files import write_text
from mtrec.metrics.families import MAIN_METRIC
from mtrec.paths import Paths, find_root
from mtrec.report import comparison as study
from mtrec.report import controls, headline, held_out, plots, tables
from mtrec.report import own_summary as summary
from mtrec.settings import Config
from mtrec.studies import comparison_plan, controls_plan

# What figures that are cut off or edited may raise.
BROKEN = (LookupError, TypeError, ValueError, AttributeError, OSError)
ORDER = (
    "preprocessing", "task_embedding", "model_building", "training", "evaluation", "fusion",
    "quickstart", "controls", "task_analysis", "comparison", "cold_start", "sparse_data",
    "text_cost", "by_hand", "reading", "scale",
)  # fmt: skip

BEST = "best specialist"
FIGURE = "docs/figures/results.png"
NO_VERDICT = (
    "One training of each model allows no verdict on joint training or the language model: "
    "{command} trains three, with controls."
)


def main(shown: Collection[str] = (), root: Path | None = None) -> None:
    """Write the sections and print the headline figures; a file changes only if they did.

    Domains of one's own are no part of them: each has a summary beside its notebooks.

    Args:
        shown: domains whose figures are printed; all if none. The files hold every domain's.
        root: of the repository.

    Raises:
        ValueError: a file lacks a pair of markers.
    """
    root = root or find_root()
    found = read_metrics(root)
    domains = read_params(root / "params.yaml").domains
    own = {name for name in found if domains[name].module == "own"}
    metrics = {name: part for name, part in found.items() if name not in own}
    for file, sections in _sections(metrics, root).items():
        old = new = (root / file).read_text(encoding="utf-8")
        for name, body in sections.items():
            new = insert(new, name, body, file)
        if new != old:
            write_text(root / file, new)
    for domain in found:
        if not shown or domain in shown:
            _print(domain, found[domain], root, domain in own)


def _sections(metrics: Mapping[str, Mapping[str, Any]], root: Path) -> dict[str, dict[str, str]]:
    """What is generated, by file and by the name of its markers."""
    return {
        "README.md": {"found": found_section(metrics, root), "answer": answer_section(root)},
        "docs/results.md": {
            "results": results_section(metrics, root), "held_out": held_out_section(metrics, root),
            "costs": costs_section(metrics), "study": study_section(root),
        },
        "CONTRIBUTING.md": {"graph": f"```mermaid\n{graph(root)}\n```"},
    }  # fmt: skip


def found_section(metrics: Mapping[str, Mapping[str, Any]], root: Path) -> str:
    """Findings in sentences, and the figure behind them, which is written beside them."""
    whole = {name: part for name, part in metrics.items() if _shows(part)}
    if not whole:
        return "No results yet: run `make repro`."
    known = {name: _trained(experiment(name, root)) for name in whole}
    trained = {name: part for name, part in known.items() if part is not None}
    fused = {
        name: part for name, part in read_metrics(root, "fusion.json").items() if name in whole
    }
    gains, seen = headline.gains(whole, fused, trained), None
    opened = held_out.read(root)
    if whole.keys() <= opened.keys():
        seen, fused = gains, {name: opened[name] for name in whole}
        gains = headline.gains(whole, fused, trained)
    tasks = {name: list(part["tasks"]) for name, part in whole.items()}
    plots.style()
    figure = headline.figure(gains, tasks, headline.unserved(fused), seen is not None)
    plots.save(figure, root / FIGURE)
    lines = [f"- {sentence}" for sentence in headline.sentences(gains, fused, trained, seen)]
    picture = f"![{headline.caption(gains, seen is not None)}]({FIGURE})"
    return "\n".join([*lines, "", picture])


def _shows(part: Mapping[str, Any]) -> bool:
    """Whether a domain's figures can be drawn."""
    try:
        return not tables.results_table(part).empty
    except BROKEN:
        return False


def answer_section(root: Path) -> str:
    """The cell of the quick start that is marked for the README, with what it printed."""
    file = root / "reports" / "video" / "00_quickstart.ipynb"
    if not file.is_file():
        return "`make repro` asks the trained model and shows its answer here."
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    cell = next(cell for cell in cells if "readme" in cell["metadata"].get("tags", ()))
    code, outputs = "".join(cell["source"]), cell["outputs"]
    said = "".join("".join(output.get("text", "")) for output in outputs)
    by = _answering(root / "reports" / "video" / "fusion.json")
    return f"```python\n{code}\n```\n\n```text\n{said.rstrip()}\n```{by}"


def _answering(file: Path) -> str:
    """Who made that list, by the fusion of the domain's first task that ranks."""
    tasks = json.loads(file.read_text(encoding="utf-8"))["tasks"] if file.is_file() else {}
    ranked = [task for task in tasks.values() if task["type"] == "ranking"]
    if not ranked:
        return ""
    served = ranked[0]["served"]
    weights = ranked[0]["weights"] if served == "fused" else {served: 1.0}
    names = [f"`{name}`" for name, weight in weights.items() if weight]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    who = f"This list combines {listed}" if len(names) > 1 else f"{listed} makes this list"
    return f"\n\n{who}; `recommender.systems` says who answers each task."


def _trained(run: Experiment) -> pd.DataFrame | None:
    """What several trainings with controls say of a domain; None if there are none, or one."""
    plan = controls_plan.PLAN
    if not plan.file(run).is_file():
        return None
    found = controls.combined(plan.results(run, plan.keys(run)))
    return None if found["seeds"].min() < 2 else found


def _print(domain: str, metrics: Mapping[str, Any], root: Path, own: bool) -> None:
    """A domain's figures; no other's suffers if they cannot be shown."""
    print(f"\n{domain}: {seconds_line(metrics)}")
    try:
        print(tables.results_table(metrics).to_string(index=False))
        if own:
            run = experiment(domain, root)
            print(*summary.sentences(run, metrics), sep="\n")
            print(f"All of this with a picture: {summary.write(run, metrics).relative_to(root)}")
    except BROKEN as error:
        print(_unreadable(domain, error))


def _unreadable(domain: str, error: Exception) -> str:
    return (
        f"**`{domain}`**: reports/{domain}/metrics.json cannot be shown ({type(error).__name__}: "
        f"{error}); `make repro DOMAIN={domain}` writes it again."
    )


def read_metrics(root: Path, file: str = "metrics.json") -> dict[str, dict[str, Any]]:
    """``reports/<domain>/metrics.json`` of every evaluated domain, in the order of params.yaml."""
    found = {}
    for domain in read_params(root / "params.yaml").domains:
        path = root / "reports" / domain / file
        try:
            metrics = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except ValueError:  # cut off or edited: who shows it will say so
            metrics = {"tasks": {}}
        if "tasks" in metrics:
            found[domain] = metrics
    return found


def results_section(metrics: Mapping[str, Mapping[str, Any]], root: Path) -> str:
    """A table per domain, and the verdicts that several trainings with controls allow."""
    parts = []
    for domain, found in metrics.items():
        try:
            parts.append(_result(domain, found, root))
        except BROKEN as error:
            parts.append(_unreadable(domain, error))
    return "\n\n".join(parts) or "No results yet: run `make repro`."


def held_out_section(metrics: Mapping[str, Mapping[str, Any]], root: Path) -> str:
    """The final table: every task on rows that were opened for it alone."""
    known = held_out.read(root)
    opened = {name: known[name] for name in metrics if name in known}
    if not opened:
        return held_out.NONE
    return f"{held_out.how(opened)}\n\n{markdown(held_out.table(opened))}"


def costs_section(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """What specialists cost to fit and answers to ask for."""
    found = held_out.costs(metrics)
    return markdown(found) if len(found) else "Not measured yet: run `make repro`."


def _result(domain: str, found: Mapping[str, Any], root: Path) -> str:
    table, beaten = _beside_specialists(tables.results_table(found), domain, root)
    table, verdicts = _judged(table, experiment(domain, root))
    return (
        f"**`{domain}`** (seed {found['seed']}, {found['parameters']:,} trained parameters, "
        f"{found['device']}, {found['precision']})\n\n{markdown(table)}\n\n"
        f"{' '.join(filter(None, [verdicts, beaten]))}"
    )


def _beside_specialists(table: pd.DataFrame, domain: str, root: Path) -> tuple[pd.DataFrame, str]:
    """The table with the best specialist of notebook 14, and where the joint model is behind it."""
    file = root / "reports" / domain / "fusion.json"
    if not file.is_file():
        return table, ""
    report = json.loads(file.read_text(encoding="utf-8"))
    best = {
        name: f"{task['best_peer']} {tables.show_interval(task['peer'][MAIN_METRIC[task['type']]])}"
        for name, task in report["tasks"].items()
        if "peer" in task
    }
    behind = headline.joint_behind(report)
    names = f" ({', '.join(behind)})" if behind else ""
    sentence = (
        f"By the values of seed {report['seed']}, the joint model is behind the best specialist of "
        f"notebook 14 in {len(behind)} of {len(best)} tasks{names}."
    )
    return table.assign(**{BEST: [best.get(name, "") for name in table["task"]]}), sentence


def _judged(table: pd.DataFrame, run: Experiment) -> tuple[pd.DataFrame, str]:
    """The table with what joint training gains over several trainings, if known, and verdicts."""
    plan = controls_plan.PLAN
    command, known = f"`{plan.command(run)}`", _trained(run)
    if known is None:
        return table, NO_VERDICT.format(command=command)
    seeds, names = known["seeds"].min(), plan.keys(run)
    gains = controls.difference(known, "difference").set_index("task")
    shown = [  # blank for a task that came after the study
        tables.show_interval(gains.loc[task], signed=True) if task in gains.index else ""
        for task in table["task"]
    ]
    verdicts = controls.sentences(known)
    if not plan.results(run, names)["key"].isin(names["controls"]).all():
        verdicts.append(f"These trainings had other settings: {command} trains anew.")
    return table.assign(**{f"joint training, {seeds} seeds": shown}), " ".join(verdicts)


def study_section(root: Path) -> str:
    """What the comparison of layers, balancers and heads allows to be said, per domain."""
    config = read_params(root / "params.yaml")
    default = (config.model_building.shared.layer, config.training.balancing)
    results = {
        domain: _known(domain, root)
        for domain, settings in config.domains.items()
        if settings.module != "own" and Paths(root, domain).study.is_file()
    }
    if not results:
        return "No results yet: run `make study`."
    own = {
        name: (config.domains[name].model_building.shared.layer,
               config.domains[name].training.balancing)
        for name in results
    }  # fmt: skip
    parts = [
        f"**`{domain}`**\n\n"
        + "\n".join(f"- {line}" for line in study.conclusions(found, *own[domain]))
        for domain, found in results.items()
    ]
    both = study.choose({domain: study.summary(found) for domain, found in results.items()})
    losses = both.set_index(["layer", "balancing"])["mean"]
    if default in losses:
        best = losses.index[0]
        parts.append(
            f"Mean validation loss over {' and '.join(results)}: lowest {' + '.join(best)} "
            f"({losses.iloc[0]:.4f}); the default of `params.yaml`, {' + '.join(default)}, has "
            f"{losses[default]:.4f}."
        )
    parts.append(_balanced(config, default[1]))
    return "\n\n".join(parts)


def _balanced(config: Config, default: str) -> str:
    """Which domains train with the default balancer, and how many there are."""
    built_in = {n: domain for n, domain in config.domains.items() if domain.module != "own"}
    names = [f"`{n}`" for n, one in built_in.items() if one.training.balancing == default]
    return (
        f"Of {len(built_in)} domains, {len(names)} train with `{default}` "
        f"({', '.join(names) or 'none'}); the others name another balancer in `params.yaml`."
    )


def _known(domain: str, root: Path) -> pd.DataFrame:
    """What notebook 07 shows; without the domain's tables, the last training of each setting."""
    run, plan = experiment(domain, root), comparison_plan.PLAN
    tables = (run.paths.tables / "examples.parquet").is_file()
    return plan.results(run, None if tables else {})


def markdown(frame: pd.DataFrame) -> str:
    """A frame of strings as a Markdown table.

    Example:
        >>> print(markdown(pd.DataFrame({"a": ["x"], "b": ["y"]})))
        | a | b |
        |---|---|
        | x | y |
    """
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * len(frame.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def seconds_line(metrics: Mapping[str, Any]) -> str:
    """Wall time per stage, in seconds."""
    found = metrics.get("seconds", {})
    parts = [f"{stage} {found[stage]:.0f} s" for stage in ORDER if stage in found]
    return ", ".join(parts) or "no wall times"


def graph(root: Path) -> str:
    """The pipeline as Mermaid, from ``dvc dag``: one node per stage, which runs once per domain."""
    found = subprocess.run(
        [sys.executable, "-m", "dvc", "dag", "--mermaid"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode:
        raise ValueError(f"dvc dag failed: {found.stderr.strip()}. Mend dvc.yaml.")
    return stages_only(found.stdout)


def stages_only(mermaid: str) -> str:
    """Merge the nodes ``stage@domain`` of a Mermaid graph into one per stage, with edges or not.

    Example:
        >>> found = 'flowchart TD\\n n1["a@x"]\\n n2["a@y"]\\n n3["b@x"]\\n n1-->n3\\n n2-->n3'
        >>> print(stages_only(found))
        flowchart TD
            a-->b
    """
    names = dict(re.findall(r'(\w+)\["([^"@]+)', mermaid))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(\w+)-->(\w+)", mermaid)}
    alone = set(names.values()) - {name for edge in edges for name in edge}
    lines = [f"    {start}-->{end}" for start, end in sorted(edges) if start != end]
    lines += [f"    {name}" for name in sorted(alone)]
    return "\n".join(["flowchart TD", *lines])


def insert(text: str, name: str, body: str, file: str = "README.md") -> str:
    """Replace what stands between ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Raises:
        ValueError: the markers are missing.
    """
    pattern = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(
            f"{file}: markers <!-- {name}:begin --> and <!-- {name}:end --> are missing. "
            "Restore them from git."
        )
    return pattern.sub(lambda match: f"{match[1]}{body}\n{match[2]}", text)
