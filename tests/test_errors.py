"""The exceptions: each is gradlite's own and the built-in one that a caller would expect."""

import inspect
import pickle
import sys

import numpy as np
import pytest

import gradlite as gl
from gradlite import errors
from gradlite.engine import Value

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.GradliteError)
]

EXPECTED = {
    errors.ShapeError: ValueError,
    errors.DtypeError: TypeError,
    errors.GraphError: RuntimeError,
    errors.DetachError: RuntimeError,
    errors.DomainError: ValueError,
    errors.DivisionError: ZeroDivisionError,
    errors.RangeError: OverflowError,
    errors.NonFiniteError: FloatingPointError,
    errors.MutationError: RuntimeError,
    errors.GradientError: AssertionError,
    errors.MissingRuleError: TypeError,
    errors.MissingExtraError: ImportError,
    errors.DivergedError: ValueError,
    errors.StateError: ValueError,
    errors.PersistError: ValueError,
    errors.FolderError: FileNotFoundError,
    errors.CompileError: TypeError,
}


def test_every_error_has_a_line_here():
    assert set(ALL) == {errors.GradliteError, *EXPECTED}


@pytest.mark.parametrize("kind", EXPECTED)
def test_an_error_is_gradlites_and_the_built_in_one(kind):
    assert issubclass(kind, errors.GradliteError)
    assert issubclass(kind, EXPECTED[kind])
    assert kind.__doc__


@pytest.mark.parametrize("kind", ALL)
def test_errors_pickle(kind):
    error = pickle.loads(pickle.dumps(kind("what happened")))
    assert type(error) is kind
    assert str(error) == "what happened"


def test_the_base_class_is_public():
    assert gl.GradliteError is errors.GradliteError


def provoke_shape():
    gl.mse(gl.Tensor(np.zeros((3, 1))), np.zeros(3))


def provoke_dtype():
    gl.Tensor([1, 2], requires_grad=True)


def provoke_graph():
    gl.Tensor(1.0).backward()


def provoke_detach():
    np.asarray(gl.Tensor(1.0, requires_grad=True))


def provoke_nonfinite():
    with gl.debug():
        np.log(gl.Tensor(-1.0, requires_grad=True))


def provoke_mutation():
    with gl.debug():
        x = gl.Tensor([1.0], requires_grad=True)
        y = np.sin(x).sum()
        x.data[0] = 2.0
        y.backward()


def provoke_gradient():
    wrong = gl.primitive(lambda x: x * 2)
    gl.defvjp(wrong, lambda g, ans, x: g * 3)
    gl.check_grads(wrong, (1.0,))


def provoke_missing():
    np.percentile(gl.Tensor([1.0]), 5)


def provoke_domain():
    Value(-1.0).log()


def provoke_division():
    3 / Value(0.0)


def provoke_range():
    Value(1e200) ** 2


def provoke_state():
    gl.nn.Linear(2, 3).load_state_dict({"weigth": np.zeros((3, 2))})


def provoke_persist():
    gl.persist.load(__file__)


def provoke_folder():
    gl.persist.save("no/such/folder/file", {}, kind="nothing")


def provoke_diverged():
    X, y = np.ones((4, 1)), np.zeros(4)
    gl.NetRegressor(gl.nn.Linear(1, 1), loss=lambda output, target: output * np.inf).fit(X, y)


def provoke_compile():
    gl.compile(lambda x: x[x > 0])(np.ones(2))


def provoke_extra():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "safetensors", None)
        patch.setitem(sys.modules, "safetensors.numpy", None)
        gl.persist.save("never.safetensors", {}, kind="nothing")


PROVOKE = {
    errors.StateError: provoke_state,
    errors.PersistError: provoke_persist,
    errors.FolderError: provoke_folder,
    errors.DivergedError: provoke_diverged,
    errors.MissingExtraError: provoke_extra,
    errors.DomainError: provoke_domain,
    errors.DivisionError: provoke_division,
    errors.RangeError: provoke_range,
    errors.ShapeError: provoke_shape,
    errors.DtypeError: provoke_dtype,
    errors.GraphError: provoke_graph,
    errors.DetachError: provoke_detach,
    errors.NonFiniteError: provoke_nonfinite,
    errors.MutationError: provoke_mutation,
    errors.GradientError: provoke_gradient,
    errors.MissingRuleError: provoke_missing,
    errors.CompileError: provoke_compile,
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_an_error_can_be_caught_by_either_name(kind):
    for caught in (kind, gl.GradliteError, EXPECTED[kind]):
        with pytest.raises(caught) as error:
            PROVOKE[kind]()
        assert type(error.value) is kind


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_message_is_whole_sentences(kind):
    with pytest.raises(kind) as error:
        PROVOKE[kind]()
    message = str(error.value)
    assert len(message) > 20
    assert "<function" not in message
    assert "object at 0x" not in message


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (np.sum, "np.sum"),
        (np.add, "np.add"),
        (np.linalg.solve, "np.linalg.solve"),
        (np.fft.fft, "np.fft.fft"),
        (np.median, "np.median"),
        (gl.relu, "gl.relu"),
        (gl.cross_entropy, "gl.cross_entropy"),
    ],
)
def test_functions_are_named_as_a_user_writes_them(function, name):
    assert errors.function_name(function) == name


def test_a_ufunc_of_another_library_is_not_called_numpys():
    from scipy.special import expit

    assert errors.function_name(expit) != "np.expit"
    assert "expit" in errors.function_name(expit)
