"""Compiled functions and devices on whichever backend Keras runs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    import keras

Function = TypeVar("Function", bound=Callable)
FROZEN_BYTES = 2_000_000_000
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

    A row costs next to nothing but the start of hundreds of small operations. LiteRT calls their
    kernels by itself, which takes a tenth of what TensorFlow takes to begin. Compiling takes
    seconds. What is returned may be called by one thread at a time.

    Args:
        function: from the model's inputs by name, one row each, to one tensor.
        model: whose weights the function reads, as they are now: a copy of them is kept. More than
            :data:`FROZEN_BYTES`, which no file of LiteRT can hold, are read in place, by XLA.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return compile_function(function, model)
    import tensorflow as tf

    specs = {
        name: tf.TensorSpec((1, *value.shape[1:]), value.dtype, name=name)
        for name, value in model.input.items()
    }
    large = sum(math.prod(one.shape) * 4 for one in model.weights) > FROZEN_BYTES
    traced = tf.function(function, autograph=False, jit_compile=large).get_concrete_function(specs)
    if large:
        return lambda inputs: traced(
            {name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()}
        )
    return _with_litert(traced, model)


def _with_litert(traced: Any, model: keras.Model) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], model)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS,
    ]  # fmt: skip
    with warnings.catch_warnings():
        # The interpreter moves to a package of its own, ai-edge-litert, with a later TensorFlow.
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
        row = tf.lite.Interpreter(model_content=converter.convert(), num_threads=1)
    row.allocate_tensors()
    places = {one["name"]: (one["index"], one["dtype"]) for one in row.get_input_details()}
    result = row.get_output_details()[0]["index"]

    def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
        for name, (place, kind) in places.items():
            row.set_tensor(place, np.asarray(inputs[name], kind))
        row.invoke()
        return row.get_tensor(result)

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
