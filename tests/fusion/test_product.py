"""A whole domain fused, saved, and asked again."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.features import assemble
from mtrec.features.state import save_state
from mtrec.files import save_arrays, write_sums
from mtrec.fusion import domain, product, store
from mtrec.fusion.choice import FUSED, Choice
from mtrec.fusion.listwise import Ranker
from mtrec.fusion.members import Bench, members
from mtrec.fusion.selection import standardised
from mtrec.models.store import save_model
from mtrec.paths import Paths
from mtrec.registry import PEERS
from mtrec.report import fusion as report
from mtrec.serving.manifest import DamagedError
from tests.conftest import DOMAIN

TASKS = ("rating", "next_item")


@pytest.fixture(scope="module")
def root(assembly, world, models, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    folder = Paths(root, "tiny").trained
    folder.mkdir(parents=True)
    for name in ("joint", *TASKS):
        save_model(models[name], folder / f"{name}.keras")
    save_state(assembly, world, DOMAIN.tasks, folder)
    return root


@pytest.fixture(scope="module")
def bench(root, assembly, world):
    data = assemble.dataset(assembly, world, DOMAIN.tasks)
    tasks = {name: DOMAIN.tasks[name] for name in TASKS}
    return Bench(assembly, data, world, tasks, Paths(root, "tiny").trained, 0)


@pytest.fixture(scope="module")
def fused(bench, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        quick = [name for name in PEERS.members if name not in ("boosting", "svdpp", "myfm")]
        kept = {name: replace_member(PEERS.known[name], name in quick) for name in PEERS.known}
        patch.setattr(PEERS, "known", kept)
        return domain.fuse_all(bench, 20)


def replace_member(peer, member):
    return peer._replace(member=member)


def test_every_task_has_two_peers_and_an_answer_with_paired_differences(fused, tmp_path):
    for one in fused.values():
        assert len([name for name in one.validation if name not in domain.NETWORKS]) >= 2
        assert {"joint", "single", "peer", "answer"} <= one.scores.keys()
        assert {"low", "high"} <= one.scores["joint_difference"][
            "rmse" if one.type == "regression" else "ndcg@10"
        ].keys()
    found = domain.report("tiny", 0, fused, tmp_path / "fusion.json")
    assert json.loads((tmp_path / "fusion.json").read_text()) == found
    assert "seconds" not in (tmp_path / "fusion.json").read_text()
    assert len(report.reasons(found)) >= len(TASKS)
    assert list(report.results_table(found)["task"]) == list(TASKS)
    assert report.figure(found, "tiny") is not None
    assert all("Of 2 tasks" in report.verdict(found, name) for name in report.OVER)


def test_a_member_that_fails_steps_aside_with_a_sentence(bench, monkeypatch):
    def broken(task):
        raise RuntimeError("the solver did not converge")

    monkeypatch.setattr("mtrec.peers.linear.linear", broken)
    found, notes = members(bench, "rating", ["linear", "running_mean"])
    assert [one.name for one in found] == ["joint", "single", "running_mean"]
    assert notes == ["rating: linear steps aside: the solver did not converge."]


def serve(bench, fused, root, **choices):
    """Save with given choices, and load."""
    given = {
        task: replace(one, served=choices.get(task, one.served)) for task, one in fused.items()
    }
    store.save(bench, given, Paths(root, "tiny").fusion)
    return product.load("tiny", root)


def test_without_fusion_the_joint_model_answers(root):
    model = product.load("tiny", root)
    assert set(model.systems.values()) == {"joint"}
    assert len(model.recommend("u1", 1)) == 1


def test_a_fused_value_is_the_weighted_sum_of_what_its_members_say(bench, fused, root):
    weights = {"joint": 0.25, "single": 0.25, "linear": 0.3, "running_mean": 0.2}
    model = serve(bench, fused, root, rating=Choice(FUSED, weights, (0.5,)))
    assert model.systems["rating"].startswith("fused: linear 0.30, ")
    pairs = pd.DataFrame({"user_id": ["u1", "u2", "nobody"], "item_id": ["i1", "i2", "i3"]})
    with pytest.warns(UserWarning, match="answered as new"):
        found = model.score(pairs)["rating"].to_numpy()
    rows, kind = model.rows(pairs), bench.assembly.types["rating"]
    joint = super(product.FusedRecommender, model).predict(pairs)["rating"]
    single, question = model._twin("rating", rows), model._question("rating", rows)
    linear, mean = (
        fused["rating"].fitted[n].fitted.answer(question) for n in ("linear", "running_mean")
    )
    expected = 0.5 + 0.25 * joint + 0.25 * single + 0.3 * linear + 0.2 * mean
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert kind.metrics == "regression"


def test_a_specialist_recommends_from_all_that_the_user_met_and_nothing_met(bench, fused, root):
    model = serve(bench, fused, root, next_item=Choice("ease", {"ease": 1.0}))
    assert model.systems["next_item"] == "ease"
    events = bench.tables.events
    met = [*events.loc[events["user_id"] == "u1", "item_id"]]
    found = model.recommend("u1", 50)
    assert set(found["item_id"]).isdisjoint(met) and found["score"].is_monotonic_decreasing
    ids = bench.assembly.encoder.item.ids
    known = np.array([float(name in met) for name in ids])
    expected = known @ fused["next_item"].fitted["ease"].fitted.weights
    scores = dict(zip(ids, expected, strict=True))
    np.testing.assert_allclose(found["score"], [scores[i] for i in found["item_id"]], rtol=1e-4)


def small_ranker(members, seed=0):
    """A network that was not trained, of some number of members."""
    rng, width = np.random.default_rng(seed), 2 * members + 1
    shapes = {"centre": (width,), "scale": (width,), "linear": (width,), "kernel": (width, 4),
              "bias": (4,), "out": (4,)}  # fmt: skip
    arrays = {name: rng.uniform(0.5, 1, shape).astype("float32") for name, shape in shapes.items()}
    return Ranker(np.full(members, 1 / members), **arrays)


def test_a_network_orders_what_the_members_nominate_and_is_saved_with_them(bench, fused, root):
    weights = {"joint": 0.0, "single": 0.0, "popularity": 0.0, "ease": 1.0}
    ranker = small_ranker(4)
    choice = Choice(FUSED, weights, ranker=ranker)
    model = serve(bench, fused, root, next_item=choice)
    assert model.systems["next_item"] == "fused: ease 1.00, ordered by a network"
    asked = pd.DataFrame({"user_id": ["u1"], "item_id": [None]}, dtype="object")
    rows = model.rows(model._ids(asked).assign(user_id=["u1"], item_id=[None]))
    question, out = model._question("next_item", rows), model._out("next_item", rows)
    said = [
        super(product.FusedRecommender, model).predict(asked)["next_item"],
        model._twin("next_item", rows),
        *(model.kept.specialists["next_item", n].answer(question) for n in ("popularity", "ease")),
    ]
    expected = ranker([standardised(np.asarray(one), out) for one in said], out)[0]
    found = model.recommend("u1", 4)
    ids = bench.assembly.encoder.item.ids
    scores = dict(zip(ids, expected, strict=True))
    np.testing.assert_allclose(found["score"], [scores[i] for i in found["item_id"]], rtol=1e-3)
    best = np.argsort(-np.where(out[0], -np.inf, expected), kind="stable")[:4]
    assert list(found["item_id"]) == [ids[at] for at in best]


def test_a_fused_ranking_answers_somebody_new(bench, fused, root):
    weights = {"joint": 0.4, "single": 0.2, "popularity": 0.4}
    model = serve(bench, fused, root, next_item=Choice(FUSED, weights))
    with pytest.warns(UserWarning, match="answered as new"):
        found = model.recommend("nobody", 4)
    assert len(found) == 4 and np.isfinite(found["score"]).all()


def test_a_fusion_for_an_earlier_model_is_not_asked_with_a_later_one(bench, fused, root):
    trained = Paths(root, "tiny").trained
    write_sums(trained)
    try:
        assert serve(bench, fused, root, next_item=Choice("ease", {"ease": 1.0})).systems == {
            **dict.fromkeys(bench.assembly.types, "joint"), "next_item": "ease",
            "rating": product.in_words(fused["rating"].served),
        }  # fmt: skip
        lines = (trained / "SHA256SUMS").read_text().splitlines(keepends=True)
        (trained / "SHA256SUMS").write_text("".join(lines[::-1]))
        kept, trouble = store.current(Paths(root, "tiny"))
        assert kept is None
        assert "made for an earlier model" in trouble and "make repro DOMAIN=tiny" in trouble
        with pytest.warns(UserWarning, match="made for an earlier model"):
            assert set(product.load("tiny", root).systems.values()) == {"joint"}
        (trained / "SHA256SUMS").write_text("".join(lines))
        assert store.current(Paths(root, "tiny"))[1] == ""
    finally:
        (trained / "SHA256SUMS").unlink()


def test_a_class_that_is_no_specialist_of_ours_is_not_restored(bench, fused, root):
    serve(bench, fused, root, next_item=Choice("ease", {"ease": 1.0}))
    file = Paths(root, "tiny").fusion / store.CHOICES
    file.write_text(file.read_text().replace("mtrec.peers.ease:Ease", "os:system"))
    with pytest.raises(DamagedError, match="fusion.json: is not .* Run the stage fusion again"):
        product.load("tiny", root)
    write_sums(file.parent)
    with pytest.raises(ValueError, match="'os:system' is no specialist of mtrec.peers"):
        product.load("tiny", root)


@pytest.mark.parametrize("name", [store.CHOICES, "SHA256SUMS"])
def test_a_fusion_without_its_list_of_files_is_nobodys(bench, fused, root, name):
    serve(bench, fused, root, next_item=Choice("ease", {"ease": 1.0}))
    (Paths(root, "tiny").fusion / name).unlink()
    with pytest.raises(ValueError, match=f"{name}: missing. Run the stage fusion again"):
        product.load("tiny", root)


@pytest.mark.parametrize("place", ["mtrec.peers.ease:Gone", "mtrec.peers.renamed:Ease"])
def test_a_specialist_that_is_gone_is_refused_in_one_sentence(bench, fused, root, place):
    serve(bench, fused, root, next_item=Choice("ease", {"ease": 1.0}))
    file = Paths(root, "tiny").fusion / store.CHOICES
    file.write_text(file.read_text().replace("mtrec.peers.ease:Ease", place))
    write_sums(file.parent)
    with pytest.raises(ValueError, match="of an earlier version .*Run the stage fusion again"):
        product.load("tiny", root)


def test_specialists_of_an_earlier_version_are_refused_in_one_sentence(bench, fused, root):
    serve(bench, fused, root, next_item=Choice("ease", {"ease": 1.0}))
    file = Paths(root, "tiny").fusion / "next_item-ease.npz"
    with np.load(file) as state:
        kept = {name: state[name] for name in state.files if name != "half_life"}
    save_arrays(file, kept)
    write_sums(file.parent)
    with pytest.raises(ValueError, match="of an earlier version .*half_life.*DOMAIN=tiny"):
        product.load("tiny", root)
