"""Compiled functions and devices on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import keras
    import numpy as np

Function = TypeVar("Function", bound=Callable)
Signature = Sequence[tuple[tuple[int | None, ...], str]]


def compile_function(
    function: Function, model: keras.Model, signature: Signature | None = None
) -> Function:
    """Compile a function of tensors that calls a model; one that trains nothing.

    The compiled function reads the model's weights when it is called. TensorFlow compiles for any
    number of rows, JAX for each number anew; another backend runs the function as it is.

    Args:
        function: from tensors, or dicts of them, to tensors.
        model: whose weights the function reads; others are constants.
        signature: shape and type of each argument, where TensorFlow is to compile once for all.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _with_tensorflow(function, signature)
    if backend == "jax":
        return _with_jax(function, model)
    return function


def compile_row(function: Callable, model: keras.Model) -> Callable[[dict[str, np.ndarray]], Any]:
    """Compile a function of a model's inputs for one row, which comes as arrays.

    A row costs next to nothing but the start of hundreds of small operations: XLA makes them one,
    and the function is called without a look at what its arguments are. Compiling takes seconds.

    Args:
        function: from the model's inputs by name, one row each, to tensors.
        model: whose weights the function reads.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return compile_function(function, model)
    import tensorflow as tf

    specs = {
        name: tf.TensorSpec((1, *value.shape[1:]), value.dtype, name=name)
        for name, value in model.input.items()
    }
    found = tf.function(function, autograph=False, jit_compile=True).get_concrete_function(specs)
    return lambda inputs: found(
        {name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()}
    )


def _with_tensorflow(function: Function, signature: Signature | None) -> Function:
    import tensorflow as tf

    if signature is None:
        return tf.function(function, reduce_retracing=True, autograph=False)
    specs = [tf.TensorSpec(shape, dtype) for shape, dtype in signature]
    return tf.function(function, input_signature=specs, autograph=False)


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
