"""Find where a NaN comes from.

You learn: to find, with `gl.debug()`, the operation and the line that made the first NaN or Inf,
and an array that was changed when it should not have been.
"""

import numpy as np

import gradlite as gl


def entropy(logits):
    """Measure how undecided a classifier is: the sum of -p log p. It has a mistake."""
    p = gl.softmax(logits)
    log_p = np.log(p)
    return -np.sum(p * log_p)


# 1. With large logits, the mistake shows. The result is NaN, and does not say why.

logits = gl.Tensor([0.0, 800.0, 801.0], requires_grad=True)
with np.errstate(all="ignore"):
    print("entropy:", entropy(logits).item())

# In debug mode every operation looks at its answer, and the first bad one stops the program with
# the arguments it had and the line it stands in.

try:
    with gl.debug():
        entropy(logits)
except gl.GradliteError as error:
    print(f"\n{type(error).__name__}: {error}\n")

# So softmax has rounded a probability to 0, and its logarithm is -Inf; later 0 * -Inf makes the
# NaN. The logarithm of softmax is an operation of its own, which never forms that 0.


def stable_entropy(logits):
    """Measure the same, for logits of any size."""
    log_p = gl.log_softmax(logits)
    return -np.sum(np.exp(log_p) * log_p)


with gl.debug():
    value = stable_entropy(logits)
    value.backward()
print("Mended, the entropy is", value.item(), "and its gradient", logits.grad)

# 2. The backward pass reads arrays of the forward pass. Changed in between, they give a wrong
# gradient without a word; debug mode notices.

x = gl.Tensor([1.0, 2.0], requires_grad=True)
try:
    with gl.debug():
        y = np.sum(x**2)
        x.data += 10  # too early: this belongs after backward()
        y.backward()
except gl.GradliteError as error:
    print(f"\n{type(error).__name__}: {error}")
