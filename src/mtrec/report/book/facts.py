"""What is known of a domain from committed files alone, and pages that are filled with it.

A page names a figure, ``{{rating.joint}}``, and never holds it. A sentence that rests on figures
says which, in a comment behind it that no reader sees, ``<!-- holds: rating.joint <
rating.baseline -->``, so that it cannot outlive them.
"""

from __future__ import annotations

import csv
import html
import json
import operator
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from mtrec.metrics.families import HIGHER_IS_BETTER, MAIN_METRIC

Facts = dict[str, Any]
SYSTEMS = ("baseline", "single", "joint")
FUSED = ("answer", "joint", "single", "peer")
COMPARE = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
FILLED = re.compile(  # what stands in code is left alone
    r"(?P<code>`[^`\n]+`)|\{\{\s*(?P<name>[^{}]+?)\s*\}\}|"
    r"[ \t]*<!-- holds: (?P<left>\S+) (?P<sign><|>|<=|>=|says) (?P<right>.+?) -->",
    re.DOTALL,
)


class BookError(ValueError):
    """A page of the book cannot be made; the message names the page and the mend."""


def facts(root: Path, domain: str) -> Facts:
    """Everything that a page may name.

    Of a task (``rating``): ``type``, ``metric``, its main metric by every system (``joint``,
    ``single``, ``baseline``, peers) and the joint model's gains (``gain`` over the single-task
    model, ``baseline_gain``, ``<peer>_gain``), signed so that positive is better. Each has
    ``value``, ``low`` and ``high``. ``seeds`` has, by task, means over the trainings of notebook
    12, differences signed in the same way. ``fusion`` has, by task of notebook 14, the main metric
    of ``answer``, ``joint``, ``single`` and ``peer`` (the best specialist), the answer's gains over
    the others (``peer_gain`` …), and ``test``, the value of every member. Besides: ``parameters``,
    ``seed``, ``device``, ``precision``, ``seconds``; ``rows`` of the four tables and of the splits;
    ``columns`` of the tables; ``said``, what each executed notebook printed, by line; ``table``,
    what it showed, by the columns' names.

    Raises:
        BookError: a file is missing or broken.
    """
    folder = root / "reports" / domain
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        tasks = {name: _task(found) for name, found in metrics["tasks"].items()}
        known = {key: metrics[key] for key in ("parameters", "seed", "device", "precision")}
        first = read_notebook(folder / "01_preprocessing.ipynb")
        sizes, splits = _table(first, "describe.overview({"), _table(first, "describe.split_table(")
        rows = {name: int(row["rows"].replace(",", "")) for name, row in (sizes | splits).items()}
        columns = {name: row["columns"].split(", ") for name, row in sizes.items()}
        executed = {p.stem: read_notebook(p) for p in sorted(folder.glob("*.ipynb"))}
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise BookError(
            f"reports/{domain}: cannot be shown ({type(error).__name__}: {error}); restore it "
            f"from git, or `make repro DOMAIN={domain}` writes it again."
        ) from None
    return {
        **tasks, **known, "seconds": metrics["seconds"], "rows": rows, "columns": columns,
        "said": {name: _printed(found) for name, found in executed.items()},
        "fusion": _fusion(folder / "fusion.json"),
        "seeds": _seeds(root / "reports" / "study" / f"{domain}_controls.csv"),
        "table": {
            name: {", ".join(rows[0]): rows for rows in tables(found)}
            for name, found in executed.items()
        },
    }  # fmt: skip


def _task(found: Mapping[str, Any]) -> Facts:
    metric = MAIN_METRIC[found["type"]]
    peers = found.get("peers", ())
    systems = {name: found[name][metric] for name in (*SYSTEMS, *peers) if name in found}
    gains = {
        f"{name.removesuffix('difference')}gain": _gain(found[name][metric], metric)
        for name in found
        if name.endswith("difference")
    }
    return {"type": found["type"], "metric": metric, "peers": list(peers), **systems, **gains}


def _fusion(file: Path) -> Facts:
    """By task who answers and how well; nothing if the domain has no fusion."""
    if not file.is_file():
        return {}
    found = {}
    for name, task in json.loads(file.read_text(encoding="utf-8"))["tasks"].items():
        metric = MAIN_METRIC[task["type"]]
        shown = {key: task[key][metric] for key in FUSED if key in task}
        gains = {
            f"{key}_gain": _gain(task[f"{key}_difference"][metric], metric)
            for key in FUSED
            if f"{key}_difference" in task
        }
        found[name] = {**shown, **gains, "test": task["test"], "best_peer": task.get("best_peer")}
    return found


def _gain(found: Mapping[str, Any], metric: str) -> dict[str, float | None]:
    """The difference with a positive sign where the joint model is better."""
    if HIGHER_IS_BETTER[metric]:
        return dict(found)
    value, low, high = (None if found[k] is None else -found[k] for k in ("value", "high", "low"))
    return {"value": value, "low": low, "high": high}


