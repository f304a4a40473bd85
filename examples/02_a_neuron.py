"""A neuron weighs its inputs, adds a bias, and squashes the sum. It can learn.

You learn: what the parameters of a neuron are, how gradient descent changes them, and that
`Neuron`, `Layer` and `MLP` in `gradlite.nn` are made of nothing else.
"""

from gradlite.draw import draw
from gradlite.engine import Value
from gradlite.nn import Neuron

# Two inputs x, which are given; two weights w and a bias b, which can be changed.

x1, x2 = Value(2.0, label="x1"), Value(-1.0, label="x2")
w1, w2 = Value(-1.5, label="w1"), Value(0.5, label="w2")
b = Value(4.0, label="b")


def neuron():
    """Compute the output, a number between -1 and 1."""
    part1, part2 = x1 * w1, x2 * w2
    total = part1 + part2 + b
    out = total.tanh()
    part1.label, part2.label, total.label, out.label = "x1 w1", "x2 w2", "total", "out"
    return out


# The gradients say how the output depends on each number. That of w1 is x1 times that of the sum:
# a weight matters as much as the input that it weighs.

out = neuron()
out.backward()
print(f"out = {out.data:.4f}; gradients: w1 {w1.grad:.4f}, w2 {w2.grad:.4f}, b {b.grad:.4f}")
picture = draw(out, rankdir="TB").save("02_a_neuron.svg")  # TB: from top to bottom
print(f"{picture} shows the neuron.\n")

# Now let it learn to output -0.8. The loss says how wrong it is; its gradient points uphill, so
# each parameter goes a little the other way. That is gradient descent, and all of training.

target, rate = -0.8, 0.1
for step in range(31):
    out = neuron()
    loss = (out - target) ** 2
    if step % 10 == 0:
        print(f"step {step:2}: out = {out.data:7.4f}, loss = {loss.data:.6f}")
    for parameter in (w1, w2, b):
        parameter.grad = 0.0  # gradients add up, so each step starts over
    loss.backward()
    for parameter in (w1, w2, b):
        parameter.data -= rate * parameter.grad

# The class Neuron is the same. Its weights are drawn at random; here we set them to ours. (This
# dialect squashes with tanh; by default a neuron keeps what is positive, as in example 03.)

ready = Neuron(2, dialect="neural_net")
for parameter, ours in zip(ready.parameters(), (w1, w2, b), strict=True):
    parameter.data = ours.data
print(f"\n{ready!r} with these parameters gives {ready([2.0, -1.0]).data:.4f}.")
