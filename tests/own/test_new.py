"""``mtrec new``: all of it appears, or nothing does."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrec import cli
from mtrec.config import experiment, read_params
from mtrec.domains.own import block
from mtrec.domains.own.new import new
from mtrec.domains.own.table import FileError
from mtrec.paths import ConfigError

ROOT = Path(__file__).resolve().parents[2]
EVENTS = b"user,item,time,rating\n" + b"".join(
    b"u%d,i%d,2024-01-%02d,%d\n" % (n % 7, n % 5, n % 28 + 1, n % 5 + 1) for n in range(200)
)


@pytest.fixture
def root(tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "events.csv").write_bytes(EVENTS)
    return tmp_path


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make(root, domain="shop", events="events.csv", force=False, **roles):
    return new(domain, {"events": root / events}, roles, force, root)


def test_the_block_is_added_the_rest_kept_byte_for_byte_and_the_files_copied(root):
    before = (root / "params.yaml").read_bytes()
    made = make(root)
    after = (root / "params.yaml").read_bytes()
    assert after.replace(b"\n" + made.proposal.block.encode(), b"") == before
    assert (root / "own" / "shop" / "events.csv").read_bytes() == EVENTS
    run = experiment("shop", root)
    tables = run.module.make_tables(run.module.load_raw(run.raw), run.domain.data, 0)
    assert len(tables.examples) > 0
    assert (root / "tests" / "reference" / "shop.json").read_text() == "{}\n"
    assert "mtrec check shop" in made.report()
    assert "make repro DOMAIN=shop" in made.report()


def test_a_packed_file_keeps_its_bytes_under_a_plain_name(root):
    packed = gzip.compress(EVENTS)
    (root / "=cmd.tsv").write_bytes(packed)
    make(root, events="=cmd.tsv")
    assert [path.name for path in (root / "own" / "shop").iterdir()] == ["events.csv.gz"]
    assert (root / "own" / "shop" / "events.csv.gz").read_bytes() == packed


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "", ".", "Shop", "1shop", "class", "a b", "x" * 41, "a\n", "video", "own"],
)
def test_a_name_that_is_a_path_or_taken_changes_nothing(root, name):
    before = snapshot(root)
    with pytest.raises(ConfigError):
        make(root, name)
    assert snapshot(root) == before


def test_a_second_one_of_a_name_needs_force_and_replaces_the_first_alone(root):
    make(root, "other")
    make(root)
    first = (root / "params.yaml").read_bytes()
    with pytest.raises(ConfigError, match="add --force"):
        make(root)
    make(root, force=True)
    assert (root / "params.yaml").read_bytes() == first
    assert sorted(path.name for path in (root / "own").iterdir()) == ["other", "shop"]
    make(root, "other", force=True)
    assert set(read_params(root / "params.yaml").domains) >= {"other", "shop", "video"}


def test_a_failure_at_the_end_leaves_everything_as_it_was(root, monkeypatch):
    make(root)
    (root / "events.csv").write_bytes(EVENTS.replace(b"2024", b"2023"))
    before = snapshot(root)

    def fail(path):
        raise ConfigError("planted")

    monkeypatch.setattr(block, "read_params", fail)
    with pytest.raises(ConfigError, match="planted"):
        make(root, force=True)
    assert snapshot(root) == before
    with pytest.raises(ConfigError, match="planted"):
        make(root, "fresh")
    assert snapshot(root) == before


def test_a_bad_file_changes_nothing_and_the_command_says_one_sentence(root, capsys, monkeypatch):
    (root / "bad.csv").write_bytes(b"user,item\n1\n")
    monkeypatch.chdir(root)
    before = snapshot(root)
    assert cli.main(["new", "shop", "--events", "bad.csv"]) == 1
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("mtrec new: bad.csv: line 2 has 1 fields")
    assert found.err.count("\n") == 1
    assert snapshot(root) == before
    with pytest.raises(FileError):
        make(root, events="none.csv")


def test_the_command_prints_columns_tasks_and_what_comes_next(root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    assert cli.main(["new", "shop", "--events", "events.csv", "--rating", "rating"]) == 0
    found = capsys.readouterr().out
    assert "named with --rating" in found
    assert "next_item" in found
    assert found.endswith("make repro DOMAIN=shop\n")


NOTES = st.lists(st.sampled_from(["", "# note", "  # inner", "      # deep"]), max_size=3)
VALUE = st.sampled_from([" {}", "\n    b: 1", "\n    b:\n      - x\n\n      - y  # z", " [1, 2]"])
KEYS = st.lists(st.tuples(NOTES, VALUE), max_size=3)


@settings(max_examples=300, deadline=None)
@given(KEYS, KEYS, KEYS, NOTES, st.sampled_from(["\n", "", "\n\n"]))
def test_taking_a_block_out_again_gives_the_same_bytes(above, domains, below, notes, end):
    def lines(keys, name, indent=""):
        for number, (before, value) in enumerate(keys):
            yield from [*before, f"{indent}{name}{number}:{value}"]

    text = "\n".join([*lines(above, "above"), "domains: # d", *lines(domains, "first", "  "),
                      *lines(below, "below"), *notes]) + end  # fmt: skip
    added = "  mine:    # m\n    x:\n      y: 1\n"
    put = block.insert(text, added)
    assert added in put
    assert put.replace(added, "").split() == text.split()
    assert yaml.safe_load(put)["domains"]["mine"] == {"x": {"y": 1}}
    assert block.remove(put, "mine").split() == text.split()
    assert block.insert(block.remove(put, "mine"), added) == put


def test_comments_and_order_of_the_real_settings_survive_a_domain_put_in_and_taken_out():
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    put = block.insert(block.insert(text, "  mine: {}\n"), "  other:\n    a: 1  # b\n")
    assert block.remove(block.remove(put, "mine"), "other") == text
    first = next(iter(yaml.safe_load(text)["domains"]))
    left = block.remove(put, first)
    assert list(yaml.safe_load(left)["domains"])[-2:] == ["mine", "other"]
    assert first not in yaml.safe_load(left)["domains"]


@pytest.mark.parametrize("text", ["seed: 1\n", "domains: {a: {}}\n", "domains: 3\n", "- a\n", ""])
def test_settings_without_a_line_for_each_domain_are_refused_in_one_sentence(text):
    with pytest.raises(ConfigError, match="no line 'domains:' with a domain on each line"):
        block.insert(text, "  mine: {}\n")


def test_a_model_of_the_old_files_is_named_and_reports_stay_out_of_git(root):
    made = make(root)
    assert "still answers" not in made.report()
    assert (root / "reports" / "shop" / ".gitignore").read_text() == "*\n"
    (root / "models" / "shop").mkdir(parents=True)
    made = make(root, force=True)
    assert "models/shop was trained on the old files and still answers" in made.report()
    assert "`make repro DOMAIN=shop` trains it anew" in made.report()


def test_a_task_that_the_rows_cannot_train_is_left_out_and_named(root):
    rows = [f"u{n % 9},i{n % 7},{1_600_000_000 + n * 9_000},{n % 5},{'yes' if n == 3 else 'no'}"
            for n in range(100)]  # fmt: skip
    rows[97:] = [row.replace(",no", ",") for row in rows[97:]]
    empty = [row.rsplit(",", 1)[0] + "," for row in rows[80:]]
    text = "\n".join(["user,item,timestamp,rating,gift", *rows[:80], *empty])
    (root / "few.csv").write_text(text)
    made = make(root, events="few.csv")
    assert set(made.proposal.tasks["task"]) == {"next_item", "rating", "like"}
    assert "left out: task 'gift' has no label in the validation split" in made.report()
    assert not [finding for finding in made.findings if finding.level == "error"]


def test_git_ignores_the_reference_of_an_own_domain_and_of_no_other(tmp_path):
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    domains = [*read_params(ROOT / "params.yaml").domains, "shop"]
    asked = [f"tests/reference/{domain}.json" for domain in domains]
    found = subprocess.run(["git", "check-ignore", *asked], cwd=tmp_path, capture_output=True)
    assert found.stdout.decode().split() == ["tests/reference/shop.json"]
