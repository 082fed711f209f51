"""One of the processes of a training that tests compare: ``ROOT OUT COUNT PORT NUMBER DOMAIN...``.

An epoch with each of two balancers, of each domain; what comes out is written by the first. With
``WHOLE`` set to roots of other repositories, whole trainings there as well.
"""

import io
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

BALANCERS = ("nashmtl", "uncertainty")  # one reads gradients, one weighs losses


def parts_of(run):
    """The domain's untrained joint model, and what its trainer is made of."""
    from mtrec.features import assemble
    from mtrec.models.store import load_model
    from mtrec.tables import schema

    assembly, tables = assemble.load(run.paths.model), schema.read(run.paths.tables)
    data = assemble.dataset(assembly, tables, run.domain.tasks)
    split = tables.examples["split"]
    rows = [data.take((split == part).to_numpy()) for part in ("train", "validation")]
    model = load_model(run.paths.model / "joint.keras")
    weights = dict.fromkeys(assembly.types, 1.0)
    return model, assembly.types, assembly.scales, weights, *rows, run.training


def epoch(trainer):
    """Losses by step of the first epoch, and the weights after it."""
    trainer._reset(0)
    per_step, _ = trainer._pass(0, 1)
    weights = {str(i): np.asarray(one) for i, one in enumerate(trainer._trained)}
    return {"losses": np.asarray(per_step), **weights}


def epochs(trainer):
    """An epoch with each balancer from the same start, without compiling twice."""
    from mtrec.balancing import make_balancer
    from mtrec.scale.trainer import _weigher

    start, found = [np.asarray(one) for one in trainer.model.variables], {}
    for name in BALANCERS:
        for variable, value in zip(trainer.model.variables, start, strict=True):
            variable.assign(value)
        trainer.balancing, trainer.balancer = name, make_balancer(name, len(trainer.names))
        trainer._weigh = _weigher(trainer.balancer, trainer.settings.l2)
        found |= {f"{name}/{key}": value for key, value in epoch(trainer).items()}
    return found


def main(root, out, count, port, number, *domains):
    import jax

    from mtrec.config import experiment
    from mtrec.models.predict import predict
    from mtrec.models.store import load_model
    from mtrec.scale import process
    from mtrec.scale.trainer import ParallelTrainer

    process.connect(f"127.0.0.1:{port}", int(count), int(number))
    found = {}
    for domain in domains:
        trainer = ParallelTrainer(*parts_of(experiment(domain, Path(root))))
        found |= {f"{domain}/{key}": value for key, value in epochs(trainer).items()}
    for place, whole in enumerate(filter(None, os.environ.get("WHOLE", "").split(os.pathsep))):
        run, said = experiment(domains[0], Path(whole)), io.StringIO()
        with redirect_stdout(said):
            process.train(run)
        model = load_model(run.paths.artifacts / "parallel" / "joint.keras")
        inputs = {name: values[:20] for name, values in trainer._data["inputs"].items()}
        found |= {f"said/{task}": one for task, one in predict(model, inputs).items()}
        found[f"printed/{place}"] = np.array(said.getvalue())
    if number == "0":
        np.savez(out, **found)
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
