"""The model as a function of how much of each input is there."""

import numpy as np
import pytest
from keras import ops

from mtrec.explain.trunk import logit
from mtrec.models.predict import predict
from tests.explain.conftest import ask, drawn


def whole(found):
    at, task = found.answers
    ones = np.ones((len(at), found.trunk.players.count))
    return found.trunk.values(found.rows, at, task, ones).reshape(-1, len(found.trunk.tasks))


def expected(found):
    logits = predict(found.trunk.model, found.inputs)
    types = found.trunk.assembly.types
    return np.stack(
        [logit(logits[name], found.which[name], types[name]) for name in found.trunk.tasks], axis=1
    )


def test_with_everything_there_it_is_the_model_whatever_the_task(every):
    np.testing.assert_allclose(whole(every), expected(every), atol=2e-5)


def test_candidates_among_users_and_the_links_to_them_are_parts_of_it_too(vectors):
    from mtrec.features.assemble import assemble, dataset
    from mtrec.features.encoder import usable_events
    from tests.conftest import SIZES
    from tests.models.test_user_candidates import SOCIAL, SOCIAL_DOMAIN, TRUST, make_social

    social, vectors = make_social(), {name: vectors[name] for name in ("items", "tasks")}
    linked = TRUST.model_copy(update={"head": "linked_catalogue", "loss": "softmax"})
    tasks = {**SOCIAL, "trust": linked}
    made = assemble(social, vectors, SOCIAL_DOMAIN.model_copy(update={"tasks": tasks}), SIZES)
    model = drawn(made, tasks, vectors["tasks"][:3])
    data = dataset(made, social, tasks)
    inputs = {name: data.inputs[name][-12:] for name in model.input}
    found = ask(model, made, usable_events(social, made.encoder), inputs)
    np.testing.assert_allclose(whole(found), expected(found), atol=1e-4)
    names = [group.name for group in found.trunk.players.groups]
    assert {"links", "popularity", "candidate user_id", "history"} <= {*names}


def test_what_a_task_may_not_see_does_not_move_it(every):
    names = [group.name for group in every.trunk.players.groups]
    place = every.trunk.tasks.index("kind")  # sees the item's text alone
    at, task = np.arange(16), np.full(16, place)
    _, slopes = every.trunk.slopes(
        every.rows, at, task, np.full((16, every.trunk.players.count), 0.5)
    )
    moved = np.abs(every.trunk.players.by_group(slopes)).max(axis=0) > 0
    assert [name for name, moves in zip(names, moved, strict=True) if moves] == ["item text"]


def test_slopes_are_what_small_steps_say(every):
    at, task = every.answers
    rng = np.random.default_rng(1)
    there = rng.uniform(0.2, 0.8, (len(at), every.trunk.players.count))
    _, slopes = every.trunk.slopes(every.rows, at, task, there)
    for player in rng.permutation(every.trunk.players.count)[:6]:
        step = np.zeros_like(there)
        step[:, player] = 2e-3
        more = every.trunk.values(every.rows, at, task, there + step)
        less = every.trunk.values(every.rows, at, task, there - step)
        close = np.isclose((more - less) / 4e-3, slopes[:, player], rtol=0.05, atol=5e-3)
        assert close.mean() > 0.95  # a bend of a rectified unit may lie between


def test_the_baseline_of_a_feature_is_its_mean_over_past_events(every, world, assembly):
    from mtrec.features.encoder import usable_events

    encoder = every.trunk.model.encoders["item"]
    place = [one["name"] for one in encoder.fields].index("year")
    used = usable_events(world, assembly.encoder).item[1:]
    own = np.asarray(encoder.projections[place](encoder.tables[place](used)))
    np.testing.assert_allclose(every.trunk._base["item"][0, place], own.mean(axis=0), atol=1e-5)


def test_a_model_without_a_reader_or_gates_is_explained_too(few_assembly, vectors, few_data):
    from mtrec.features.events import Events
    from mtrec.settings import Shared
    from tests.conftest import SIZES

    sizes = SIZES.model_copy(update={"shared": Shared(layer="shared_bottom", units=8)})
    model = drawn(few_assembly, few_assembly.types, vectors["tasks"][:4], sizes)
    none = Events(*(np.zeros((1, *more), kind) for more, kind in
                    (((), "int32"), ((), "int32"), ((), "int64"), ((1,), "float32"))))  # fmt: skip
    inputs = {name: few_data.inputs[name][:5] for name in model.input}
    found = ask(model, few_assembly, none, inputs)
    np.testing.assert_allclose(whole(found), expected(found), atol=2e-5)
    assert found.trunk.whole(inputs)[1] is None


def test_log_odds_of_a_class_are_those_of_its_probability(assembly):
    kind = assembly.types["mood"]
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    share = np.asarray(ops.softmax(logits))[:, 1]
    found = np.asarray(logit(ops.convert_to_tensor(logits), np.ones(5, "int32"), kind))
    np.testing.assert_allclose(found, np.log(share / (1 - share)), rtol=1e-4)


def test_another_backend_is_refused_with_a_sentence(every, monkeypatch):
    from mtrec.explain import trunk

    monkeypatch.setattr(trunk.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="need TensorFlow"):
        trunk.Trunk(every.trunk.model, every.trunk.assembly, None)
