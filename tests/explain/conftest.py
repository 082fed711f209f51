"""A model of every task type whose weights are all drawn, and some of its rows."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from mtrec.settings import Reader
from tests.conftest import SIZES

READER = Reader(units=8, heads=2, width=6)


def drawn(assembly, tasks, vectors, sizes=SIZES, scale=0.3):
    """A model whose weights are all drawn, those of heads and tables of readers too."""
    from mtrec.models.twins import build_some

    model = build_some(assembly, tuple(tasks), vectors, sizes, seed=3)
    draw = np.random.default_rng(5)
    variables = [*model.trainable_variables, *(one.table for one in model.readers.values())]
    for variable in variables:
        variable.assign(draw.normal(scale=scale, size=variable.shape))
    return model


class Drawn(NamedTuple):
    """A model with rows and what each task is asked about."""

    trunk: Any
    inputs: dict
    which: dict
    rows: Any

    @property
    def answers(self):
        """Every task of every row: rows and places of tasks."""
        count, tasks = len(self.inputs["user"]), len(self.trunk.tasks)
        return np.repeat(np.arange(count), tasks), np.tile(np.arange(tasks), count)


def ask(model, assembly, events, inputs, seed=0):
    from mtrec.explain.trunk import Trunk

    trunk = Trunk(model, assembly, events)
    rng, count = np.random.default_rng(seed), len(inputs["user"])
    which = {name: rng.integers(0, kind.outputs, count) for name, kind in assembly.types.items()}
    return Drawn(trunk, inputs, which, trunk.embed(inputs, which))


@pytest.fixture(scope="session")
def every(assembly, vectors, data, world):
    """All task types; the item's text is read."""
    from mtrec.features.encoder import usable_events

    sizes = SIZES.model_copy(update={"reader": READER})
    model = drawn(assembly, assembly.types, vectors["tasks"], sizes)
    rows = np.r_[200:212, 505:509]  # the last are items without a user
    inputs = {name: data.inputs[name][rows] for name in model.input}
    return ask(model, assembly, usable_events(world, assembly.encoder), inputs)
