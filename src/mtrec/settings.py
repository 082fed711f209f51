"""What ``params.yaml`` may hold: frozen, typed values, block by block.

:mod:`mtrec.config` reads the file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mtrec.registry import (
    BALANCERS,
    OPTIMIZERS,
    PEERS,
    SHARED_LAYERS,
    SOURCES,
    TASK_TYPES,
    Form,
    Registry,
)


def _one_of(registry: Registry) -> AfterValidator:
    """A check that a name is known."""

    def check(name: str) -> str:
        try:
            return registry.require(name)
        except ValueError as error:
            raise PydanticCustomError("name", "{sentence}", {"sentence": str(error)}) from None

    return AfterValidator(check)


def _settable(name: str) -> str:
    """Check that a task may have this type."""
    if name in TASK_TYPES.settable():
        return name
    known = ", ".join(TASK_TYPES.settable())
    sentence = f"there is no task type '{name}' (known: {known})"
    raise PydanticCustomError("name", "{sentence}", {"sentence": sentence})


def _source_with(kind: str) -> AfterValidator:
    """A check that a key names a source of vectors that has ``columns`` or ``settings``."""

    def check(name: str) -> str:
        known = SOURCES.keys_for(kind)
        if name in known:
            return name
        sentence = (
            f"'{name}' is neither a setting of this block nor a source of vectors with {kind} here "
            f"(known: {', '.join(known)})"
        )
        raise PydanticCustomError("name", "{sentence}", {"sentence": sentence})

    return AfterValidator(check)


Layer = Annotated[str, _one_of(SHARED_LAYERS)]
Balancing = Annotated[str, _one_of(BALANCERS)]
Optimizer = Annotated[str, _one_of(OPTIMIZERS)]
Peer = Annotated[str, _one_of(PEERS)]
TaskType = Annotated[str, AfterValidator(_settable)]
View = Literal["user", "item", "joint"]


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
        "items", validate_default=True, description="what competes in a ranking task"
    )
    peers: tuple[Peer, ...] = Field(
        (), description="systems of mtrec.peers judged on the same test rows"
    )

    @field_validator("head", "loss")
    @classmethod
    def _known_name(cls, name: str | None, info: ValidationInfo) -> str | None:
        """Check that the type has this head or loss."""
        try:
            if info.field_name == "head" and "type" in info.data:
                TASK_TYPES.choose_head(info.data["type"], name)
            elif "type" in info.data:
                TASK_TYPES.choose_loss(info.data["type"], name, info.data.get("head"))
        except ValueError as error:
            raise PydanticCustomError("task_name", "{sentence}", {"sentence": str(error)}) from None
        return name

    @field_validator("candidates")
    @classmethod
    def _ranks(cls, candidates: str, info: ValidationInfo) -> str:
        """Check that something is ranked."""
        if (
            candidates != "items"
            and TASK_TYPES.forms.get(info.data.get("type", "")) is not Form.RANK
        ):
            sentence = f"a {info.data.get('type')} task ranks nothing; leave candidates: out"
            raise PydanticCustomError("task_name", "{sentence}", {"sentence": sentence})
        if info.data.get("head") == "linked_catalogue":
            features = info.data.get("features")
            sentence = ""
            if candidates != "users":
                sentence = "head linked_catalogue reads links among users; set candidates: users"
            elif info.data.get("view") != "user" or "user_id" not in (features or ["user_id"]):
                sentence = (
                    "head linked_catalogue reads who the user is; set view: user, and add user_id "
                    "to features: if there are any"
                )
            if sentence:
                raise PydanticCustomError("task_name", "{sentence}", {"sentence": sentence})
        return candidates

    @field_validator("offset")
    @classmethod
    def _has_means(cls, offset: str | None, info: ValidationInfo) -> str | None:
        """Check that the type predicts means, to which a head can add."""
        kind = info.data.get("type")
        if offset and (
            TASK_TYPES.forms.get(kind or "") is Form.RANK or info.data.get("loss") == "lognormal"
        ):
            sentence = (
                f"a {kind} task{' with loss lognormal' if kind == 'regression' else ''} cannot "
                "start from running means; leave offset: out"
            )
            raise PydanticCustomError("task_name", "{sentence}", {"sentence": sentence})
        return offset


class Columns(Settings):
    """Feature columns of one side (users or items), by kind.

    Any other key is a source of vectors of :data:`mtrec.registry.SOURCES`, with its columns.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[
        Annotated[str, _source_with("columns")], tuple[str, ...]
    ] = Field(init=False)  # fmt: skip

    categorical: tuple[str, ...] = ()
    multi: tuple[str, ...] = Field((), description="columns that hold a list of categories")
    numeric: tuple[str, ...] = ()
    context: tuple[str, ...] = Field(
        (), description="numeric columns of examples that describe this side at that moment"
    )
    hashed: dict[str, Annotated[int, Field(ge=2)]] = Field(
        {},
        description="categorical columns whose values share so many rows of their table",
        exclude_if=lambda columns: not columns,  # dumps without it are those of before it came
    )

    @field_validator("hashed")
    @classmethod
    def _categorical(cls, hashed: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        """Check that the columns are categorical ones of this side."""
        known = info.data.get("categorical", ())
        if strange := [column for column in hashed if column not in known]:
            sentence = (
                f"'{strange[0]}' is not a categorical column of this side (categorical: "
                f"{', '.join(known) or 'none'})"
            )
            raise PydanticCustomError("name", "{sentence}", {"sentence": sentence})
        return hashed

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        """Leave out sources that name no column, as if they were not there."""
        if not isinstance(values, dict):
            return values
        return {k: v for k, v in values.items() if k in cls.model_fields or v not in ([], ())}

    def of_source(self, name: str) -> tuple[str, ...]:
        """Columns that a source of vectors reads."""
        return (self.__pydantic_extra__ or {}).get(name, ())


class Features(Settings):
    """Which columns feed the model, and on which side.

    Any other key is a source of vectors of :data:`mtrec.registry.SOURCES`, with its settings.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[Annotated[str, _source_with("settings")], Any] = Field(init=False)

    user: Columns = Columns()
    item: Columns = Columns()
    joint: Columns = Columns()
    event: tuple[str, ...] = Field((), description="numeric columns of a past event")
    imputation: Literal["mean", "iterative", "knn"] | None = Field(
        None, description="how missing numbers are filled; the model sees a flag all the same"
    )

    def of_source(self, name: str) -> Any:
        """Settings of a source of vectors; None where there are none."""
        return (self.__pydantic_extra__ or {}).get(name)


class Domain(Settings):
    """One data set: how it is prepared, what the model sees, what it predicts."""

    raw: str = Field(description="folder of the raw files, relative to the repository's root")
    module: str | None = Field(
        None, description="name in mtrec.domains.DOMAINS (default: the domain's own)"
    )
    data: Any
    features: Features
    model_building: Any = Field({}, description="what differs here from the common settings")
    training: Any = Field({}, description="what differs here from the common settings")
    tasks: dict[str, Task] = Field(min_length=1)


class EmbedSettings(Settings):
    """``task_embedding``: the language model, and what is kept of its states."""

    preset: str = Field(
        "smollm2-135m",
        description="that GGUF file, all-minilm-l6-v2 (fetched), or any KerasHub preset",
    )
    layer: int = Field(
        16, ge=1, description="hidden layer whose states are pooled, 1 = first block"
    )
    pooling: Literal["mean", "last"] = Field("mean", description="over the tokens of a text")
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="of the language model's weights and states"
    )
    batch_tokens: int = Field(4096, ge=64, description="tokens per forward pass, padding included")
    max_tokens: int = Field(64, ge=4, le=2048, description="longer texts are cut")
    components: int = Field(64, ge=2, description="principal components kept, whitened")


class History(Settings):
    """The encoder of the user's past events."""

    encoder: Literal["lstm", "gru", "attention"] = "lstm"
    length: int = Field(16, ge=1, le=512, description="most recent events kept")
    units: int = Field(32, ge=1)


class Shared(Settings):
    """The layers that tasks share."""

    layer: Layer = "mmoe"
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


class Reader(Settings):
    """How tasks read texts token by token; without it they get a vector of each."""

    sides: tuple[Literal["users", "items"], ...] = Field(
        ("items",), min_length=1, description="whose texts are read"
    )
    max_tokens: int = Field(128, ge=4, le=2048, description="longer texts are cut")
    units: int = Field(192, ge=1, description="width of a token's hidden state")
    heads: int = Field(4, ge=1, description="of attention, for each task")
    width: int = Field(96, ge=2, description="of what a task takes from a text")
    dropout: float = Field(0.3, ge=0, lt=1, description="of a task's features")
    token_dropout: float = Field(0.1, ge=0, lt=1, description="of hidden states")

    @model_validator(mode="after")
    def _heads_divide(self) -> Reader:
        """Check that each head gets an equal part of the hidden state."""
        if self.units % self.heads:
            sentence = f"units: {self.units} is no multiple of heads: {self.heads}"
            raise PydanticCustomError("reader", "{sentence}", {"sentence": sentence})
        return self

    @property
    def inputs(self) -> dict[str, str]:
        """Tables that are read, and the model's inputs that name their rows."""
        return {side: side.removesuffix("s") for side in self.sides}


class ModelBuilding(Settings):
    """Sizes of the model."""

    width: int = Field(32, ge=1, description="width of a user or item state")
    min_count: int = Field(5, ge=1, description="training events below which an id is 'unknown'")
    history: History = History()
    shared: Shared = Shared()
    tower_units: int = Field(32, ge=1)
    reader: Reader | None = Field(None, description="of texts, token by token")
    dropout: float = Field(0.1, ge=0, lt=1)
    precision: Literal["float32", "mixed_bfloat16"] = "float32"


class Augmentation(Settings):
    """What training changes at random in its batches; all of it is off unless it is set."""

    drop_ids: float = Field(0.0, ge=0, lt=1, description="chance that an id counts as unknown")
    drop_texts: float = Field(0.0, ge=0, lt=1, description="chance that a text counts as missing")
    drop_histories: float = Field(0.0, ge=0, lt=1, description="chance of an empty history")
    crop: float = Field(0.0, ge=0, lt=1, description="share of a history cut off at its ends")
    mask: float = Field(0.0, ge=0, lt=1, description="chance that a past event is left out")
    reorder: float = Field(0.0, ge=0, le=1, description="share of a history that is shuffled")
    mixup: float = Field(0.0, ge=0, description="a of the share, Beta(a, a), of two mixed rows")
    noise: float = Field(0.0, ge=0, description="deviation of noise on the representation")


class Training(Settings):
    """How a model is trained; joint model and single-task twins alike but for what they teach."""

    batch_size: int = Field(1024, ge=1, description="rows per step")
    epochs: int = Field(10, ge=1, description="at most")
    patience: int = Field(2, ge=1, description="epochs without a better validation loss")
    learning_rate: float = Field(0.002, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    l2: float = Field(0.0, ge=0, description="penalty: half the sum of all squared weights, times")
    ema_momentum: float = Field(
        0.0, ge=0, lt=1, description="of weights averaged over steps; 0: none"
    )
    distillation: float = Field(
        0.0, ge=0, le=1, description="share of the joint loss that is to agree with the twins"
    )
    recalibrate: bool = Field(
        False, description="shift binary tasks until validation rows come true as often as said"
    )
    optimizer: Optimizer = "adamw"
    balancing: Balancing = "static"
    gradients_on: Literal["representation", "weights"] = Field(
        "representation", description="what methods that read task gradients read them on"
    )
    deterministic: bool = True
    augmentation: Augmentation = Field(Augmentation(), description="of training batches")

    @field_validator("optimizer")
    @classmethod
    def _reads_all(cls, name: str, info: ValidationInfo) -> str:
        """Check that what is done to all weights meets no optimiser that leaves some out."""
        for key in ("l2", "ema_momentum"):
            if name != "lazy_adamw" or not info.data.get(key):
                continue
            sentence = f"lazy_adamw skips rows that {key} would change; set {key}: 0 or take adamw"
            raise PydanticCustomError("optimizer", "{sentence}", {"sentence": sentence})
        return name


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

    layers: tuple[Layer, ...] = Field(min_length=1, description="each with each of balancers")
    balancers: tuple[Balancing, ...] = Field(min_length=1)
    layer: Layer = Field(description="with which more balancers, weightings and heads are compared")
    more_balancers: tuple[Balancing, ...] = ()
    weightings: int = Field(15, ge=1, description="static weightings tried, one training each")


class ColdStart(Short):
    """New items and new users (notebook 08, ``make study``)."""

    validation_share: float = Field(0.1, gt=0, lt=0.5, description="of the items, or of the users")
    test_share: float = Field(0.2, gt=0, lt=0.5, description="of the items, or of the users")
    seeds: int = Field(1, ge=1, description="trainings per setting")


class Sparse(Short):
    """Methods for sparse data as the data are thinned (notebook 09, ``make study``)."""

    levels: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0, 0.5, 0.2, 0.1, 0.05), min_length=1, description="shares of training events kept"
    )
    components: int = Field(16, ge=1, description="length of the vectors of a factorisation")


