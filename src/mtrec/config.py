"""Settings: ``params.yaml`` read once, checked, and handed on as frozen, typed values.

This module is the only reader of ``params.yaml``. Everything else receives the values it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mtrec.domains import DOMAINS
from mtrec.llm.settings import EmbedSettings
from mtrec.paths import Paths
from mtrec.task_names import choose_head, choose_loss

TaskType = Literal["binary", "multiclass", "ordinal", "regression", "multilabel", "ranking"]
View = Literal["user", "item", "joint"]


class ConfigError(ValueError):
    """A setting in ``params.yaml`` is wrong; the message names the key and the mend."""


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors and values cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(Settings):
    """One prediction task: what to predict, and what its head may see."""

    type: TaskType
    view: View
    label: str = Field(description="column of the examples table that holds the label")
    text: str = Field("", description="the task in words; embedded, it conditions the task's gate")
    when: str | None = Field(None, description="binary task that must be 1 for the label to count")
    features: tuple[str, ...] | None = Field(
        None, description="the only features the head may see (default: all of its view)"
    )
    weight: float = Field(1.0, gt=0, description="static weight after division by the loss's scale")
    head: str | None = Field(None, description="last layer (default: the type's first)")
    loss: str | None = Field(
        None, description="what training minimises (default: the type's first)"
    )
    offset: Literal["running_mean"] | None = Field(
        None, description="what the head adds to: the running means of its label"
    )
    candidates: Literal["items", "users"] = Field(
        "items", description="what competes in a ranking task"
    )
    peers: tuple[str, ...] = Field(
        (), description="systems of mtrec.evaluation.peers judged on the same test rows"
    )

    @field_validator("head", "loss")
    @classmethod
    def _known_name(cls, name: str | None, info: ValidationInfo) -> str | None:
        """Check that the type has this head or loss."""
        try:
            if info.field_name == "head" and "type" in info.data:
                choose_head(info.data["type"], name)
            elif "type" in info.data:
                choose_loss(info.data["type"], name, info.data.get("head"))
        except ValueError as error:
            raise PydanticCustomError("task_name", "{sentence}", {"sentence": str(error)}) from None
        return name

    @field_validator("offset")
    @classmethod
    def _has_means(cls, offset: str | None, info: ValidationInfo) -> str | None:
        """Check that the type predicts means, to which a head can add."""
        kind = info.data.get("type")
        if offset and (kind == "ranking" or info.data.get("loss") == "lognormal"):
            sentence = (
                f"a {kind} task{' with loss lognormal' if kind == 'regression' else ''} cannot "
                "start from running means; leave offset: out"
            )
            raise PydanticCustomError("task_name", "{sentence}", {"sentence": sentence})
        return offset


class Columns(Settings):
    """Feature columns of one side (users or items), by kind."""

    categorical: tuple[str, ...] = ()
    multi: tuple[str, ...] = Field((), description="columns that hold a list of categories")
    numeric: tuple[str, ...] = ()
    graph: tuple[str, ...] = Field(
        (), description="columns that hold a list of links of a knowledge graph"
    )
    context: tuple[str, ...] = Field(
        (), description="numeric columns of examples that describe this side at that moment"
    )


class Factors(Settings):
    """Vectors of users and items from the matrix of training events (article §9.1)."""

    method: Literal["pca", "svd", "nmf"]
    components: int = Field(16, ge=1, description="length of a vector")


class Features(Settings):
    """Which columns feed the model, and on which side."""

    user: Columns = Columns()
    item: Columns = Columns()
    joint: Columns = Columns()
    event: tuple[str, ...] = Field((), description="numeric columns of a past event")
    factors: Factors | None = Field(None, description="vectors from the matrix of training events")
    imputation: Literal["mean", "iterative", "knn"] | None = Field(
        None, description="how missing numbers are filled; the model sees a flag all the same"
    )


class Domain(Settings):
    """One data set: how it is prepared, what the model sees, what it predicts."""

    raw: str = Field(description="folder of the raw files, relative to the repository's root")
    module: str | None = Field(
        None, description="name in mtrec.domains.DOMAINS (default: the domain's own)"
    )
    data: Any
    features: Features
    tasks: dict[str, Task] = Field(min_length=1)


class History(Settings):
    """The encoder of the user's past events."""

    encoder: Literal["lstm", "gru", "attention"] = "lstm"
    length: int = Field(16, ge=1, le=512, description="most recent events kept")
    units: int = Field(32, ge=1)


class Shared(Settings):
    """The layers that tasks share."""

    layer: str = "mmoe"
    experts: int = Field(4, ge=0, description="experts, or in ple and adatt the shared ones")
    private_experts: int = Field(
        1, ge=0, description="experts of each task (cgc, ple, adatt), per level"
    )
    levels: int = Field(2, ge=1, description="layers in a row (cross_stitch, ple, adatt, star)")
    units: int = Field(64, ge=1, description="width of an expert or a network")
    gate_dropout: float = Field(
        0.0, ge=0, lt=1, description="chance that a gate leaves out an expert in training"
    )
    load_balance: float = Field(
        0.0, ge=0, description="weight of the loss that keeps all experts in use"
    )


