"""The joint model in several processes is the one that one process trains, and TensorFlow's."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import psutil
import pytest
import yaml

from mtrec import cli
from mtrec.config import experiment
from mtrec.features.assemble import assemble, dataset, save
from mtrec.models import twins
from mtrec.models.predict import predict
from mtrec.models.store import load_model
from mtrec.scale import crew, launch
from mtrec.scale.objective import objective
from mtrec.tables import schema
from mtrec.tasks.ranking import Ranking
from mtrec.training.loop import Trainer
from mtrec.training.objective import training_losses, validation_losses
from tests.conftest import PAIR, ROOT, SIZES, TASKS, of
from tests.scale import parallel_work

needs_jax = pytest.mark.skipif(not find_spec("jax"), reason="no JAX; `make scale` adds it")
SETTINGS = {
    "batch_size": 64, "epochs": 25, "patience": 25, "learning_rate": 0.01, "weight_decay": 0.001,
    "l2": 0.01, "ema_momentum": 0.9, "distillation": 0.0, "balancing": "nashmtl",
}  # fmt: skip
DROPPING = SIZES.model_copy(update={"dropout": 0.3})
DOMAINS = {"dropping": DROPPING, "still": SIZES.model_copy(update={"dropout": 0.0})}
TAUGHT = 0.3
# Weights after an epoch: sums over a batch are taken in another order, and Adam divides by
# gradients' own size.
BETWEEN_PROCESSES, BETWEEN_BACKENDS = 1e-5, 5e-5


def plain(settings):
    return yaml.safe_load(settings.model_dump_json(exclude_none=True))


def repository(root, world, vectors, changes):
    """A repository with a small domain with dropout and one without, up to notebook 03."""
    root.mkdir(exist_ok=True)
    shutil.copy(ROOT / "dvc.yaml", root)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    real, own = params["domains"]["video"], plain(of(PAIR))
    params["training"] |= SETTINGS | changes
    params["domains"] = {
        name: {**own, "module": "video", "data": real["data"], "model_building": plain(sizes),
               "training": {}}
        for name, sizes in DOMAINS.items()
    }  # fmt: skip
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    for name, sizes in DOMAINS.items():
        paths, assembly = experiment(name, root).paths, assemble(world, vectors, of(PAIR), sizes)
        paths.artifacts.mkdir(parents=True)
        schema.write(world, paths.tables)
        save(assembly, paths.model)
        built = twins.build_models(assembly, vectors["tasks"][: len(PAIR)], sizes, 3)
        draw = np.random.default_rng(3)
        for model in built.values():
            for variable in model.trainable_variables:
                variable.assign(draw.normal(scale=0.3, size=variable.shape))
        twins.save_models(built, paths.model)
        twins.save_models(built, paths.trained)
    return root


@pytest.fixture(scope="module")
def root(world, vectors, tmp_path_factory):
    return repository(tmp_path_factory.mktemp("root"), world, vectors, {})


@pytest.fixture(scope="module")
def taught(world, vectors, tmp_path_factory):
    """A repository whose twins teach."""
    changes = {"distillation": TAUGHT}
    return repository(tmp_path_factory.mktemp("taught"), world, vectors, changes)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Compiled quickly, and once: what is compared does not depend on how well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "src")]))
        yield patch


def together(root, out, processes, *domains):
    """What a group of processes trains."""
    command = [sys.executable, parallel_work.__file__, root, out, processes, crew.free_port()]
    crew.side_by_side(
        lambda own: [str(part) for part in (*command, own, *domains)], processes, ROOT
    )
    with np.load(out) as found:
        return dict(found)


def kill(root):
    """Train with two processes, and kill the command after an epoch or more."""
    folder = root / "artifacts" / "dropping" / "parallel"
    command = [sys.executable, "-m", "mtrec.cli", "train", "dropping", "--processes", "2"]
    killed = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    while not (folder / "joint.npz").is_file():
        assert killed.poll() is None
        time.sleep(0.005)
    both = psutil.Process(killed.pid).children(recursive=True)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(both) == 2 and not psutil.wait_procs(both, timeout=20)[1]
    assert not (folder / "joint.keras").exists()


@pytest.fixture(scope="module")
def again(taught, tmp_path_factory):
    """The same repository as ``taught``."""
    return shutil.copytree(taught, tmp_path_factory.mktemp("again") / "root")


@pytest.fixture(scope="module")
def trained(root, taught, again, quick, tmp_path_factory):
    """What 1, 2 and 4 processes train; two of them, all epochs of both others as well."""
    folder = tmp_path_factory.mktemp("trained")
    one = together(root, folder / "1.npz", 1, *DOMAINS)
    four = together(root, folder / "4.npz", 4, "dropping")
    kill(again)
    quick.setenv("WHOLE", os.pathsep.join([str(taught), str(again)]))
    two = together(root, folder / "2.npz", 2, "dropping")
    quick.delenv("WHOLE")
    return {1: one, 2: two, 4: four}


@needs_jax
@pytest.mark.parametrize("balancer", parallel_work.BALANCERS)
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_train_the_weights_that_one_trains(balancer, processes, trained):
    some = [key for key in trained[1] if key.startswith(f"dropping/{balancer}/")]
    assert len(some) > 10
    for key in some:
        np.testing.assert_allclose(
            trained[processes][key], trained[1][key], atol=BETWEEN_PROCESSES, rtol=0, err_msg=key
        )


@needs_jax
@pytest.mark.parametrize("balancer", parallel_work.BALANCERS)
def test_an_epoch_is_that_of_tensorflow(balancer, root, trained, unoptimised):
    *parts, settings = parallel_work.parts_of(experiment("still", root))
    settings = settings.model_copy(update={"balancing": balancer})
    steps = len(parts[4]) // settings.batch_size
    found = parallel_work.epoch(Trainer(*parts, settings, steps))
    for key, wanted in found.items():
        np.testing.assert_allclose(
            trained[1][f"still/{balancer}/{key}"], wanted, atol=BETWEEN_BACKENDS, rtol=0
        )


@needs_jax
def test_a_killed_training_goes_on_and_ends_with_the_same_file(taught, again, trained):
    folders = [root / "artifacts" / "dropping" / "parallel" for root in (taught, again)]
    wanted, found = ((folder / "joint.keras").read_bytes() for folder in folders)
    assert found == wanted
    assert [[path.name for path in folder.iterdir()] for folder in folders] == [["joint.keras"]] * 2
    whole, rest = (str(trained[2][f"printed/{place}"]).splitlines() for place in range(2))
    assert whole[0].startswith("epoch 1: validation loss ") and not rest[0].startswith("epoch 1:")
    assert whole[-2:-1] == rest[-2:-1] and whole[-2].startswith("  kind: ")
    assert rest[-1].startswith("artifacts/dropping/parallel/joint.keras: epoch ")


@needs_jax
def test_tensorflow_reads_the_file_and_says_what_jax_said(taught, trained, eagerly):
    run = experiment("dropping", taught)
    model = load_model(run.paths.artifacts / "parallel" / "joint.keras")
    inputs = {name: values[:20] for name, values in parallel_work.parts_of(run)[4].inputs.items()}
    for task, said in predict(model, inputs).items():
        assert np.ptp(said) > 1e-3
        np.testing.assert_allclose(trained[2][f"said/{task}"], said, atol=1e-5)


def batch_of(data, rows=48):
    """A batch with logits drawn at random."""
    draw = np.random.default_rng(0)
    some = data.take(draw.permutation(len(data))[:rows])
    masks = {name: mask.astype("float32") for name, mask in some.masks.items()}
    return {"inputs": some.inputs, "labels": some.labels, "masks": masks, "taught": some.taught}


def test_losses_are_those_of_tensorflow_s_objective(world, vectors):
    tasks = {
        **TASKS,
        "much": TASKS["like"].model_copy(update={"label": "much", "when": "like"}),
        "sampled": TASKS["next_item"].model_copy(update={"loss": "sampled_softmax"}),
    }
    draw = np.random.default_rng(1)
    examples = world.examples.assign(much=(draw.random(len(world.examples)) < 0.5) * 1.0)
    tables = replace(world, examples=examples)
    wider = {**vectors, "tasks": np.zeros((len(tasks), 6), "float32")}
    assembly = assemble(tables, wider, of(tasks), SIZES)
    data, types = dataset(assembly, tables, tasks), assembly.types
    assert isinstance(types["sampled"], Ranking)
    logits = {
        name: draw.normal(size=(48, kind.outputs)).astype("float32") for name, kind in types.items()
    }
    data.taught["rating"] = draw.normal(size=(len(data), 1)).astype("float16")
    data.taught["like"] = draw.normal(size=(len(data), 1)).astype("float16")
    weights, parents = {name: 0.5 for name in types}, {"much": "like"}
    given, batch = (types, assembly.scales, weights, parents, data, 0.3), batch_of(data)
    means, counts = training_losses(*given)(batch, logits)
    sums, held = validation_losses(types, assembly.scales)(batch, logits)
    ours = objective(*given)
    for i, name in enumerate(types):
        found = ours.mean(name, batch, {task: logits[task] for task in ours.reads(name)})
        np.testing.assert_allclose(np.array(found), [means[i], counts[i]], rtol=1e-6)
        found = ours.held(name, batch, logits)
        np.testing.assert_allclose(np.array(found), [sums[i], held[i]], rtol=1e-6)


def said(capsys, *arguments):
    assert cli.main(["train", *map(str, arguments)]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


def test_bad_input_is_one_sentence(root, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(root)
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    assert "`make scale` adds it" in said(capsys, "still")
    monkeypatch.setattr(launch, "find_spec", lambda name: "there")
    assert "no domain 'films'" in said(capsys, "films")
    assert "--processes is 0" in said(capsys, "still", "--processes", 0)
    assert "go together" in said(capsys, "still", "--coordinator", "a:1")
    wrong = ("--processes", 2, "--process-id", 2, "--coordinator")
    assert "it has to be 0 to 1" in said(capsys, "still", *wrong, "a:1")
    right = ("--processes", 2, "--process-id", 1, "--coordinator")
    assert "give host:port" in said(capsys, "still", *right, "nowhere")
    monkeypatch.chdir(ROOT)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(root / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "Run `make repro DOMAIN=still` first" in said(capsys, "still")


@needs_jax
def test_a_coordinator_that_does_not_answer_is_one_sentence():
    from mtrec.scale.process import knock

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(OSError, match=f"no coordinator answers at {address}"):
            knock(address, 0.1)


@needs_jax
def test_more_processes_than_rows_are_refused_in_a_sentence():
    from mtrec.scale.trainer import require_rows

    require_rows(4, 4)
    with pytest.raises(ValueError, match="asks for 5 devices, and a batch has 4 rows"):
        require_rows(4, 5)


def test_a_process_that_fails_ends_the_others_and_is_heard(tmp_path):
    code = (
        "import sys, time; sys.exit('mtrec train: no.') if sys.argv[1] == '1' else time.sleep(60)"
    )
    with pytest.raises(ValueError, match="^no.$"):
        crew.side_by_side(lambda own: [sys.executable, "-c", code, str(own)], 2, tmp_path)
    code = "import os, sys, time; os.kill(os.getpid(), 9) if sys.argv[1] == '1' else time.sleep(60)"
    with pytest.raises(OSError, match="process 1 was killed .SIGKILL"):
        crew.side_by_side(lambda own: [sys.executable, "-c", code, str(own)], 2, tmp_path)


def test_the_command_itself_loads_neither_tensorflow_nor_jax():
    code = ("import sys, mtrec.scale.launch; "
            "assert not {'tensorflow', 'keras', 'jax'} & {*sys.modules}")  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)
