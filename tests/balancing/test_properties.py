"""What each method promises: identities, symmetries, absent tasks, finite weights."""

from operator import attrgetter

import numpy as np
import pytest
import tensorflow as tf

from mtrec.balancing import make_balancer
from mtrec.balancing.cagrad import CAGrad
from mtrec.registry import BALANCERS

RANDOM = ("pcgrad", "gradvac")
GRADIENT_METHODS = [name for name, kind in BALANCERS.items() if kind.needs == "gradients"]


def random_step(seed, tasks, width=12):
    """Gradients, losses before and losses after the step."""
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(tasks, width)) * np.exp(rng.normal(size=(tasks, 1)))
    return gradients, *np.exp(rng.normal(size=(2, tasks)))


def weigh(balancer, gradients, losses=None, present=None):
    tasks = len(gradients)
    losses = np.ones(tasks) if losses is None else losses
    present = np.ones(tasks, bool) if present is None else present
    gram = tf.constant(gradients @ gradients.T, tf.float32)
    found = balancer.weigh(tf.constant(losses, tf.float32), gram, tf.constant(present))
    assert found.dtype == tf.float32 and found.shape == (tasks,)
    return found.numpy().astype(float)


def history(name, order=slice(None), tasks=4, present=None):
    """Weights of four steps in a row, ``(steps, tasks)``, with the tasks in ``order``."""
    found, balancer = [], None
    for seed in range(4):
        gradients, before, after = (values[order] for values in random_step(seed, tasks))
        here = np.ones(len(before), bool) if present is None else present
        balancer = balancer or make_balancer(name, len(before))
        gradients, before = gradients * here[:, None], before * here
        found.append(weigh(balancer, gradients, before, here))
        balancer.observe(tf.constant(after * here, tf.float32), tf.constant(here))
        balancer.end_epoch(tf.constant(np.where(here, before, np.nan), tf.float32))
    return np.array(found)


# Names


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no balancing method 'magic' .known: static, "):
        make_balancer("magic", 2)


def test_methods_that_combine_gradients_leave_heads_alone():
    heads = {name for name, kind in BALANCERS.items() if kind.weighs_heads}
    assert heads == {"static", "uncertainty", "dwa", "gradnorm", "famo"}
    assert [name for name, kind in BALANCERS.items() if kind.observes] == ["famo"]


# Identities


@pytest.mark.parametrize("name", BALANCERS)
def test_a_single_task_keeps_its_direction(name):
    gradients, losses, _ = random_step(0, 1)
    weight = weigh(make_balancer(name, 1), gradients, losses)
    proportional = {"cagrad": 1.4, "nashmtl": 1 / np.linalg.norm(gradients), "dbmtl": 1 / losses[0]}
    np.testing.assert_allclose(weight, proportional.get(name, 1.0), rtol=1e-5)


@pytest.mark.parametrize("name", RANDOM)
def test_orthogonal_gradients_are_summed(name):
    gradients = np.diag([1.0, 3.0, 0.2])
    np.testing.assert_allclose(weigh(make_balancer(name, 3), gradients), 1.0, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_pcgrad_leaves_no_conflict_between_two_tasks(seed):
    gradients, *_ = random_step(seed, 2)
    gradients[1] -= 2 * gradients[0]
    direction = weigh(make_balancer("pcgrad", 2), gradients) @ gradients
    assert (gradients @ direction > 0).all()


def test_gradvac_raises_a_low_cosine_to_its_target():
    balancer = make_balancer("gradvac", 2)
    balancer.targets.assign([[0.0, 0.5], [-1.0, 0.0]])  # only task 0 is below its target
    gradients = np.array([[1.0, 0.0], [0.0, 2.0]])
    altered = weigh(balancer, gradients) @ gradients - gradients[1]
    cosine = altered @ gradients[1] / np.linalg.norm(altered) / np.linalg.norm(gradients[1])
    np.testing.assert_allclose(cosine, 0.5, rtol=1e-4)
    np.testing.assert_allclose(balancer.targets[0, 1], 0.99 * 0.5, rtol=1e-5)


def test_cagrad_without_radius_is_the_mean():
    gradients, *_ = random_step(0, 5)
    np.testing.assert_allclose(weigh(CAGrad(5, c=0.0), gradients), 0.2, rtol=1e-6)


@pytest.mark.parametrize("tasks", [2, 3, 8, 32])
def test_cagrad_beats_any_other_direction_in_its_ball(tasks):
    gradients, *_ = random_step(0, tasks)
    mean = gradients.mean(axis=0)
    radius = 0.4 * np.linalg.norm(mean)
    direction = weigh(make_balancer("cagrad", tasks), gradients) @ gradients
    np.testing.assert_allclose(np.linalg.norm(direction - mean), radius, rtol=1e-3)
    others = np.random.default_rng(1).normal(size=(1000, mean.size))
    others = mean + radius * others / np.linalg.norm(others, axis=1, keepdims=True)
    best = (others @ gradients.T).min(axis=1).max()
    assert (gradients @ direction).min() >= best


@pytest.mark.parametrize("seed", range(5))
def test_mgda_has_its_closed_form_for_two_tasks(seed):
    (g, h), *_ = random_step(seed, 2)
    share = np.clip((h - g) @ h / ((g - h) @ (g - h)), 0, 1)
    found = weigh(make_balancer("mgda", 2), np.stack([g, h]))
    np.testing.assert_allclose(found, [share, 1 - share], atol=1e-4)


@pytest.mark.parametrize("tasks", [2, 5, 12, 32])
def test_mgda_harms_no_task(tasks):
    gradients, *_ = random_step(1, tasks, width=40)
    weights = weigh(make_balancer("mgda", tasks), gradients)
    direction = weights @ gradients
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)
    assert (gradients @ direction >= 0.999 * direction @ direction).all()


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_imtlg_projects_equally_onto_all_tasks(tasks):
    gradients, *_ = random_step(2, tasks)
    direction = weigh(make_balancer("imtlg", tasks), gradients) @ gradients
    projections = gradients @ direction / np.linalg.norm(gradients, axis=1)
    assert projections[0] > 0
    np.testing.assert_allclose(projections, projections[0], rtol=1e-3)


