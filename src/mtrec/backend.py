"""Compiled functions and devices on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import keras

Function = TypeVar("Function", bound=Callable)
Signature = Sequence[tuple[tuple[int | None, ...], str]]


def compile_function(
    function: Function,
    model: keras.Model,
    signature: Signature | None = None,
    fused: bool = False,
) -> Function:
    """Compile a function of tensors that calls a model; one that trains nothing.

    The compiled function reads the model's weights when it is called. TensorFlow compiles for any
    number of rows, JAX for each number anew; another backend runs the function as it is.

    Args:
        function: from tensors, or dicts of them, to tensors.
        model: whose weights the function reads; others are constants.
        signature: shape and type of each argument, where TensorFlow is to compile once for all.
        fused: by XLA on TensorFlow too, for each number of rows anew. A request of one row is
            mostly the cost of starting hundreds of small operations, which this makes one.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _with_tensorflow(function, signature, fused)
    if backend == "jax":
        return _with_jax(function, model)
    return function


def _with_tensorflow(function: Function, signature: Signature | None, fused: bool) -> Function:
    import tensorflow as tf

    jit = fused or None
    if signature is None:
        relaxed = not fused  # shapes that are not known cannot be fused
        return tf.function(function, reduce_retracing=relaxed, autograph=False, jit_compile=jit)
    specs = [tf.TensorSpec(shape, dtype) for shape, dtype in signature]
    return tf.function(function, input_signature=specs, autograph=False, jit_compile=jit)


def _with_jax(function: Function, model: keras.Model) -> Function:
    import jax
    import keras

    @jax.jit
    def run(weights: list[jax.Array], *inputs: Any) -> Any:
        with keras.StatelessScope(zip(model.variables, weights, strict=True)):
            return function(*inputs)

    @wraps(function)
    def compiled(*inputs: Any) -> Any:
        return run([variable.value for variable in model.variables], *inputs)

    return cast("Function", compiled)
