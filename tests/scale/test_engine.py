"""Work on processes that die.

``MTREC_KILLS=20 pytest tests/scale/test_engine.py`` kills twenty.
"""

import hashlib
import multiprocessing
import os
import random
import time
from functools import partial

import pytest

from mtrec.scale import engine
from tests.scale.work import open_deadly, open_nothing, open_work

KILLS = int(os.environ.get("MTREC_KILLS", "2"))


@pytest.mark.parametrize("workers", [2, 4])
def test_a_killed_worker_loses_the_piece_it_had_and_no_other(workers, tmp_path):
    draw, found, kills = random.Random(workers), {}, 0
    pieces = range(40 * max(KILLS // 2, 1))
    for piece, result in engine.do(partial(open_work, tmp_path), pieces, workers):
        assert piece not in found
        found[piece] = result
        alive = multiprocessing.active_children()
        if alive and kills < KILLS and draw.random() < 0.25:
            time.sleep(draw.random() * 0.05)
            draw.choice(alive).kill()
            kills += 1
    assert kills == KILLS
    assert found == {piece: hashlib.sha256(bytes(piece)).digest() for piece in pieces}
    assert len([*tmp_path.iterdir()]) <= len(pieces) + KILLS
    assert not multiprocessing.active_children()


def test_workers_that_die_again_and_again_are_given_up_in_a_sentence(tmp_path):
    with pytest.raises(OSError, match="died 5 times without a piece done .exit status 7."):
        [*engine.do(partial(open_deadly, tmp_path), range(3), 1)]


def test_what_work_raises_is_raised_here(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such model"):
        [*engine.do(partial(open_nothing, tmp_path), range(3), 2)]
    assert not multiprocessing.active_children()


def test_workers_end_when_nobody_wants_more(tmp_path):
    some = engine.do(partial(open_work, tmp_path), range(1000), 2)
    next(some)
    some.close()
    assert not multiprocessing.active_children()
