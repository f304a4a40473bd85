"""A plainly written micrograd, and how the tests run programs that import it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
STRICT = ("-W", "error")

ENGINE = '''
import math


class Value:
    """One number; what it was made of comes with the derivative with respect to it."""

    def __init__(self, data, _children=()):
        self.data, self.grad, self._prev = data, 0.0, _children

    def __add__(self, other):
        other = _wrap(other)
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = _wrap(other)
        return Value(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        return Value(self.data**n, ((self, n * self.data ** (n - 1)),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    __radd__, __rmul__ = __add__, __mul__

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, ((self, 1 - t * t),))

    def relu(self):
        return Value(max(0.0, self.data), ((self, float(self.data > 0)),))

    def backward(self):
        order = []

        def visit(value):
            if value not in order:
                for x, _ in value._prev:
                    visit(x)
                order.append(value)

        visit(self)
        self.grad = 1.0
        for value in reversed(order):
            for x, slope in value._prev:
                x.grad += slope * value.grad


def _wrap(x):
    return x if isinstance(x, Value) else Value(x)
'''

MEAN = """

def mean(values):
    return sum(map(_wrap, values), Value(0.0)) * (1 / len(values))
"""

NETWORK = """
import random

from ENGINE import Value


class Module:
    def zero_grad(self):
        for p in self.parameters():
            p.grad = 0.0


class Neuron(Module):
    def __init__(self, nin, NONLIN):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(BIAS)
        self.act = ACT

    def __call__(self, x):
        return self.act(sum((w * xi for w, xi in zip(self.w, x)), self.b))

    def parameters(self):
        return [*self.w, self.b]


class Layer(Module):
    def __init__(self, nin, nout, NONLIN):
        self.neurons = [Neuron(nin, NONLIN) for _ in range(nout)]

    def __call__(self, x):
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self):
        return [p for n in self.neurons for p in n.parameters()]


class MLP(Module):
    def __init__(self, nin, nouts):
        sizes = [nin, *nouts]
        self.layers = [Layer(sizes[i], sizes[i + 1], i < len(nouts) - 1) for i in range(len(nouts))]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters()]
"""

SGD = """

class SGD:
    def __init__(self, parameters, lr):
        self.parameters, self.lr = parameters, lr

    def step(self):
        for p in self.parameters:
            p.data -= self.lr * p.grad
            p.grad = 0.0


def count(model: Module):
    return sum(isinstance(p, Value) for p in model.parameters())
"""


def network(engine, nonlin="nonlin", bias="0.0", act="(lambda v: v.relu() if nonlin else v)"):
    words = {"ENGINE": engine, "NONLIN": nonlin, "BIAS": bias, "ACT": act}
    text = NETWORK
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text


RELU = network("micrograd.engine")
TANH = network("engine", "_", "random.uniform(-1, 1)", "Value.tanh")
MICROGRAD = {"micrograd/__init__.py": "", "micrograd/engine.py": ENGINE, "micrograd/nn.py": RELU}
TWO_FILES = {"engine.py": ENGINE + MEAN, "nn.py": TANH + SGD}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())


def python(folder, *command, path=(), **options):
    """Run Python in a folder; give its exit code, stdout and stderr."""
    places = map(str, [ROOT, *path])
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=300,
        check=False,
        **options,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def plain(folder, *command, flags=STRICT, **options):
    return python(folder, *flags, *command, **options)


def run(folder, *command, flags=STRICT, **options):
    return python(folder, *flags, "-m", "gradlite", "run", *command, **options)


def run_code(folder, code, **options):
    """Run a program that must end well; give what it printed, and what is said of redirections."""
    write(folder, {"main.py": code})
    status, output, errors = run(folder, "main.py", **options)
    assert status == 0, errors
    return output, errors


def line(*modules):
    """What is said of redirected modules: a line for each, in the order of their imports."""
    return "".join(f"gradlite: {name} is gradlite.scalar here\n" for name in modules)
