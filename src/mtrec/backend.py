"""Compiled functions and devices on whichever backend Keras runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    import keras

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


def compile_rows(
    function: Callable, model: keras.Model, rows: int
) -> Callable[[dict[str, np.ndarray]], Any]:
    """Compile a function of a model's inputs for a few rows, which come as arrays.

    A row costs next to nothing but the start of hundreds of small operations: XLA makes them one.
    What is left is the price of handing arrays over, so all inputs are handed over as one.
    Compiling takes seconds.

    Args:
        function: from the model's inputs by name to one tensor, row by row.
        model: whose weights the function reads; its inputs take four bytes a number.
        rows: how many the function is compiled for, so that what becomes of a row does not depend
            on how many come with it. Fewer are filled up.

    Returns:
        A function of at most ``rows`` rows.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return compile_function(function, model)
    import tensorflow as tf

    specs = {
        name: tf.TensorSpec((rows, *value.shape[1:]), value.dtype)
        for name, value in model.input.items()
    }
    widths = [math.prod(spec.shape[1:]) for spec in specs.values()]

    def of_packed(packed: tf.Tensor) -> Any:
        parts = zip(specs.items(), tf.split(packed, widths, axis=1), strict=True)
        return function(
            {n: tf.reshape(tf.bitcast(part, spec.dtype), spec.shape) for (n, spec), part in parts}
        )

    compiled = tf.function(of_packed, autograph=False, jit_compile=True)
    found = compiled.get_concrete_function(tf.TensorSpec((rows, sum(widths)), "int32"))
    types = {name: spec.dtype.as_numpy_dtype for name, spec in specs.items()}

    def run(inputs: dict[str, np.ndarray]) -> Any:
        packed, last, count = np.zeros((rows, sum(widths)), "int32"), 0, 0
        for (name, kind), width in zip(types.items(), widths, strict=True):
            values = np.ascontiguousarray(inputs[name], kind).reshape(-1, width)
            count, first, last = len(values), last, last + width
            packed[:count, first:last] = values.view("int32")
        return found(tf.constant(packed))[:count]

    return run


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
