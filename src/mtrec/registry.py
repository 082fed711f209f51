"""Names that ``params.yaml`` may hold, and where what they name is; it is imported when used.

One more task type, shared layer, balancer, peer or data set is one file and one line here. Nothing
here imports TensorFlow, so that settings can be checked without.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple


class Registry(Mapping[str, Any]):
    """Things of one kind by name; reading one imports its module, naming them imports nothing.

    Args:
        what: the kind, in words, for errors.
        places: ``module:attribute`` by name, or ``module`` alone.

    Example:
        >>> Registry("number", {"pi": "math:pi"})["pi"]
        3.141592653589793
    """

    def __init__(self, what: str, places: Mapping[str, str]):
        self.what = what
        self.places = dict(places)

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = self.places[self.require(name)].partition(":")
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, name: object) -> bool:
        return name in self.places  # Mapping would import it

    def require(self, name: str) -> str:
        """Return the name if there is such a thing.

        Raises:
            ValueError: there is none; the message has all names.
        """
        if name not in self.places:
            known = ", ".join(self.places) or "none"
            raise ValueError(f"there is no {self.what} '{name}' (known: {known})")
        return name


class Form(Enum):
    """What a label is: the schema of its column, and which peers can answer its task.

    A task type has one of these forms; several types may share one.
    """

    BIT = "yes or no"  # 0 or 1; predicted by one logit, the greater the likelier
    CLASS = "one class"  # a name out of several
    LEVEL = "ordered levels"  # one number out of several
    NUMBER = "numbers"
    SET = "sets of classes"  # a list of names, perhaps empty
    RANK = "rankings"  # the id of the chosen one among all candidates


class Kind(NamedTuple):
    """Where a task type is, and what is known of it without importing it.

    Attributes:
        place: ``module:class``, a subclass of :class:`mtrec.tasks.base.TaskType`.
        form: what its labels are.
        heads: names of its heads (of :data:`HEADS`), the default first; none for a type that
            ``params.yaml`` does not name.
        losses: names of its losses, the default first.
        compared: changes to a task's settings that the comparison of notebook 07 tries, one by one.
    """

    place: str
    form: Form
    heads: tuple[str, ...]
    losses: tuple[str, ...]
    compared: tuple[Mapping[str, str], ...] = ()


class TaskTypes(Registry):
    """Task types with their forms, heads and losses."""

    def __init__(self, what: str, types: Mapping[str, Kind]):
        super().__init__(what, {name: kind.place for name, kind in types.items()})
        self.forms = {name: kind.form for name, kind in types.items()}
        self.heads = {name: kind.heads for name, kind in types.items()}
        self.losses = {name: kind.losses for name, kind in types.items()}
        self.compared = {name: kind.compared for name, kind in types.items()}

    def add(self, name: str, kind: Kind) -> None:
        """One more task type, by name."""
        self.places[name], self.forms[name], self.heads[name], self.losses[name] = kind[:4]
        self.compared[name] = kind.compared

    def name_of(self, cls: type) -> str:
        """The name of a class, or of the one here that it extends.

        Raises:
            ValueError: it extends none.
        """
        places = {place: name for name, place in self.places.items()}
        for each in cls.__mro__:
            if found := places.get(f"{each.__module__}:{each.__qualname__}"):
                return found
        raise ValueError(
            f"class {cls.__qualname__} is no {self.what}; add a line for it to TASK_TYPES in "
            f"{__name__}."
        )

    def settable(self) -> tuple[str, ...]:
        """Types that ``params.yaml`` may name: those with a head."""
        return tuple(name for name in self.places if self.heads[name])

    def choose_head(self, kind: str, head: str | None) -> str:
        """The head's name, or the default of task type ``kind`` for None.

        Raises:
            ValueError: the type has no such head.

        Example:
            >>> TASK_TYPES.choose_head("regression", None)
            'linear'
        """
        return _choose("head", kind, head, self.heads[kind])

    def choose_loss(self, kind: str, loss: str | None, head: str | None = None) -> str:
        """The loss's name, or the default of task type ``kind`` for None.

        Raises:
            ValueError: the type has no such loss, or the loss does not go with ``head``.
        """
        chosen = _choose("loss", kind, loss, self.losses[kind])
        if chosen == "lognormal" and head == "relu":
            raise ValueError(
                "loss 'lognormal' of a regression task is positive as it is and goes with head "
                "linear, not with 'relu'"
            )
        return chosen


class Origin(NamedTuple):
    """Where a source of vectors is, and how ``features:`` of a domain asks for it.

    Attributes:
        place: ``module:function``, see :mod:`mtrec.features.source`.
        columns: a side names columns for it: ``item: {<name>: [<column>]}``.
        settings: ``features: {<name>: {…}}`` are its settings, checked by the module's
            ``Settings``. A source with neither is always asked.
    """

    place: str
    columns: bool = False
    settings: bool = False


class Sources(Registry):
    """Sources of vectors with the keys that ask for them."""

    def __init__(self, what: str, sources: Mapping[str, Origin]):
        super().__init__(what, {name: one.place for name, one in sources.items()})
        self.origins = dict(sources)

    def add(self, name: str, origin: Origin) -> None:
        """One more source, by name."""
        self.places[name], self.origins[name] = origin.place, origin

    def keys_for(self, kind: str) -> tuple[str, ...]:
        """Sources that have ``columns``, or that have ``settings``."""
        return tuple(name for name, one in self.origins.items() if getattr(one, kind))

    def settings(self, name: str) -> Any:
        """The class of a source's settings."""
        return importlib.import_module(self.places[name].partition(":")[0]).Settings

    def used(self, features: Any) -> tuple[str, ...]:
        """Sources that the features of a domain ask for, in the order of the registry.

        Args:
            features: :class:`mtrec.settings.Features`.
        """

        def asked(name: str, origin: Origin) -> bool:
            if origin.columns:
                return any(getattr(features, side).of_source(name) for side in ("user", "item"))
            return not origin.settings or features.of_source(name) is not None

        return tuple(name for name, origin in self.origins.items() if asked(name, origin))


