from dataclasses import replace

import numpy as np
import pytest

from mtrec.models.ablation import ablated, ablations
from mtrec.models.assemble import assemble, build_some, dataset
from tests.conftest import DOMAIN, SIZES, TASKS


@pytest.fixture(scope="module")
def with_graph(world, vectors):
    links = [[f"made_by {n % 3}", f"in {n % 2}"] for n in range(len(world.items))]
    tables = replace(world, items=world.items.assign(graph=links))
    item = DOMAIN.features.item.model_copy(update={"graph": ("graph",)})
    features = DOMAIN.features.model_copy(update={"item": item})
    domain = DOMAIN.model_copy(update={"features": features})
    found = assemble(tables, vectors, domain, SIZES)
    models = {
        name: build_some(
            ablated(found, name) if name else found, tuple(TASKS),
            None if name == "without_text" else vectors["tasks"], SIZES, 3,
        )
        for name in (None, *ablations(found))
    }  # fmt: skip
    return found, models, dataset(found, tables, TASKS)


def test_graph_is_an_input_of_the_joint_model_and_not_of_its_ablation(with_graph):
    assembly, models, _ = with_graph
    assert ablations(assembly) == ("without_text", "without_graph")
    paths = {name: [v.path for v in model.variables] for name, model in models.items()}
    assert any("graph_vectors" in path for path in paths[None])
    assert not any("graph" in path for path in paths["without_graph"])
    assert any("text_vectors" in path for path in paths["without_graph"])
    assert any("graph_vectors" in path for path in paths["without_text"])
    blind = paths["without_text"]
    assert not any("text_vectors" in path or "task_text" in path for path in blind)


def test_a_head_that_may_not_see_the_graph_does_not(with_graph):
    assembly, models, data = with_graph
    model, inputs = models[None], {name: v[:8] for name, v in data.inputs.items()}
    for variable in model.trainable_variables:
        variable.assign_add(np.full(variable.shape, 0.05, "float32"))
    before = {name: np.asarray(v) for name, v in model(inputs).items()}
    table = model.get_layer("item_encoder").vectors["graph"].table
    table.assign(np.asarray(table) + 1.0)
    after = model(inputs)
    assert np.array_equal(before["kind"], after["kind"])  # features: [text]
    assert not np.allclose(before["like"], after["like"])


def test_domain_without_a_graph_has_no_such_ablation(assembly):
    assert ablations(assembly) == ("without_text",)


def test_a_twin_can_do_without_the_same(with_graph, vectors):
    assembly, *_ = with_graph
    for name, words in (("without_text", None), ("without_graph", vectors["tasks"])):
        twin = build_some(ablated(assembly, name), ("like",), words, SIZES, 3)
        paths = [variable.path for variable in twin.variables]
        assert any("text_vectors" in path for path in paths) == (words is not None)
        assert any("graph_vectors" in path for path in paths) == (words is None)