class ModelBuilding(Settings):
    """Sizes of the model."""

    width: int = Field(32, ge=1, description="width of a user or item state")
    min_count: int = Field(5, ge=1, description="training events below which an id is 'unknown'")
    history: History = History()
    shared: Shared = Shared()
    tower_units: int = Field(32, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    precision: Literal["float32", "mixed_bfloat16"] = "float32"


class Training(Settings):
    """How a model is trained; joint model and single-task twins alike."""

    batch_size: int = Field(1024, ge=1, description="rows per step")
    epochs: int = Field(10, ge=1, description="at most")
    patience: int = Field(2, ge=1, description="epochs without a better validation loss")
    learning_rate: float = Field(0.002, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    optimizer: str = "adamw"
    balancing: str = "static"
    gradients_on: Literal["representation", "weights"] = Field(
        "representation", description="what methods that read task gradients read them on"
    )
    deterministic: bool = True


class Evaluation(Settings):
    """How results are judged."""

    resamples: int = Field(200, ge=20, description="bootstrap resamples of users")


class Short(Settings):
    """Many trainings on part of the data: shorter than the pipeline's own, and alike."""

    share: float = Field(0.15, gt=0, le=1, description="share of the training rows")
    history: int = Field(8, ge=1, le=512, description="most recent events kept")
    batch_size: int = Field(512, ge=1, description="rows per step")
    epochs: int = Field(8, ge=1, description="at most, per training")
    seeds: int = Field(5, ge=2, description="trainings per setting")


class Analysis(Short):
    """How notebook 06 measures what tasks have to do with each other."""

    probes: int = Field(4, ge=1, description="batches per epoch on which gradients are compared")


class Study(Short):
    """The comparison of shared layers, balancers, static weightings and heads (``make study``)."""

    layers: tuple[str, ...] = Field(min_length=1, description="each with each of balancers")
    balancers: tuple[str, ...] = Field(min_length=1)
    layer: str = Field(description="with which more balancers, weightings and heads are compared")
    more_balancers: tuple[str, ...] = ()
    weightings: int = Field(15, ge=1, description="static weightings tried, one training each")


class ColdStart(Short):
    """New items and new users (notebook 08, ``make study``)."""

    validation_share: float = Field(0.1, gt=0, lt=0.5, description="of the items, or of the users")
    test_share: float = Field(0.2, gt=0, lt=0.5, description="of the items, or of the users")
    seeds: int = Field(1, ge=1, description="trainings per setting")


class Sparse(Short):
    """Methods for sparse data as the data are thinned (notebook 09, ``make study``)."""

    levels: tuple[float, ...] = Field(
        (1.0, 0.5, 0.2, 0.1, 0.05), min_length=1, description="shares of training events kept"
    )
    components: int = Field(16, ge=1, description="length of the vectors of a factorisation")


class Config(Settings):
    """All of ``params.yaml``."""

    seed: int = Field(ge=0)
    task_embedding: EmbedSettings
    model_building: ModelBuilding
    training: Training
    evaluation: Evaluation
    analysis: Analysis
    study: Study
    cold_start: ColdStart
    sparse: Sparse
    domains: dict[str, Domain] = Field(min_length=1)


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

    @property
    def module(self) -> ModuleType:
        """The module that turns the raw files into the four tables."""
        return DOMAINS[self.domain.module or self.name]

    @property
    def raw(self) -> Path:
        """Folder of the domain's raw files."""
        return self.paths.root / self.domain.raw


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder at or above ``start`` that holds ``params.yaml``.

    Raises:
        ConfigError: when there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    raise ConfigError(
        f"{start}: neither this folder nor one above it holds params.yaml and dvc.yaml. "
        "Run from inside the mtrec repository."
    )


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
                update={"data": _data_settings(name, domain.module or name, domain.data)}
            )
            for name, domain in config.domains.items()
        }
    except ValidationError as error:
        raise ConfigError(_sentence(path.name, error)) from None
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
        model_building=config.model_building,
        training=config.training,
        evaluation=config.evaluation,
        analysis=config.analysis,
        study=config.study,
        cold_start=config.cold_start,
        sparse=config.sparse,
    )


def _data_settings(name: str, module: str, raw: Any) -> Any:
    if module not in DOMAINS:
        raise ConfigError(
            f"params.yaml: domains.{name}: no module '{module}' builds this domain (known: "
            f"{', '.join(DOMAINS)}). For your own files set module: own (`mtrec new` writes the "
            f"block), or add src/mtrec/domains/{module}.py to the DOMAINS registry."
        )
    try:
        return DOMAINS[module].Settings.model_validate(raw or {})
    except ValidationError as error:
        raise ConfigError(_sentence(f"params.yaml: domains.{name}.data", error)) from None


def _check_tasks(where: str, tasks: dict[str, Task]) -> None:
    for name, task in tasks.items():
        if task.when is None:
            continue
        if task.when not in tasks or tasks[task.when].type != "binary":
            binary = [other for other, t in tasks.items() if t.type == "binary"]
            raise ConfigError(
                f"{where}.{name}.when: '{task.when}' is not a binary task of this domain "
                f"(binary tasks: {', '.join(binary) or 'none'}). Name one of them or drop when:."
            )
        if task.type == "binary" and "focal" in (task.loss, tasks[task.when].loss):
            raise ConfigError(
                f"{where}.{name}.when: the product of two probabilities is trained, which needs "
                f"loss logistic for '{name}' and '{task.when}' (found: focal). Drop loss: there."
            )
        _check_chain(where, tasks, name)


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


def _sentence(where: str, error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    found = "" if first["type"] == "missing" else f" (found: {first['input']!r})"
    return f"{where}: {key}: {first['msg']}{found}.{more} Mend this key in params.yaml."