LARGEST = 10_000  # candidates of a peer that has to hold something for all of them at once


class Peer(NamedTuple):
    """Where a peer is, and what is known of it without importing it.

    Attributes:
        place: ``module:function``, of a :class:`mtrec.peers.base.PeerTask`.
        cold: whether the cold-start study asks it, too; its results are then trained anew.
        title: what the study's sentences call it; its name if empty.
        package: the module that it needs and the distribution that has it, if that is optional.
        member: whether fusion asks it in every task that it can learn; others where ``peers:``
            of a task names them.
    """

    place: str
    cold: bool = False
    title: str = ""
    package: tuple[str, str] | None = None
    member: bool = False


class Peers(Registry):
    """Peers with what is known of them."""

    def __init__(self, what: str, peers: Mapping[str, Peer]):
        super().__init__(what, {name: peer.place for name, peer in peers.items()})
        self.known = dict(peers)

    def add(self, name: str, peer: Peer) -> None:
        """One more peer, by name."""
        self.places[name], self.known[name] = peer.place, peer

    @property
    def cold(self) -> tuple[str, ...]:
        """Those that the cold-start study asks."""
        return tuple(name for name, peer in self.known.items() if peer.cold)

    @property
    def members(self) -> tuple[str, ...]:
        """Those that fusion asks in every task that they can learn."""
        return tuple(name for name, peer in self.known.items() if peer.member)

    def package(self, name: str) -> Any:
        """The module that a peer needs; None if it needs none.

        Raises:
            ImportError: it is not installed.
        """
        package = self.known[name].package
        if package is None:
            return None
        module, distribution = package
        try:
            return importlib.import_module(module)
        except ImportError:
            raise ImportError(
                f"peer {name}: the package {distribution} is not installed. Install it: "
                f"`pip install {distribution}`."
            ) from None


STAGES = ("preprocessing", "task_embedding", "training")  # that studies rest on, in their order


class Study(NamedTuple):
    """Where a study is, what domains it is meant for, and the stage that it comes after."""

    place: str
    domains: tuple[str, ...] = ()
    after: str = "task_embedding"


class Studies(Registry):
    """Studies with the domains that each is meant for, none named for all, and the last stage of
    the pipeline that each rests on.
    """

    def __init__(self, what: str, studies: Mapping[str, Study]):
        super().__init__(what, {name: study.place for name, study in studies.items()})
        self.domains = {name: study.domains for name, study in studies.items()}
        self.after = {name: study.after for name, study in studies.items()}

    def stage(self, names: Iterable[str]) -> str:
        """The last stage that some studies rest on."""
        return max((self.after[name] for name in names), key=STAGES.index)


def _choose(key: str, kind: str, name: str | None, known: tuple[str, ...]) -> str:
    if name is None:
        return known[0]
    if name not in known:
        raise ValueError(f"task type {kind} has no {key} '{name}' (it has: {', '.join(known)})")
    return name


