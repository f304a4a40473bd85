"""The chain rule with names and numbers: what is put in evaluates to what has arrived."""

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.rules.fused import linear
from gradlite.draw import chain
from gradlite.draw.folding import fold
from gradlite.draw.mathematics.terms import TERMS, einsum_spelled, einsum_terms
from gradlite.draw.names import names_of
from gradlite.draw.page import page, page_data
from gradlite.draw.scene import scene
from gradlite.engine import Value
from tests.draw.test_mathematics import NUMPY
from tests.helpers import leaves
from tests.specs.elementwise import ELEMENTWISE


def chains(root):
    """Return what each box passes back, by the names of both."""
    data = page_data(scene(root))
    names = {id: box["name"] for id, box in data["boxes"].items()}
    return {
        (names[step["box"]], names[x["box"]]): x.get("chain")
        for step in data["steps"]
        for x in step["arrivals"]
    }


def made(root):
    data = page_data(scene(root))
    return [data["boxes"][id]["made"] for id in data["forward"]]


def neuron():
    x, w, b = Value(2.0, label="x"), Value(-3.0, label="w"), Value(6.5, label="b")
    return (x * w + b).tanh()


def test_it_is_said_in_the_names_and_numbers_of_the_node():
    found = chains(neuron())
    assert found["t3", "t2"]["code"] == "t2.grad += t3.grad * (1 - t3 ** 2)"
    assert found["t3", "t2"]["numbers"] == "1 * (1 - 0.4621 ** 2) = 0.7864"
    assert found["t2", "b"] == {
        "code": "b.grad += t2.grad", "numbers": "0.7864", "mathml": "", "where": "",
    }  # fmt: skip
    assert found["t1", "w"]["code"] == "w.grad += t1.grad * x"
    assert found["t1", "w"]["numbers"] == "0.7864 * 2 = 1.573"
    assert found["t1", "x"]["numbers"] == "0.7864 * -3 = -2.359"
    assert made(neuron()) == [
        "t1 = x * w = 2 * -3", "t2 = t1 + b = -6 + 6.5", "t3 = tanh(t2) = tanh(0.5)",
    ]  # fmt: skip


def test_what_is_taken_twice_gets_both_parts_in_one_line():
    a = Value(3.0, label="a")
    assert chains(a * a)["t1", "a"]["code"] == "a.grad += t1.grad * a + t1.grad * a"
    assert chains(a * a)["t1", "a"]["numbers"] == "1 * 3 + 1 * 3 = 6"
    (x,) = leaves(np.array(3.0))
    assert chains(x * x)["t1", "p1"]["numbers"] == "1 * 3 + 1 * 3 = 6"


def test_an_argument_of_a_call_has_no_parentheses_of_its_own():
    a, b = Value(0.5, label="a"), Value(-2.0, label="two words")
    assert made(b.tanh())[0].startswith("t1 = tanh(two words) = ")
    assert made((a * b).relu())[0].startswith("t1 = a * (two words) = ")
    assert made(b.relu())[0].startswith("t1 = max(two words, 0) = ")
    assert made(Value(-2.0).tanh())[0].startswith("t1 = tanh(-2) = ")
    code = chains(b.tanh() * a)["t1", "two words"]["code"]
    assert code == "(two words).grad += t1.grad * (1 - t1 ** 2)"


def test_of_arrays_the_numbers_are_of_the_first_element():
    x, y = leaves(np.array([[2.0, 1.0]]), np.array([5.0, 7.0]))
    found = chains(np.sum(x * y))
    assert found["t1", "p1"]["numbers"] == "1 * 5 = 5"
    assert found["t1", "p1"]["where"] == "[0, 0]"
    assert found["t1", "p2"]["code"] == "p2.grad += (t1.grad * p1).sum(0)"
    assert found["t1", "p2"]["numbers"] == "1 * 2 = 2"
    passed_on = chains(np.sum(np.add(x, [[3.0, 4.0]]) * [[5.0, 6.0]]))["t1", "p1"]
    assert (passed_on["numbers"], passed_on["where"]) == ("5", "[0, 0]")


def test_a_loss_says_the_share_of_one_element():
    (x,) = leaves(np.array([0.0, 1.0]))
    found = chains(gl.nn.bce_with_logits(x, np.array([1.0, 0.0])))["t1", "p1"]
    assert found["code"] == "p1.grad += t1.grad * ((sigmoid(p1) - c1) / n)"
    assert found["numbers"] == "1 * ((sigmoid(0) - 1) / 2) = -0.25"


def test_products_of_matrices_are_said_in_names():
    x, W, b = leaves(np.ones((2, 3)), np.ones((3, 4)), np.ones(4))
    found = chains(gl.affine(x, W, b).sum())
    assert found["t1", "p2"]["code"] == "p2.grad += p1.T @ t1.grad"
    assert found["t1", "p3"]["code"] == "p3.grad += t1.grad.sum(0)"
    assert found["t2", "t1"]["code"] == "t1.grad += t2.grad"
    of_a_vector = chains((x @ np.ones(3)).sum())["t1", "p1"]
    assert (of_a_vector["code"], of_a_vector["numbers"]) == ("", "")  # it is another


