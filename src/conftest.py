"""What pytest passes by where `make scale` was not run: modules that import JAX."""

from importlib.util import find_spec

NEED_JAX = ["process", "steps", "trainer"]
collect_ignore = [] if find_spec("jax") else [f"mtrec/scale/{name}.py" for name in NEED_JAX]
