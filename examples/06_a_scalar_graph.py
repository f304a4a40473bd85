"""A computation is a graph, and here is its picture.

You learn: to compute with single numbers, `Value`s, to ask with `backward` how much each of them
matters, and to draw what happened with `draw_dot`; then the same for arrays.

The pictures go to graph.svg and graph_tensor.svg, or to the file given as an argument (its suffix
decides: .svg, .png, .pdf) and one beside it.
"""

import sys
from pathlib import Path

import numpy as np

import gradlite as gl
from gradlite.draw import draw_dot, trace
from gradlite.engine import Value

picture = Path(sys.argv[1] if len(sys.argv) > 1 else "graph.svg")


def save(result, path):
    """Draw the graph behind a result, if there is what draws it."""
    try:
        # Leaves have round corners, the result a thick outline. TB: from top to bottom.
        print("  drawn:", draw_dot(result, rankdir="TB").save(path))
    except ImportError as error:
        print("  not drawn:", error)


# 1. A neuron with two inputs: it weighs them, adds a bias, and squashes the sum. Labels are for the
# picture only.

x1, x2 = Value(2.0, label="x1"), Value(-1.0, label="x2")
w1, w2 = Value(-1.5, label="w1"), Value(0.5, label="w2")
b = Value(4.0, label="b")

part1, part2 = x1 * w1, x2 * w2
total = part1 + part2 + b
out = total.tanh()
part1.label, part2.label, total.label, out.label = "x1 w1", "x2 w2", "total", "out"

# Every result knows what it was made of. So the chain rule can go back from `out`, and leave on
# each number the derivative of `out` by it.

out.backward()
print(f"out = {out.data:.4f}; by w1 {w1.grad:.4f}, by w2 {w2.grad:.4f}, by b {b.grad:.4f}")
save(out, picture)

# To see that a derivative is right, wiggle: w1 a little larger, and out grows by that much more.

h = 1e-6
wiggled = np.tanh(x1.data * (w1.data + h) + x2.data * w2.data + b.data)
print(f"wiggling w1 says {(wiggled - out.data) / h:.4f}")

# trace() gives the graph to a program: its numbers, and which went into which.

nodes, edges = trace(out)
leaves = nodes - {parent for _, parent in edges}
print(f"{len(nodes)} numbers, {len(leaves)} of them given and {len(nodes) - len(leaves)} computed")


# 2. The same neuron on arrays. The boxes of the picture now hold many numbers each: they show the
# shape, the type, and the norm (the root of the sum of squares).

x = gl.Tensor([2.0, -1.0], requires_grad=True)
w = gl.Tensor([-1.5, 0.5], requires_grad=True)
out = np.tanh(x @ w + 4.0)

# A Tensor lets its graph go in backward(), to save memory. It can be kept, or drawn before.

out.backward(retain_graph=True)
print(f"on arrays: out = {out.item():.4f}; by w", w.grad.round(4).tolist())
save(out, picture.with_stem(f"{picture.stem}_tensor"))
