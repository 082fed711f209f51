"""The tiny world of the package's tests."""

from tests.conftest import few_run, run, vectors, world

__all__ = ["few_run", "run", "vectors", "world"]  # fixtures