def test_what_was_broadcast_gets_the_sum_over_the_copies():
    b = leaves(np.array([[3.0], [4.0]]))[0]
    found = chains(np.sum(b * [[[1.0, 2.0, 3.0, 4.0]], [[5.0, 6.0, 7.0, 8.0]]]))["t1", "p1"]
    assert found["code"] == "p1.grad += (t1.grad * c1).sum(0).sum(1, keepdims=True)"
    assert found["numbers"] == "1 * 1 + 1 * 2 + ... = 36"
    (s,) = leaves(np.array(2.0))
    found = chains(np.sum(s - [1.0, 2.0]))["t1", "p1"]
    assert (found["code"], found["where"]) == ("p1.grad += t1.grad.sum()", "")
    assert found["numbers"] == "1 + 1 = 2"


def test_a_product_of_matrices_says_the_terms_of_the_first_element():
    x, W, b = leaves(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0], [6.0]]), np.array([7.0]))
    found = chains((gl.affine(x, W, b) * [[-1.0], [0.5]]).sum())
    assert found["t1", "p1"]["numbers"] == "-1 * 5 = -5"
    assert found["t1", "p2"]["numbers"] == "1 * -1 + 3 * 0.5 = 0.5"
    assert found["t1", "p3"]["numbers"] == "-1 + 0.5 = -0.5"
    assert [found["t1", p]["where"] for p in ("p1", "p2", "p3")] == ["[0, 0]", "[0, 0]", ""]


FIRST = {
    "np.sum": lambda x: np.sum(x, axis=1),
    "np.mean": lambda x: np.mean(x, axis=0),
    "gl.logsumexp": lambda x: gl.logsumexp(x, axis=0),
    "gl.softmax": lambda x: gl.softmax(x, axis=0),
    "gl.log_softmax": gl.log_softmax,
    "gl.cross_entropy": lambda x: gl.cross_entropy(x, np.array([1, 0, 2])),
    "np.matmul": lambda x: x @ np.tanh(x.T),
    "gl.affine": lambda x: gl.affine(x, x.T * 2.0, x.sum(1)),
    "gl.linear": lambda x: linear(x, x * 2.0, x.sum(1)),
}


def test_the_first_element_of_each_function_of_arrays_is_what_arrives(monkeypatch):
    monkeypatch.setattr(chain, "SHOWN", 9)
    assert FIRST.keys() == TERMS.keys()
    for name, run in FIRST.items():
        x = leaves(np.random.default_rng(3).normal(size=(3, 2 if "matmul" in name else 4)))[0]
        data = page_data(scene((run(x) * 1.5).sum()))
        inner = data["steps"][1:]
        (at,) = [step for step in inner if data["boxes"][step["box"]]["op"][0] == name]
        for arrival in at["arrivals"]:
            *terms, total = arrival["chain"]["numbers"].split(" = ")
            amount = arrival["amount"]
            first = amount["rows"][0][0] if "rows" in amount else amount["number"]
            assert float(total) == pytest.approx(first, rel=1e-3)
            for text in terms:
                assert eval(text, dict(NUMBERS)) == pytest.approx(first, rel=0.01, abs=2e-3)


@pytest.mark.parametrize("target", [np.array([1, 0]), np.array([[0.2, 0.8], [1.0, 0.0]])])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_says_the_probability_less_the_target(target, reduction):
    (x,) = leaves(np.array([[0.0, 0.0], [1.0, 3.0]]))
    found = chains(gl.cross_entropy(x, target, reduction=reduction).sum())
    share = 2 if reduction == "mean" else 1
    t = "0.2" if target.ndim == 2 else "0"
    total = f"{(0.5 - float(t)) / share:.4g}"
    (said,) = [c["numbers"] for (_, to), c in found.items() if to == "p1"]
    assert said == f"1 * (1 / {share}) * (0.5 - {t}) = {total}"


def test_an_einsum_says_the_einsum_of_each_operand():
    x, y = leaves(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]))
    found = chains(np.einsum("ij,jk->ik", x, y).sum())
    assert found["t1", "p1"]["code"] == "p1.grad += einsum('ik,jk->ij', t1.grad, p2)"
    assert found["t1", "p1"]["numbers"] == "1 * 3 + 1 * 4 = 7"
    assert found["t1", "p2"]["code"] == "p2.grad += einsum('ik,ij->jk', t1.grad, p1)"
    assert made(np.einsum("ij,jk", x, y)) == ["t1 = einsum('ij,jk', p1, p2)"]
    twice = chains(np.einsum("...i,...i", y, y).sum())["t1", "p1"]
    assert twice["numbers"] == "1 * 3 + 1 * 3 = 6"
    assert chains(np.einsum("ii", y))["t1", "p1"]["code"] == ""  # a diagonal is no einsum


