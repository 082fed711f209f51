"""``params.yaml``: read once, checked, and handed on as frozen, typed values.

This module is the only reader of ``params.yaml``. Everything else receives the values it needs;
:mod:`mtrec.settings` says which there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import yaml
from pydantic import ValidationError

from mtrec.paths import ConfigError, Paths, find_root
from mtrec.registry import DOMAINS, SOURCES, TASK_TYPES, Form
from mtrec.settings import (
    Analysis,
    ColdStart,
    Config,
    Domain,
    EmbedSettings,
    Evaluation,
    Features,
    ModelBuilding,
    Search,
    Settings,
    Sparse,
    Study,
    Task,
    Training,
)

OWN = {"model_building": "dropout: 0.1", "training": "l2: 0.001"}  # blocks that a domain may vary


@dataclass(frozen=True)
class Experiment:
    """The settings of one domain, as a notebook needs them."""

    name: str
    paths: Paths
    seed: int
    domain: Domain
    task_embedding: EmbedSettings
    model_building: ModelBuilding
    training: Training
    evaluation: Evaluation
    analysis: Analysis
    study: Study
    cold_start: ColdStart
    sparse: Sparse
    search: Search = Search()

    @property
    def module(self) -> ModuleType:
        """The module that turns the raw files into the four tables."""
        return DOMAINS[self.domain.module or self.name]

    @property
    def raw(self) -> Path:
        """Folder of the domain's raw files."""
        return self.paths.root / self.domain.raw


def read_params(path: Path) -> Config:
    """Read and check a parameter file.

    Raises:
        ConfigError: missing file, broken YAML, or a key that is unknown, missing or out of range.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file. It holds every setting; restore it from git.")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path.name}: not valid YAML: {' '.join(str(error).split())}") from None
    try:
        config = Config.model_validate(raw)
        domains = {
            name: domain.model_copy(
                update={
                    "data": _data_settings(name, domain.module or name, domain.data),
                    "features": source_settings(name, domain.features),
                    **{block: _own_settings(name, block, config, domain) for block in OWN},
                }
            )
            for name, domain in config.domains.items()
        }
    except ValidationError as error:
        raise ConfigError(sentence_of(path.name, error)) from None
    for name, domain in domains.items():
        _check_tasks(f"{path.name}: domains.{name}.tasks", domain.tasks)
    return config.model_copy(update={"domains": domains})


def experiment(domain: str, start: Path | None = None) -> Experiment:
    """Return the settings of ``domain`` from the repository around ``start``.

    Raises:
        ConfigError: unknown domain, or anything :func:`read_params` refuses.
    """
    root = find_root(start)
    config = read_params(root / "params.yaml")
    if domain not in config.domains:
        raise ConfigError(
            f"params.yaml: there is no domain '{domain}' (found: {', '.join(config.domains)}). "
            "Add a block under domains: or name one of these."
        )
    return Experiment(
        name=domain,
        paths=Paths(root, domain),
        seed=config.seed,
        domain=config.domains[domain],
        task_embedding=config.task_embedding,
        model_building=config.domains[domain].model_building,
        training=config.domains[domain].training,
        evaluation=config.evaluation,
        analysis=config.analysis,
        study=config.study,
        cold_start=config.cold_start,
        sparse=config.sparse,
        search=config.search,
    )


def _data_settings(name: str, module: str, raw: object) -> Settings:
    if module not in DOMAINS:
        raise ConfigError(
            f"params.yaml: domains.{name}: no module '{module}' builds this domain (known: "
            f"{', '.join(DOMAINS)}). For your own files set module: own (`mtrec new` writes the "
            f"block), or add src/mtrec/domains/{module}.py to src/mtrec/registry.py."
        )
    try:
        return DOMAINS[module].Settings.model_validate(raw or {})
    except ValidationError as error:
        raise ConfigError(sentence_of(f"params.yaml: domains.{name}.data", error)) from None


def source_settings(name: str, features: Features) -> Features:
    """The features with the settings of sources of vectors checked by the sources."""
    typed = {}
    for source in SOURCES.keys_for("settings"):
        raw = features.of_source(source)
        if raw is None:
            continue
        try:
            typed[source] = SOURCES.settings(source).model_validate(raw)
        except ValidationError as error:
            where = f"params.yaml: domains.{name}.features.{source}"
            raise ConfigError(sentence_of(where, error)) from None
    return features.model_copy(update=typed)


def _own_settings(name: str, block: str, config: Config, domain: Domain) -> Settings:
    """The common settings of a block with what the domain changes."""
    where, shared = f"params.yaml: domains.{name}.{block}", getattr(config, block)
    changes = getattr(domain, block) or {}
    if not isinstance(changes, dict):
        raise ConfigError(f"{where}: expected settings such as {OWN[block]} (found: {changes!r}).")
    try:
        return type(shared).model_validate(merged(shared.model_dump(), changes))
    except ValidationError as error:
        raise ConfigError(sentence_of(where, error)) from None


def merged(shared: dict, changes: dict) -> dict:
    """Nested settings with the changed ones replaced."""
    inner = {
        key: merged(shared[key], value)
        for key, value in changes.items()
        if isinstance(value, dict) and isinstance(shared.get(key), dict)
    }
    return {**shared, **changes, **inner}


def _check_tasks(where: str, tasks: dict[str, Task]) -> None:
    for name, task in tasks.items():
        if task.when is None:
            continue
        if task.when not in tasks or not _is_bit(tasks[task.when]):
            binary = [other for other, t in tasks.items() if _is_bit(t)]
            raise ConfigError(
                f"{where}.{name}.when: '{task.when}' is not a binary task of this domain "
                f"(binary tasks: {', '.join(binary) or 'none'}). Name one of them or drop when:."
            )
        if _is_bit(task) and "focal" in (task.loss, tasks[task.when].loss):
            raise ConfigError(
                f"{where}.{name}.when: the product of two probabilities is trained, which needs "
                f"loss logistic for '{name}' and '{task.when}' (found: focal). Drop loss: there."
            )
        _check_chain(where, tasks, name)


def _is_bit(task: Task) -> bool:
    """Whether a task is answered by yes or no."""
    return TASK_TYPES.forms[task.type] is Form.BIT


def _check_chain(where: str, tasks: dict[str, Task], name: str) -> None:
    seen, at = [name], tasks[name].when
    while at is not None and at in tasks:
        if at in seen:
            raise ConfigError(
                f"{where}.{name}.when: tasks wait for each other in a circle "
                f"({' -> '.join([*seen, at])}). Drop when: of one of them."
            )
        seen.append(at)
        at = tasks[at].when


def sentence_of(where: str, error: ValidationError) -> str:
    """The first thing that pydantic found, as one sentence."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    found = "" if first["type"] == "missing" else f" (found: {first['input']!r})"
    return f"{where}: {key}: {first['msg']}{found}.{more} Mend this key in params.yaml."
