"""Where things lie: the repository's root, and the files of a domain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir


class ConfigError(ValueError):
    """A setting in ``params.yaml`` is wrong; the message names the key and the mend."""


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


@dataclass(frozen=True)
class Paths:
    """Where one domain's files live, relative to the repository's root."""

    root: Path
    domain: str

    @property
    def raw(self) -> Path:
        """Raw files, under DVC's ``data.dvc``."""
        return self.root / "data"

    @property
    def artifacts(self) -> Path:
        """Results of stages that later stages read."""
        return self.root / "artifacts" / self.domain

    @property
    def tables(self) -> Path:
        """The four tables."""
        return self.artifacts / "tables"

    @property
    def embeddings(self) -> Path:
        """Text vectors of users, items and tasks."""
        return self.artifacts / "embeddings"

    @property
    def model(self) -> Path:
        """The untrained model and its encoders."""
        return self.artifacts / "model"

    @property
    def trained(self) -> Path:
        """Trained models and what they need to answer requests."""
        return self.root / "models" / self.domain

    @property
    def curves(self) -> Path:
        """Learning curves of all models, a DVC plot."""
        return self.artifacts / "curves.csv"

    @property
    def checkpoints(self) -> Path:
        """State of interrupted trainings; not an output, so that DVC leaves it alone."""
        return self.root / "build" / "checkpoints" / self.domain

    @property
    def cache(self) -> Path:
        """Text vectors by content, kept between runs and shared by clones."""
        return Path(user_cache_dir("mtrec")) / "embeddings"

    @property
    def evaluation(self) -> Path:
        """Metrics of the evaluation, without wall times."""
        return self.artifacts / "evaluation"

    @property
    def fusion(self) -> Path:
        """Who answers each task, with fitted specialists."""
        return self.artifacts / "fusion"

    @property
    def fusion_report(self) -> Path:
        """What fusion measured on the test rows."""
        return self.root / "reports" / self.domain / "fusion.json"

    @property
    def analysis(self) -> Path:
        """What notebook 06 measured about the tasks."""
        return self.artifacts / "analysis"

    @property
    def cost(self) -> Path:
        """Time per step of layers and balancers, committed."""
        return self.study.with_name(f"{self.domain}_cost.csv")

    @property
    def study(self) -> Path:
        """Results of ``make study``, committed."""
        return self.root / "reports" / "study" / f"{self.domain}.csv"

    @property
    def figures(self) -> Path:
        """Figures that the report shows."""
        return self.root / "reports" / self.domain / "figures"

    @property
    def reference(self) -> Path:
        """The committed figures that a rerun is compared with."""
        return self.root / "tests" / "reference" / f"{self.domain}.json"