def test_the_einsum_of_an_operand_is_its_gradient():
    rng = np.random.default_rng(0)
    for subscripts, shapes in {
        "ij,jk->ik": [(2, 3), (3, 4)], "i,j,k->kji": [2, 3, 4], "bij,bj->bi": [(2, 3, 4), (2, 4)],
        "ijk,jl,kl->il": [(2, 3, 4), (3, 5), (4, 5)],
    }.items():  # fmt: skip
        arrays = [rng.normal(size=shape) for shape in shapes]
        out = np.einsum(subscripts, *leaves(*arrays))
        g = rng.normal(size=out.shape)
        expected = gl.vjp(lambda *xs, s=subscripts: np.einsum(s, *xs), *arrays)[1](g)
        for i in range(len(arrays)):
            mine, others = einsum_spelled(i, arrays, subscripts)
            rest = arrays[:i] + arrays[i + 1 :]
            assert np.allclose(np.einsum(f"{','.join(others)}->{mine}", g, *rest), expected[i])
            factors = einsum_terms(i, g, arrays, mine, others)
            assert np.prod([*factors.values()], axis=0).sum() == pytest.approx(expected[i].flat[0])


def test_what_is_folded_away_is_named_by_dots():
    (w,) = leaves(np.ones((2, 2)))
    h = np.ones((1, 2))
    for _ in range(40):
        h = np.tanh(h @ w)
    data = page_data(fold(scene(h.sum())))
    told = [box["made"] for box in data["boxes"].values()]
    told += [x["chain"]["code"] for s in data["steps"] for x in s["arrivals"] if x.get("chain")]
    assert any("…" in text for text in told)
    assert not any("<" in text for text in told)


NUMBERS = {**NUMPY, "inf": np.inf, "nan": np.nan}


@pytest.mark.parametrize("spec", ELEMENTWISE, ids=lambda spec: spec.name)
def test_the_numbers_that_are_put_in_give_what_arrives(spec):
    points, run = spec.calls[0].draw()
    try:
        out = run(spec.prepared(), *leaves(*points))
    except (TypeError, ValueError):
        pytest.skip("an older NumPy does not take this call")
    data = page_data(scene(out * 2.0))
    told = [x for step in data["steps"] for x in step["arrivals"]]
    assert len(told) > 1
    for x in told:
        *terms, total = x["chain"]["numbers"].split(" = ")
        assert float(total) == pytest.approx(x["amount"]["number"], rel=1e-3)
        for term in terms:
            with np.errstate(all="ignore"):
                assert eval(term, dict(NUMBERS)) == pytest.approx(float(total), rel=0.01, abs=2e-3)
        assert ("<math" in x["chain"]["mathml"]) == bool(terms)


def test_what_has_no_numbers_says_no_chain_rule_and_breaks_nothing():
    own = Value(27.0, (Value(3.0),), "cube")
    own._backward = lambda: None
    assert None in chains(own * 1.0).values()
    assert chains(Value(10**400) + Value(2))["t1", "2"]["numbers"] == ""


def test_without_a_short_formula_the_first_element_is_told():
    x = gl.Tensor([[4.0, 2.0], [2.0, 3.0]], requires_grad=True)
    for out in (np.linalg.cholesky(x), x[np.array([1, 0])], np.concatenate([x, x])):
        found = chains((out * np.arange(1.0, out.size + 1).reshape(out.shape)).sum())["t1", "p1"]
        assert (found["code"], found["where"]) == ("", "[0, 0]")
        assert "<mfrac>" in found["mathml"]
    assert found["mathml"].endswith("<mo>&#x0003D;</mo><mn>6</mn></mrow></math>")


# -- names ------------------------------------------------------------------------------------


def test_no_two_boxes_that_can_be_named_apart_have_one_name():
    t1, a = Value(1.0, label="t1"), Value(2.0)
    found = names_of(scene((t1 * a + a).tanh()))
    assert list(found.values()) == ["t1", "2", "t2", "t3", "t4"]
    x = gl.Tensor(np.ones((2, 2)), requires_grad=True)
    names = names_of(scene((x * np.ones(2) @ np.ones((2, 1))).sum(), {"c1": x}))
    assert sorted(names.values()) == ["c1", "c2", "c3", "t1", "t2", "t3"]


def title(root):
    html = page(scene(root), "<svg></svg>")
    return html[html.index("<title>") + 7 : html.index("</title>")]


def test_a_title_is_never_an_operation_alone():
    n, b = Value(-2.0, label="n"), Value(0.5, label="b")
    assert title(n + b) == "The graph of n + b = -1.5000"
    assert title((n + b) ** 2) == "The graph of t1**2 = 2.2500"
    assert title(((n + b) * n).tanh()) == "The graph of tanh(t2) = 0.9951"
    long = Value(1.0, label="a name that is as long as a sentence is")
    assert title(long * 2) == "The graph of t1 = 2.0000"
    (x,) = leaves(np.array([1.0, 2.0]))
    assert title(np.exp(x)) == "The graph of exp(p1)"
    assert title(Value(3.0)) == "The graph of t1 = 3.0000"