# ``Settings`` (pydantic; ``has_clock`` says whether times are those of the data, ``known_time``,
# if there is such, what alone is known of them),
# ``load_raw(folder)``, with the folder of its raw files, and ``make_tables(raw, settings, seed)``
DOMAINS = Registry(
    "data set",
    {
        "video": "mtrec.domains.video",
        "ecommerce": "mtrec.domains.ecommerce",
        "social_reviews": "mtrec.domains.social_reviews",
        "social_trust": "mtrec.domains.social_trust",
        "education_courses": "mtrec.domains.education_courses",
        "education_mastery": "mtrec.domains.education_mastery",
        "own": "mtrec.domains.own.domain",
    },
)
# subclasses of mtrec.tasks.base.TaskType; lognormal is no name in params.yaml: a regression task
# turns into it by its loss, and a saved model finds it here
TASK_TYPES = TaskTypes(
    "task type",
    {
        "binary": Kind(
            "mtrec.tasks.binary:Binary", Form.BIT, ("dense",), ("logistic", "focal"),
            ({"loss": "focal"},),
        ),
        "multiclass": Kind(
            "mtrec.tasks.multiclass:Multiclass", Form.CLASS, ("dense",), ("softmax",),
        ),
        "ordinal": Kind("mtrec.tasks.ordinal:Ordinal", Form.LEVEL, ("coral",), ("coral",)),
        "regression": Kind(
            "mtrec.tasks.regression:Regression", Form.NUMBER,
            ("linear", "relu"), ("squared", "lognormal"),
            ({"head": "relu"}, {"loss": "lognormal"}, {"type": "ordinal"}),
        ),
        "lognormal": Kind("mtrec.tasks.lognormal:LogNormal", Form.NUMBER, (), ()),
        "multilabel": Kind(
            "mtrec.tasks.multilabel:Multilabel", Form.SET,
            ("dense", "label_embedding"), ("logistic", "focal", "asymmetric"),
            ({"head": "label_embedding"}, {"loss": "focal"}, {"loss": "asymmetric"}),
        ),
        "ranking": Kind(
            "mtrec.tasks.ranking:Ranking", Form.RANK,
            ("catalogue", "linked_catalogue"), ("softmax", "sampled_softmax", "pairwise"),
            ({"loss": "sampled_softmax"}, {"loss": "pairwise"}),
        ),
    },
)  # fmt: skip
# mtrec.metrics.family.Family, by the name that a task type has as ``metrics``
METRICS = Registry(
    "family of metrics",
    {
        "binary": "mtrec.metrics.resampled:BINARY",
        "multiclass": "mtrec.metrics.resampled:MULTICLASS",
        "ordinal": "mtrec.metrics.resampled:ORDINAL",
        "regression": "mtrec.metrics.resampled:REGRESSION",
        "multilabel": "mtrec.metrics.resampled:MULTILABEL",
        "ranking": "mtrec.metrics.resampled:RANKING",
    },
)
# (outputs, width of the labels' text vectors, Keras' own) -> last layer of a task, with a ``bias``
HEADS = Registry(
    "head",
    {
        "dense": "mtrec.models.heads:dense",
        "linear": "mtrec.models.heads:dense",
        "relu": "mtrec.models.heads:dense",  # the type applies it: a logit has no sign to lose
        "coral": "mtrec.models.heads:coral",
        "label_embedding": "mtrec.models.heads:label_embedding",
        "catalogue": "mtrec.models.heads:catalogue",
        "linked_catalogue": "mtrec.models.linked:linked_catalogue",
    },
)
# (groups, sizes, text width) -> mtrec.models.shared.base.SharedLayer
SHARED_LAYERS = Registry(
    "shared layer",
    {
        "shared_bottom": "mtrec.models.shared.shared_bottom:make",
        "cross_stitch": "mtrec.models.shared.cross_stitch:make",
        "mmoe": "mtrec.models.shared.mmoe:make",
        "cgc": "mtrec.models.shared.ple:make_cgc",
        "ple": "mtrec.models.shared.ple:make",
        "adatt": "mtrec.models.shared.adatt:make",
        "star": "mtrec.models.shared.star:make",
        "task_conditioned": "mtrec.models.shared.task_conditioned:make",
    },
)
# subclasses of mtrec.balancing.base.Balancer
BALANCERS = Registry(
    "balancing method",
    {
        "static": "mtrec.balancing.static:Static",
        "uncertainty": "mtrec.balancing.uncertainty:Uncertainty",
        "dwa": "mtrec.balancing.dwa:DynamicWeightAverage",
        "gradnorm": "mtrec.balancing.gradnorm:GradNorm",
        "pcgrad": "mtrec.balancing.pcgrad:PCGrad",
        "gradvac": "mtrec.balancing.gradvac:GradVac",
        "cagrad": "mtrec.balancing.cagrad:CAGrad",
        "mgda": "mtrec.balancing.mgda:MGDA",
        "imtlg": "mtrec.balancing.imtlg:IMTLG",
        "nashmtl": "mtrec.balancing.nashmtl:NashMTL",
        "famo": "mtrec.balancing.famo:FAMO",
        "dbmtl": "mtrec.balancing.dbmtl:DBMTL",
        "aligned": "mtrec.balancing.aligned:AlignedMTL",
    },
)
OPTIMIZERS = Registry(
    "optimizer",
    {
        "adamw": "keras.optimizers:AdamW",
        "adam": "keras.optimizers:Adam",
        "sgd": "keras.optimizers:SGD",
        "adagrad": "keras.optimizers:Adagrad",
        "lion": "keras.optimizers:Lion",
        "lazy_adamw": "mtrec.training.lazy:LazyAdamW",
    },
)
# mtrec.features.source.Asked -> vectors of users and items; fields are in this order
SOURCES = Sources(
    "source of vectors",
    {
        "graph": Origin("mtrec.features.graph:graph", columns=True),
        "text": Origin("mtrec.features.texts:text"),
        "factors": Origin("mtrec.features.factors:factors", settings=True),
        "words": Origin("mtrec.features.words:words", columns=True, settings=True),
    },
)
# mtrec.peers.base.PeerTask -> a fitted mtrec.peers.base.Specialist, or predictions of all examples
# in the form of the type's ``predict``
PEERS = Peers(
    "peer",
    {
        "als": Peer("mtrec.peers.als:als", member=True),
        "boosting": Peer("mtrec.peers.boosting:boosting", member=True),
        "common_neighbours": Peer("mtrec.peers.common_neighbours:common_neighbours", member=True),
        "ease": Peer("mtrec.peers.ease:ease", member=True),
        "last_items": Peer("mtrec.peers.last_items:last_items", member=True),
        "linear": Peer("mtrec.peers.linear:linear", member=True),
        "lightfm": Peer(
            "mtrec.peers.lightfm:lightfm", True, "LightFM", ("lightfm", "lightfm-next")
        ),
        "catboost": Peer(
            "mtrec.peers.catboost:catboost", True, "CatBoost", ("catboost", "catboost")
        ),
        "myfm": Peer("mtrec.peers.myfm:myfm", member=True),
        "popularity": Peer("mtrec.peers.popularity:popularity", member=True),
        "random_effects": Peer("mtrec.peers.random_effects:random_effects"),
        "running_mean": Peer("mtrec.peers.running_mean:running_mean", member=True),
        "sasrec": Peer("mtrec.peers.sasrec:sasrec"),
        "svdpp": Peer("mtrec.peers.svdpp:svdpp"),
        "tfidf": Peer("mtrec.peers.tfidf:tfidf"),
    },
)
# (mtrec.config.Experiment, minutes) -> whether nothing is missing any more; adds to reports/study
# what it lacks; mtrec.studies.runner.main begins it
STUDIES = Studies(
    "study",
    {
        "controls": Study("mtrec.studies.controls:study"),
        "task_analysis": Study("mtrec.studies.task_analysis:study", ("video", "ecommerce")),
        "comparison": Study("mtrec.studies.comparison:study", ("video", "ecommerce")),
        "cold_start": Study("mtrec.studies.cold_start:study"),
        "sparse_data": Study("mtrec.studies.sparse_data:study", ("video", "education_mastery")),
        "text_cost": Study("mtrec.studies.text_cost:study", ("social_reviews",)),
        "new_task": Study("mtrec.studies.new_task:study", ("education_mastery",)),
        "tuning": Study("mtrec.studies.tuning:study", ("social_reviews",), "preprocessing"),
        "distillation": Study(
            "mtrec.studies.distillation:study", ("education_courses",), "training"
        ),
        "search": Study("mtrec.studies.search:study", ("video",)),
        "augmentation": Study("mtrec.studies.augmentation:study", ("video", "social_trust")),
    },
)