class Choice(Settings):
    """A setting that is one of several values."""

    kind: Literal["choice"]
    values: tuple[str | bool | int | float | None, ...] = Field(min_length=2)


class Range(Settings):
    """A setting that is a number between two others, both included."""

    kind: Literal["int", "float", "log"] = Field(description="log: a float, even in its logarithm")
    low: float
    high: float

    @model_validator(mode="after")
    def _goes_up(self) -> Range:
        """Check that there is something between the ends."""
        sentence = ""
        if self.low >= self.high:
            sentence = f"low: {self.low:g} is not below high: {self.high:g}"
        elif self.kind == "log" and self.low <= 0:
            sentence = f"a log range begins above 0, not at {self.low:g}; take float"
        elif self.kind == "int" and not (self.low.is_integer() and self.high.is_integer()):
            sentence = f"an int range has whole ends, not {self.low:g} and {self.high:g}"
        if sentence:
            raise PydanticCustomError("range", "{sentence}", {"sentence": sentence})
        return self


class Search(Settings):
    """What ``mtrec tune`` tries: dotted paths of settings, and how each may vary."""

    trials: int = Field(24, ge=2, description="of each sampler; the first has the present settings")
    share: float = Field(1.0, gt=0, le=1, description="of the training rows")
    epochs: int | None = Field(None, ge=1, description="at most, per trial (default: the domain's)")
    pruner: Literal["median", "halving", "none"] = Field(
        "median", description="which trials end early, by their validation loss after each epoch"
    )
    seeds: int = Field(3, ge=2, description="trainings before and after, on test rows")
    grid: tuple[str, ...] = Field((), description="what the grid varies; all else stays as it is")
    space: dict[str, Annotated[Choice | Range, Field(discriminator="kind")]] = Field(
        {}, description="by dotted path, such as training.learning_rate"
    )

    @model_validator(mode="after")
    def _grid_in_space(self) -> Search:
        """Check that the grid varies what the space holds."""
        for key in self.grid:
            if key not in self.space:
                sentence = f"grid: '{key}' is not in space: (there: {', '.join(self.space)})"
                raise PydanticCustomError("grid", "{sentence}", {"sentence": sentence})
        return self


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
    search: Search = Search()
    domains: dict[str, Domain] = Field(min_length=1)
