"""The tiny world of the package's tests."""

from tests.conftest import eagerly, few_run, pair_run, run, vectors, world

__all__ = ["eagerly", "few_run", "pair_run", "run", "vectors", "world"]  # fixtures