@pytest.mark.parametrize("tasks", [2, 5, 32])
def test_nash_gives_every_task_the_same_product(tasks):
    gradients, *_ = random_step(3, tasks, width=64)
    weights = weigh(make_balancer("nashmtl", tasks), gradients)
    np.testing.assert_allclose(weights * (gradients @ (weights @ gradients)), 1.0, rtol=1e-3)


def test_aligned_treats_the_gradients_as_a_system_of_condition_one():
    """Any two orthogonal systems of one length differ by a rotation; theirs is the nearest."""
    gradients, *_ = random_step(4, 4)
    direction = weigh(make_balancer("aligned", 4), gradients) @ gradients
    least = np.linalg.svd(gradients)[1].min()
    np.testing.assert_allclose(np.linalg.norm(direction), 2 * least, rtol=1e-4)  # sqrt(4) tasks
    system = np.linalg.qr(gradients.T)[0].T * 3  # has condition one already
    np.testing.assert_allclose(weigh(make_balancer("aligned", 4), system), 1.0, atol=1e-4)


def test_dwa_is_static_for_two_epochs_then_favours_the_slow_task():
    balancer, gradients = make_balancer("dwa", 2), np.eye(2)
    for losses in ([4.0, 2.0], [2.0, 1.9]):
        np.testing.assert_array_equal(weigh(balancer, gradients), 1.0)
        balancer.end_epoch(tf.constant(losses))
    weights = weigh(balancer, gradients)
    assert weights[1] > 1 > weights[0]
    np.testing.assert_allclose(weights.sum(), 2, rtol=1e-6)


def test_uncertainty_rests_at_the_logarithm_of_the_loss():
    balancer, losses = make_balancer("uncertainty", 2), np.array([0.5, 2.0])
    step = tf.function(balancer.weigh)
    for _ in range(600):
        step(tf.constant(losses, tf.float32), None, tf.constant([True, True]))
    np.testing.assert_allclose(balancer.log_variance, np.log(losses), atol=1e-3)


def test_famo_moves_towards_the_task_that_improves_slowest():
    balancer, gradients = make_balancer("famo", 3), np.eye(3)
    for _ in range(20):
        weights = weigh(balancer, gradients, np.ones(3))
        balancer.observe(tf.constant([0.5, 0.7, 0.9]), tf.ones(3, tf.bool))
    assert weights[0] < weights[1] < weights[2]
    np.testing.assert_allclose(weights.sum(), 3, rtol=1e-5)


def test_famo_forgets_old_preferences():
    balancer, both = make_balancer("famo", 2), tf.ones(2, tf.bool)
    balancer.logits.assign([1.0, -1.0])
    weigh(balancer, np.eye(2))
    balancer.observe(tf.ones(2), both)
    np.testing.assert_allclose(balancer.logits, [0.975, -0.975], rtol=1e-3)


def test_gradnorm_lengthens_short_gradients_and_keeps_the_sum():
    balancer, gradients = make_balancer("gradnorm", 3), np.diag([0.1, 1.0, 2.0])
    for _ in range(30):
        weights = weigh(balancer, gradients)
    assert weights[0] > weights[1] > weights[2] > 0
    np.testing.assert_allclose(weights.sum(), 3, rtol=1e-5)


