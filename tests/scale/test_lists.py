"""Lists of all users: the same from any number of processes, and those that a request gets."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import mtrec
from mtrec import cli
from mtrec.fusion import product, store
from mtrec.fusion.choice import FUSED, Choice
from mtrec.paths import Paths
from mtrec.scale import score as scoring
from mtrec.scale.lists import Lists
from mtrec.scale.score import score
from tests.scale.conftest import DOMAIN


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(scoring, "LEAST", 4)  # 8 parts


@pytest.fixture(scope="module")
def by_one(root, tmp_path_factory):
    """The file that one process makes."""
    out = tmp_path_factory.mktemp("one") / "lists.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "LEAST", 4)
        assert score(DOMAIN, out, 5, 1, root=root) == 30
    return out


def digest(path):
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("workers", [2, 4])
def test_two_and_four_processes_make_the_file_that_one_makes(workers, root, by_one, tmp_path):
    out = tmp_path / "new folder" / "lists.parquet"
    score(DOMAIN, out, 5, workers, root=root)
    assert digest(out) == digest(by_one)
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert pq.ParquetFile(out).num_row_groups == 8


def same(found, recommender, k):
    """Whether lists are those that the recommender gives each user."""
    for user, own in found.groupby("user_id", sort=False):
        wanted = recommender.recommend(user, k)
        assert own["item_id"].tolist() == wanted["item_id"].tolist()
        assert own["rank"].tolist() == [*range(1, len(wanted) + 1)]
        np.testing.assert_allclose(own["score"], wanted["score"], atol=1e-5)
    said = recommender.score(found[["user_id", "item_id"]])
    for task in said:
        np.testing.assert_allclose(found[task], said[task], atol=1e-5)


def test_lists_are_those_of_a_request(root, by_one):
    found, recommender = pd.read_parquet(by_one), mtrec.load(DOMAIN, root)
    assert found["user_id"].unique().tolist() == [*recommender.assembly.encoder.user.ids]
    assert [*found] == ["user_id", "rank", "item_id", "score", "rating", "like"]
    same(found, recommender, 5)


def test_fused_lists_are_those_of_a_request(root):
    weights = {"joint": 0.4, "single": 0.6}
    kept = store.Kept({"next_item": Choice(FUSED, weights)}, {}, None, {})
    recommender = replace(mtrec.load(DOMAIN, root), kept=kept)
    same(Lists(recommender, 4, 30).table(0, 30).to_pandas(), recommender, 4)


def test_lists_load_no_twin_of_a_task_that_they_do_not_ask(root, monkeypatch):
    choices = dict.fromkeys(("next_item", "rating"), Choice(FUSED, {"joint": 0.4, "single": 0.6}))
    recommender = replace(mtrec.load(DOMAIN, root), kept=store.Kept(choices, {}, None, {}))
    lists, loaded = Lists(recommender, 4, 30), []
    model = recommender.model
    monkeypatch.setattr(product, "load_model", lambda path: loaded.append(path.name) or model)
    assert [*lists._ranking._twins] == ["next_item"] and [*lists._others._twins] == ["rating"]
    assert loaded == ["next_item.keras", "rating.keras"]


def test_without_a_task_that_ranks_pairs_are_asked_about_and_ordered_by_one(root):
    recommender = mtrec.load(DOMAIN, root)
    types = {name: recommender.assembly.types[name] for name in ("rating", "like")}
    some = replace(recommender, model=recommender.model.only(*types),
                   assembly=replace(recommender.assembly, types=types))  # fmt: skip
    vars(some)["head_inputs"] = recommender.head_inputs
    lists = Lists(some, 3, 16, among=12)
    assert lists.by == "rating" and len(lists.items) == 12
    found = lists.table(0, 2).to_pandas()
    items = np.asarray(some.assembly.encoder.item.ids)[lists.items]
    for user, own in found.groupby("user_id"):
        met = recommender.met_by(recommender.assembly.encoder.user.ids.index(user) + 1) - 1
        free = items[~np.isin(lists.items, met)]
        said = some.score(pd.DataFrame({"user_id": user, "item_id": free}))["rating"].to_numpy()
        np.testing.assert_allclose(own["score"], -np.sort(-said)[:3], atol=1e-5)


def test_a_command_killed_at_any_moment_goes_on_where_it_was(root, by_one, tmp_path):
    out, parts = tmp_path / "lists.parquet", tmp_path / "lists.parquet.parts"
    code = (
        "from pathlib import Path; from mtrec.scale import score as s; s.LEAST = 4; "
        f"s.score({DOMAIN!r}, Path({str(out)!r}), 5, 2, root=Path({str(root)!r}))"
    )
    command = subprocess.Popen([sys.executable, "-c", code])
    while not [*parts.glob("*.parquet")]:
        assert command.poll() is None
        time.sleep(0.01)
    command.send_signal(signal.SIGKILL)
    command.wait()
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_join", lambda job: None)
        patch.setattr(scoring.shutil, "rmtree", lambda folder: None)
        score(DOMAIN, out, 5, 1, root=root)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert score(DOMAIN, out, 5, 1, root=root) == 30
    assert digest(out) == digest(by_one) and not parts.exists()


def test_parts_of_other_options_are_not_used(root, by_one, tmp_path):
    job = scoring.plan(DOMAIN, tmp_path / "lists.parquet", 5, 2000, root)
    job.folder.mkdir()
    scoring._prepare(job)
    job.part(0).write_text("a part")
    scoring._prepare(job)
    assert job.part(0).is_file()
    scoring._prepare(replace(job, k=6))
    assert not job.part(0).is_file()
    assert job.identity == {
        key.decode(): value.decode() for key, value in pq.read_schema(by_one).metadata.items()
    }


def said(capsys, *arguments):
    assert cli.main(["score", *map(str, arguments)]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


def test_bad_input_is_one_sentence(root, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(root)
    out = tmp_path / "lists.parquet"
    assert "no domain 'films' (found: " in said(capsys, "films", "--out", out)
    assert "models/ecommerce: no such model" in said(capsys, "ecommerce", "--out", out)
    assert "a folder; name a file in it" in said(capsys, DOMAIN, "--out", tmp_path)
    (tmp_path / "file").touch()
    assert "cannot be written" in said(capsys, DOMAIN, "--out", tmp_path / "file" / "lists")
    assert "--k is 0" in said(capsys, DOMAIN, "--out", out, "--k", 0)
    assert "--workers is -1" in said(capsys, DOMAIN, "--out", out, "--workers", -1)


def test_a_full_disk_is_one_sentence_and_what_is_done_is_kept(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(root)

    def some(opens, pieces, workers, ray):
        yield 0, b"a part"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(scoring.engine, "do", some)
    out = tmp_path / "lists.parquet"
    assert "the disk is full. Make room" in said(capsys, DOMAIN, "--out", out)
    assert [path.name for path in out.with_name("lists.parquet.parts").glob("*.parquet")] == [
        "000000.parquet"
    ]
    assert not out.exists()


def test_the_command_itself_loads_neither_tensorflow_nor_ray():
    code = ("import sys, mtrec.scale.score; "
            "assert not {'tensorflow', 'keras', 'ray'} & {*sys.modules}")  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)


def test_users_are_counted_without_their_ids(root, tmp_path, monkeypatch):
    known = Paths(root, DOMAIN).trained
    users = len(json.loads((known / "encoder.json").read_text())["user"]["ids"])
    monkeypatch.setattr(Path, "read_text", None)  # would fail if called
    assert scoring.users_of(known) == users > 1
    monkeypatch.undo()
    np.savez(tmp_path / "encoder.npz", **{"item/title": np.zeros(3), "user/a/vectors": np.zeros(9)})
    (tmp_path / "encoder.json").write_text('{"user": {"ids": ["a", "b"]}}')
    assert scoring.users_of(tmp_path) == 2  # of users without a table


def test_users_that_have_met_everything_get_an_empty_list(root):
    recommender = mtrec.load(DOMAIN, root)
    users, items = (len(getattr(recommender.assembly.encoder, s).ids) for s in ("user", "item"))
    met = np.stack(np.meshgrid(np.arange(users) + 1, np.arange(items) + 1), axis=-1).reshape(-1, 2)
    met = met[np.lexsort((met[:, 1], met[:, 0]))]
    found = Lists(replace(recommender, met=met), 3, 4).table(0, 4)
    whole = Lists(recommender, 3, 4).table(0, 4)
    assert len(found) == 0 and found.schema == whole.schema


def test_asking_whether_ids_are_known_warns_of_nothing(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Lists(mtrec.load(DOMAIN, root), 2, 4).table(0, 3)
