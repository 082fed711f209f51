"""The tiny world of the package's tests, and the raw data."""

from tests.conftest import eagerly, few_run, pair_run, raw_data, run, vectors, world

__all__ = ["eagerly", "few_run", "pair_run", "raw_data", "run", "vectors", "world"]  # fixtures