# Symmetries


@pytest.mark.parametrize("name", [name for name in BALANCERS if name not in RANDOM])
def test_permuting_the_tasks_permutes_the_weights(name):
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(history(name, order), history(name)[:, order], rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["imtlg", "nashmtl", "dbmtl"])
def test_direction_does_not_depend_on_the_scales_of_the_losses(name):
    gradients, losses, _ = random_step(5, 4)
    scales = np.array([0.01, 1.0, 30.0, 5.0])
    scaled = scales[:, None] * gradients
    one = weigh(make_balancer(name, 4), gradients, losses) @ gradients
    other = weigh(make_balancer(name, 4), scaled, scales * losses) @ scaled
    if name == "imtlg":  # its weights sum to 1, so that only the length depends on them
        one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    np.testing.assert_allclose(one, other, atol=1e-3 * np.linalg.norm(one))


# Absent tasks


@pytest.mark.parametrize("name", BALANCERS)
def test_a_task_without_labels_has_no_say(name):
    present = np.array([True, False, True])
    without = history(name, order=[0, 2], tasks=3)
    np.testing.assert_allclose(
        history(name, tasks=3, present=present)[:, present], without, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("uncertainty", "log_variance"), ("gradnorm", "weights"), ("gradnorm", "first"),
        ("uncertainty", "adam.mean"), ("uncertainty", "adam.square"), ("uncertainty", "adam.steps"),
        ("famo", "logits"), ("dbmtl", "squares"), ("gradvac", "targets"), ("dwa", "last"),
    ],
)  # fmt: skip
def test_an_absent_tasks_state_rests(name, state):
    balancer, values = make_balancer(name, 3), []
    for seed, here in enumerate([[1, 1, 1], [1, 0, 1], [1, 0, 1]]):
        here = np.array(here, bool)
        gradients, before, after = random_step(seed, 3)
        weigh(balancer, gradients * here[:, None], before * here, here)
        balancer.observe(tf.constant(after * here, tf.float32), tf.constant(here))
        balancer.end_epoch(tf.constant(np.where(here, before, np.nan), tf.float32))
        values.append(attrgetter(state)(balancer).numpy()[1])
    assert np.any(values[0] != 0)
    np.testing.assert_array_equal(values[1], values[0])
    np.testing.assert_array_equal(values[2], values[0])


# Finite weights

HARD = {
    "one zero gradient": np.diag([1.0, 0.0, 2.0]),
    "all zero": np.zeros((3, 4)),
    "parallel": np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]),
    "opposite": np.array([[1.0, 2.0], [-1.0, -2.0]]),
    "opposite along an axis": np.array([[1.0, 0.0], [-1.0, 0.0]]),
    "equal": np.array([[1.0, 0.0], [1.0, 0.0]]),
    "opposite and unequal": np.array([[1.0, 2.0], [-1e-3, -2e-3], [2.0, -1.0]]),
    "tiny": 1e-18 * np.array([[1.0, 2.0], [2.0, 1.0]]),
    "huge": 1e12 * np.array([[1.0, 2.0], [-2.0, 1.0]]),
    "of all sizes": np.array([[1e-14, 1e-14], [1.0, -1.0], [1e6, 3e6]]),
    "32 tasks in 3 dimensions": np.random.default_rng(0).normal(size=(32, 3)),
    "single": np.ones((1, 3)),
}


@pytest.mark.parametrize("case", HARD)
@pytest.mark.parametrize("name", BALANCERS)
def test_weights_stay_finite(name, case):
    gradients = HARD[case]
    tasks = len(gradients)
    balancer = make_balancer(name, tasks)
    for losses, here in [(1.0, True), (1e-12, True), (0.0, True), (1e6, True), (0.0, False)]:
        present = np.full(tasks, here)
        weights = weigh(balancer, gradients * here, np.full(tasks, losses), present)
        balancer.observe(tf.fill([tasks], losses), tf.constant(present))
        balancer.end_epoch(tf.fill([tasks], losses if here else np.nan))
        assert np.isfinite(weights).all()
        assert np.isfinite(weights @ gradients).all()
    assert all(np.isfinite(variable.numpy()).all() for variable in balancer.variables)


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_opposite_gradients_of_equal_length_cancel(name):
    gradients = np.array([[1.0, 2.0], [-1.0, -2.0]])
    direction = weigh(make_balancer(name, 2), gradients) @ gradients
    np.testing.assert_allclose(direction, 0.0, atol=1e-3)
