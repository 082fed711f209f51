"""What there is to compute on: cores to share, and an accelerator."""

from __future__ import annotations

import os


def available() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def granted() -> int:
    """Cores that this process should keep busy: ``MTREC_WORKERS`` or all that it may use.

    ``make repro`` sets the variable where several domains share the machine.
    """
    given = os.environ.get("MTREC_WORKERS", "")
    return int(given) if given.isdigit() else available()


def device() -> str:
    """The accelerator that Keras computes on, or ``CPU``."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        found = jax.devices()[0]
        return "CPU" if found.platform == "cpu" else found.device_kind
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return tensorflow.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")


def at_a_time() -> int:
    """Trainings at a time: one on a GPU or a single core, else one more than there are cores.

    One more, because trainings differ in length and the last one should not leave a core idle."""
    return granted() + 1 if granted() > 1 and device() == "CPU" else 1


def halve_cores() -> None:
    """Let one operation take half the cores at most, as trainings side by side want them all.

    Raises:
        RuntimeError: TensorFlow has computed something already.
    """
    import keras

    if keras.backend.backend() == "tensorflow" and at_a_time() > 1:
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(max(1, granted() // 2))


def keep_to_one_core() -> None:
    """Let one operation take one core: a request's are too small for threads to pay.

    Raises:
        RuntimeError: TensorFlow has computed something already.
    """
    import keras
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