def _seeds(file: Path) -> dict[str, dict[str, float]]:
    """Mean over trainings by task and system; nothing if the study was not run."""
    if not file.is_file():
        return {}
    values: dict[tuple[str, str], list[float]] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            falls = row["system"].endswith("difference") and not HIGHER_IS_BETTER[row["metric"]]
            value = float(row["value"]) * (-1 if falls else 1)
            values.setdefault((row["task"], row["system"]), []).append(value)
    found: dict[str, dict[str, float]] = {}
    for (task, system), all_seeds in values.items():
        found.setdefault(task, {})[system] = fmean(all_seeds)
    return found


def read_notebook(path: Path) -> dict[str, Any]:
    """An executed notebook as JSON.

    Raises:
        BookError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BookError(f"{path}: cannot be read ({error}); restore it from git.") from None


def _table(notebook: Mapping[str, Any], call: str) -> dict[str, dict[str, str]]:
    """The first table that a call of the notebook showed, by its first column."""
    header, *lines = next(tables(notebook, call))
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


def tables(notebook: Mapping[str, Any], call: str = "") -> Iterator[list[list[str]]]:
    """Tables below cells that make a call, as rows of cells, the header first."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and call in "".join(cell["source"]):
            for output in cell["outputs"]:
                shown = "".join(output.get("data", {}).get("text/html", ()))
                if "<table" in shown:
                    yield [_cells(row) for row in re.findall(r"<tr.*?</tr>", shown, re.DOTALL)]


def _cells(row: str) -> list[str]:
    found = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
    return [html.unescape(cell).strip() for cell in found]


def _printed(notebook: Mapping[str, Any]) -> list[str]:
    printed = [
        "".join(output["text"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        if output["output_type"] == "stream"
    ]
    return [line for text in printed for line in text.splitlines() if line.strip()]


def markdown(header: list[str], *rows: list[str]) -> str:
    """A Markdown table.

    Example:
        >>> print(markdown(["a", "b"], ["x", "y"]))
        | a | b |
        |---|---|
        | x | y |
    """
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def fill(page: str, text: str, known: Facts, blocks: Mapping[str, str] | None = None) -> str:
    """The text with every ``{{name}}`` replaced and every claim held against the facts.

    Args:
        page: what messages call it.
        text: Markdown.
        known: :func:`facts`.
        blocks: Markdown by name, such as a table.

    Raises:
        BookError: an unknown name, or a sentence that is true no longer.

    Example:
        >>> fill("a.md", "{{x.y}} <!-- holds: x.y > 0 -->", {"x": {"y": 0.25}})
        '0.250'
    """
    blocks = blocks or {}

    def one(found: re.Match[str]) -> str:
        if found["code"]:
            return found["code"]
        if name := found["name"]:
            return blocks[name] if name in blocks else show(look_up(page, known, name))
        left, sign, right = found["left"], found["sign"], found["right"]
        if not _holds(page, known, left, sign, right):
            line = text[: found.start()].rsplit("\n", 1)[-1].strip()
            raise BookError(
                f"{page}: no longer true: {left} {sign} {right} (found: "
                f"{show(look_up(page, known, left))}). Rewrite the sentence before it "
                f"({line[-80:]!r}) and its comment."
            )
        return ""

    return FILLED.sub(one, text)


def _holds(page: str, known: Facts, left: str, sign: str, right: str) -> bool:
    found = look_up(page, known, left)
    if sign == "says":
        return any(right in line for line in found)
    other = float(right) if re.fullmatch(r"-?[\d.]+", right) else _number(page, known, right)
    return bool(COMPARE[sign](_number(page, known, left), other))


def _number(page: str, known: Facts, name: str) -> float:
    found = look_up(page, known, name)
    found = found["value"] if isinstance(found, dict) and "value" in found else found
    if not isinstance(found, (int, float)):
        raise BookError(f"{page}: {name} is no number (found: {found!r}). Name one.")
    return found


def look_up(page: str, known: Facts, name: str) -> Any:
    """The fact of a dotted name.

    Raises:
        BookError: there is none.
    """
    found: Any = known
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            there = ", ".join(found) if isinstance(found, dict) else show(found)
            raise BookError(f"{page}: '{name}' is unknown: no '{part}' among {there}. Mend it.")
        found = found[part]
    return found


def show(found: Any) -> str:
    """A fact in words: three decimals, an interval in brackets, lines as a list.

    Example:
        >>> show({"value": 0.5, "low": 0.4, "high": 0.61})
        '0.500 [0.400, 0.610]'
    """
    if isinstance(found, dict) and "value" in found:
        if found["value"] is None:
            return "–"
        bounds = found.get("low"), found.get("high")
        plain = f"{found['value']:.3f}"
        return plain if None in bounds else f"{plain} [{bounds[0]:.3f}, {bounds[1]:.3f}]"
    if isinstance(found, float):
        return f"{found:.3f}"
    if isinstance(found, int):
        return f"{found:,}"
    if isinstance(found, list) and found and isinstance(found[0], list):
        return markdown(*found)
    if isinstance(found, list):
        return "\n".join(f"- {line}" for line in found)
    return str(found)
