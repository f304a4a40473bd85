"""A computation is a graph, and its derivatives are found by going back through it.

You learn: to compute with `Value`s, numbers that remember how they were made; what `backward` does,
step by step; and to draw the graph with `draw`.
"""

from gradlite.draw import draw
from gradlite.engine import Value


def expression(a, b):
    """Compute (a b + 10) a in three steps. Plain numbers will do as well as Values."""
    s = a * b
    t = s + 10
    f = t * a
    return s, t, f


# A Value computes like a number. In addition, every result knows its operation and its inputs.

a, b = Value(2.0), Value(-3.0)
s, t, f = expression(a, b)
print(f"f = {f.data}, the same as {expression(2.0, -3.0)[-1]} from plain numbers")

# By how much does f change if a changes a little, or b? We go back from f, one step at a time, and
# multiply: that is the chain rule.

df_dt = a.data  # f = t a: a unit more of t is a units more of f
df_ds = df_dt * 1  # t = s + 10: a unit more of s is a unit more of t
df_db = df_ds * a.data  # s = a b
df_da = t.data + df_ds * b.data  # a was used twice, in f and in s: its two parts add up
print(f"by hand:    df/da = {df_da}, df/db = {df_db}")

# backward() does just that, for a graph of any size, and leaves each derivative in `grad`.

f.backward()
print(f"backward(): df/da = {a.grad}, df/db = {b.grad}")

# A derivative is a promise about small changes. Make one, and see.

h = 1e-6
by_a = (expression(2 + h, -3)[-1] - f.data) / h
by_b = (expression(2, -3 + h)[-1] - f.data) / h
print(f"wiggling:   df/da = {by_a:.4f}, df/db = {by_b:.4f}")

# The picture has a box for each number, with its data and its gradient, and an oval for each
# operation. Read it from left to right for the computation, and back for the gradients. (Saved as
# .html, it is a page that goes through backward() step by step.)

for name, value in {"a": a, "b": b, "s": s, "t": t, "f": f}.items():
    value.label = name
picture = draw(f).save("01_a_scalar_expression.svg")
print(f"{picture} shows the graph.")
