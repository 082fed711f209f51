"""The committed page and the sentences that it is made of."""

import fnmatch
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import protocols
from benchmarks.harness import results
from benchmarks.report import words
from benchmarks.report.figures import figures
from benchmarks.report.page import _machines, _ours, page
from benchmarks.report.targets import judge
from tests.conftest import ROOT

FOLDER = ROOT / "reports" / "benchmarks"


@pytest.fixture(scope="module")
def rows():
    return results.read(ROOT / "benchmarks" / "results.json")


@pytest.fixture(scope="module")
def known(rows):
    """Protocols that can be run, and those that were."""
    return {name.split("/")[1] for name in protocols()} | set(rows["protocol"])


def test_the_committed_page_is_that_of_the_committed_results_and_sentences(rows):
    committed = (FOLDER / "README.md").read_text(encoding="utf-8")
    judged = judge(rows)
    made = figures(rows, judged)
    assert page(rows, judged, list(made)) == committed
    assert {file.stem for file in (FOLDER / "figures").glob("*.png")} == set(made)


def test_each_machine_is_named_with_what_it_measured(rows):
    some = rows.head(4).assign(protocol=["a", "b", "a", "c"], machine=["slow", "slow", "slow", ""])
    assert _machines(some) == ["slow: `a`, `b`"]


def test_every_protocol_has_a_question(known):
    assert not [name for name in known if not words.question(name)]


@pytest.mark.parametrize("name", ["questions", "given", "leads", "misses"])
def test_no_sentence_is_about_a_protocol_that_is_gone(name, known):
    patterns = [heading.split(" ")[0] for heading in words.known(name)]
    assert not [pattern for pattern in patterns if not fnmatch.filter(known, pattern)]


def test_lines_of_a_paragraph_are_put_together_under_their_heading(tmp_path):
    file = tmp_path / "some.md"
    file.write_text(
        "# Title\n\nFor the editor.\n\n## `a_*`\n\nOne\ntwo.\n\nThree.\n\n## b\nFour.\n"
    )
    assert words.sections(file) == {"a_*": "One two.\n\nThree.", "b": "Four."}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("## a\n\nOne.\n\n## a\n\nTwo.\n", "stands twice"),
        ("## a\n\n## b\n\nTwo.\n", "over nothing"),
    ],
)
def test_a_heading_that_stands_twice_or_over_nothing_is_refused(text, problem, tmp_path):
    (tmp_path / "some.md").write_text(text)
    with pytest.raises(ValueError, match=f"some.md: heading 'a' .*{problem}"):
        words.sections(tmp_path / "some.md")


def test_the_question_of_joint_training_names_its_domain():
    assert "`social_trust`" in words.question("joint_social_trust")


def test_a_miss_by_less_than_is_shown_has_more_digits():
    line = SimpleNamespace(value=0.87603, bound=0.876, low=0.8, high=0.9, system="mtrec fused")
    assert _ours(line) == "0.87603 (mtrec fused)"
    line.value = 0.8712
    assert _ours(line) == "0.8712 (mtrec fused)"
