"""Folding: what is shown of blocks that repeat, and what is not lost."""

import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradlite as gl
from gradlite.draw import folding
from gradlite.draw.folding import fold
from gradlite.draw.scene import Link, scene
from gradlite.engine import Value
from gradlite.nn import MLP
from tests.helpers import few, leaves


def loop(steps):
    """Make the loss of an unrolled loop, ``h = tanh(h @ W + x @ U)``."""
    rng = np.random.default_rng(0)
    W, U = leaves(rng.normal(size=(4, 4)), rng.normal(size=(3, 4)))
    h = rng.normal(size=(2, 4))
    for x in rng.normal(size=(steps, 2, 3)):
        h = np.tanh(h @ W + x @ U)
    return (h**2).mean(), {"W": W, "U": U}


def texts(seen):
    return [box.fields for box in seen.boxes.values() if box.kind == "repeats"]


def check(whole, seen):
    """Check that a folded scene says of every box and every arrow what the whole scene says."""
    home = {box_id: box_id for box_id in seen.boxes if box_id not in seen.repeats}
    for shown, hidden in seen.repeats.items():
        for box in hidden:
            assert box.id not in home
            home[box.id] = shown
    assert home.keys() == whole.boxes.keys()
    assert set(home.values()) == seen.boxes.keys()
    expected = {
        (home[link.source], home[box.id]) for box in whole.boxes.values() for link in box.inputs
    }
    found = {(link.source, box.id) for box in seen.boxes.values() for link in box.inputs}
    assert found == {(a, b) for a, b in expected if a != b}
    before = set()
    for box in seen.boxes.values():
        assert {link.source for link in box.inputs} <= before
        before.add(box.id)
    assert seen.root == whole.root


def test_of_a_loop_the_first_and_the_last_step_are_shown():
    out, names = loop(200)
    whole = scene(out, names)
    seen = fold(whole)
    check(whole, seen)
    assert texts(seen) == [["… 198 more times", "np.matmul, np.matmul, np.add, np.tanh"]]
    ops = [box.op[0] for box in seen.boxes.values() if box.op]
    step = ["np.matmul", "np.matmul", "np.add", "np.tanh"]
    assert ops == [*step, *step, "np.power", "np.mean"]
    ((inside,),) = [seen.repeats.values()]
    assert len(inside) == 198 * 5  # each with its row of x
    assert {box.name for box in seen.boxes.values()} == {"", "W", "U"}  # all steps use these


def test_small_graphs_are_shown_whole():
    def chain(n):
        x = Value(0.5)
        for _ in range(n):
            x = x.tanh()
        return scene(x)

    small, large = chain(59), chain(60)
    assert len(small.boxes) == 60
    assert fold(small) is small
    assert texts(fold(large)) == [["… 58 more times", "tanh"]]


def test_the_whole_scene_stays_as_it_was():
    out, _ = loop(50)
    whole = scene(out)
    before = {box.id: (box, list(box.inputs)) for box in whole.boxes.values()}
    fold(whole)
    assert before == {box.id: (box, box.inputs) for box in whole.boxes.values()}
    assert whole.repeats == {}


def test_of_many_samples_the_first_and_the_last_are_shown():
    random.seed(0)
    model = MLP(2, [1])
    whole = scene(sum((model([i / 9, 1.0]) for i in range(100)), Value(0.0)))
    seen = fold(whole)
    check(whole, seen)
    assert texts(seen) == [["… 98 more times", "5 operations each"]]
    weights = [box for box in seen.boxes.values() if box.kind == "parameter"]
    assert len(weights) == 3


def test_parameters_of_folded_layers_are_folded_with_them():
    x = np.ones((4, 8))
    for _ in range(50):
        x = gl.relu(gl.affine(x, *leaves(np.ones((8, 8)), np.zeros(8))))
    whole = scene(x.sum())
    seen = fold(whole)
    check(whole, seen)
    assert texts(seen) == [["… 48 more times", "gl.affine, gl.relu"]]
    assert len([box for box in seen.boxes.values() if box.kind == "parameter"]) == 4


def test_blocks_within_blocks_are_folded_and_what_only_folds_use():
    random.seed(0)
    model = MLP(2, [16, 16, 1])
    whole = scene(sum(((model([i / 9, -i / 9]) - 1.0) ** 2 for i in range(30)), Value(0.0)))
    assert len(whole.boxes) > 20_000
    seen = fold(whole)
    check(whole, seen)
    assert len(seen.boxes) < 80
    assert ["… 28 more times", "643 operations each"] in texts(seen)
    assert ["… 269 more parameters"] in texts(seen)


def test_roles_are_kept_at_what_is_shown():
    x = y = Value(2.0)
    t = gl.Tensor(1.0, requires_grad=True)
    for _ in range(30):
        x = x.tanh()
    for _ in range(30):
        y = y.tanh()
    out = t
    for _ in range(70):
        out = np.tanh(out)
    seen = fold(scene(out - t))
    shown = [box.id for box in seen.boxes.values() if box.op == ["np.tanh"]]
    leaf = next(iter(seen.boxes))
    assert seen.boxes[seen.root].inputs == [Link(shown[-1], "x"), Link(leaf, "y")]


OPS = {"sin": np.sin, "tanh": np.tanh, "double": lambda x: x + x, "plus": lambda x: x + 1.0}


@few(40)
@given(
    st.recursive(
        st.lists(st.sampled_from(sorted(OPS)), min_size=1, max_size=4),
        lambda blocks: st.builds(lambda a, b, k: a * k + b, blocks, blocks, st.integers(1, 6)),
        max_leaves=6,
    )
)
def test_nothing_is_lost_of_random_programs(program):
    x, w = leaves(np.ones(2), np.ones(2))
    for i, name in enumerate(program):
        x = OPS[name](x)
        if i % 7 == 0:
            x = x * w
    whole = scene(x)
    for readable in (0, 10):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folding, "READABLE", readable)
            check(whole, fold(whole))


def test_a_value_whose_past_was_rewritten_is_still_folded():
    x = Value(0.5)
    steps = [x]
    for _ in range(80):
        steps.append(steps[-1].tanh())
    late = x.exp()
    steps[1]._prev = {late}  # made before what it is made of
    whole = scene(steps[-1])
    check(whole, fold(whole))


def test_100000_operations_without_order_take_seconds():
    rng = random.Random(0)
    (x,) = leaves(np.float64(0.5))
    for _ in range(100_000):
        x = rng.choice((np.tanh, np.sin))(x)
    whole = scene(x)
    start = time.process_time()
    seen = fold(whole)
    assert time.process_time() - start < 15
    assert len(seen.boxes) > 50_000
