"""The formulas of functions of whole arrays: reductions, products, movements, windows.

`g` is dL/d of the result, and has its indices. Where axes are reduced or moved, one index stands
for a place along them.
"""

from __future__ import annotations

from gradlite.draw.mathematics.entry import Arraywise, Entries

SAME = "The same elements, in the shape of $x$."


def reduce(definition: str, derivative: str, *words: str, **code: str) -> Arraywise:
    """Write a reduction of the elements x_i to y."""
    return Arraywise("y", ("x",), f"y = {definition}", {"x_i": derivative}, words, code)


def moved(definition: str, derivative: str, *words: str, index: str = "i") -> Arraywise:
    """Write a movement of elements."""
    return Arraywise("y", ("x",), definition, {f"x_{{{index}}}": derivative}, words)


REDUCTIONS: Entries = {
    "np.sum": reduce(r"\sum_i x_i", "g", x="g"),
    "np.mean": reduce(r"\frac{1}{n} \sum_i x_i", r"g \cdot \frac{1}{n}", x="g / n"),
    "np.var": reduce(
        r"\frac{1}{n - d} \sum_i (x_i - m)^2",
        r"g \cdot \frac{2 \, (x_i - m)}{n - d}",
        "$m$ is the mean, $d$ is ddof.",
    ),
    "np.std": reduce(
        r"\sqrt{\frac{1}{n - d} \sum_i (x_i - m)^2}",
        r"g \cdot \frac{x_i - m}{(n - d) \cdot y}",
        "$m$ is the mean, $d$ is ddof. 0 where all elements are equal.",
    ),
    "np.prod": reduce(r"\prod_i x_i", r"g \cdot \prod_{j \ne i} x_j"),
    "np.cumsum": moved(r"y_k = \sum_{i \le k} x_i", r"\sum_{k \ge i} g_k"),
    "np.cumprod": moved(
        r"y_k = \prod_{i \le k} x_i", r"\sum_{k \ge i} g_k \cdot \prod_{j \le k, \, j \ne i} x_j"
    ),
    **{
        name: reduce(
            rf"\{which}_i x_i",
            r"g \cdot \frac{[x_i = y]}{\sum_j [x_j = y]}",
            "$[\\,\\cdot\\,]$ is 1 where it holds: elements that are equally large share.",
        )
        for name, which in (
            ("np.max", "max"), ("np.amax", "max"), ("np.min", "min"), ("np.amin", "min"),
        )
    },
    "gl.logsumexp": reduce(r"\ln \sum_i e^{x_i}", r"g \cdot e^{x_i - y}"),
    "gl.softmax": moved(
        r"y_i = \frac{e^{x_i}}{\sum_j e^{x_j}}", r"y_i \cdot \left( g_i - \sum_j g_j \, y_j \right)"
    ),
    "gl.log_softmax": moved(
        r"y_i = x_i - \ln \sum_j e^{x_j}", r"g_i - e^{y_i} \cdot \sum_j g_j"
    ),
}  # fmt: skip

PRODUCTS: Entries = {
    "np.matmul": Arraywise(
        "Z",
        ("X", "Y"),
        r"Z = X \, Y",
        {"X": r"g \, Y^T", "Y": r"X^T \, g"},
        ("A vector is a row on the left and a column on the right.",),
        {"X": "g @ Y.T", "Y": "X.T @ g"},
    ),
    "np.vecdot": Arraywise(
        "z", ("x", "y"), r"z = \sum_i x_i \, y_i", {"x_i": r"g \cdot y_i", "y_i": r"g \cdot x_i"}
    ),
    "np.cross": Arraywise(
        "z", ("x", "y"), r"z = x \times y", {"x": r"y \times g", "y": r"g \times x"}
    ),
    "gl.affine": Arraywise(
        "Y",
        ("X", "W", "b"),
        r"Y = X \, W + b",
        {"X": r"g \, W^T", "W": r"X^T \, g", "b": r"\sum_i g_i"},
        ("$i$ counts the rows.",),
        {"X": "g @ W.T", "W": "X.T @ g", "b": "g.sum(0)"},
    ),
    **{
        name: Arraywise(
            "Y",
            ("X", "W", "b"),
            r"Y = X \, W^T + b",
            {"X": r"g \, W", "W": r"g^T \, X", "b": r"\sum_i g_i"},
            ("$i$ counts the rows.",),
            {"X": "g @ W", "W": "g.T @ X", "b": "g.sum(0)"},
        )
        for name in ("gl.linear", "gl.step_linear")
    },
    "np.tensordot": Arraywise(
        "z",
        ("x", "y"),
        r"z_{ij} = \sum_k x_{ik} \, y_{kj}",
        {"x_{ik}": r"\sum_j g_{ij} \, y_{kj}", "y_{kj}": r"\sum_i g_{ij} \, x_{ik}"},
        ("$k$ stands for the axes that are summed, $i$ and $j$ for the others.",),
    ),
    "np.einsum": Arraywise(
        "z",
        ("x",),
        r"z = \sum x_1 \cdot x_2 \cdots x_m",
        {"x_i": r"\sum g \cdot \prod_{j \ne i} x_j"},
        ("The sum is over all subscripts that $x_i$ does not have.",),
    ),
    "gl.sparse_matmul": Arraywise("Z", ("Y",), r"Z = X \, Y", {"Y": r"X^T \, g"}),
}

SHAPES: Entries = {
    **{
        name: Arraywise("y", ("x",), "y = x", {"x": "g"}, (SAME,))
        for name in ("np.reshape", "np.expand_dims", "np.squeeze")
    },
    "np.broadcast_to": Arraywise(
        "y", ("x",), "y_k = x", {"x": r"\sum_k g_k"}, ("$k$ counts the copies.",)
    ),
    **{
        name: moved("y_{ji} = x_{ij}", "g_{ji}", "Its axes go back to where they were.", index="ij")
        for name in ("np.transpose", "np.swapaxes", "np.moveaxis")
    },
    "np.flip": moved("y_{n-1-i} = x_i", "g_{n-1-i}"),
    "np.roll": moved("y_{i+k} = x_i", "g_{i+k}", "Indices are modulo the length; $k$ is shift."),
    "np.rot90": moved(
        "y_{n-1-j, i} = x_{ij}", "g_{n-1-j, i}", "for $k = 1$: it is turned back.", index="ij"
    ),
    "np.tril": moved(
        r"y_{ij} = x_{ij} \cdot [j \le i + k]", r"g_{ij} \cdot [j \le i + k]", index="ij"
    ),
    "np.triu": moved(
        r"y_{ij} = x_{ij} \cdot [j \ge i + k]", r"g_{ij} \cdot [j \ge i + k]", index="ij"
    ),
    "np.concatenate": moved("y_{s+i} = x_i", "g_{s+i}", "$x$ begins at place $s$ of the result."),
    "np.stack": moved("y_{ki} = x_i", "g_{ki}", "$x$ has place $k$ along the new axis."),
    "gl.unstack": moved("y_i = x_i", "g_i", "Each part is a result of its own."),
    "item": Arraywise(
        "y", ("x",), "y = x_k", {"x_k": "g"}, ("$k$ counts the results of an operation.",)
    ),
    "getitem": moved(
        "y_k = x_{i_k}", r"\sum_{k:\, i_k = j} g_k", "$i_k$ is the index of entry $k$.", index="j"
    ),
    "untake": moved(
        r"y_j = \sum_{k:\, i_k = j} x_k", "g_{i_k}", "$i_k$ is the index of entry $k$.", index="k"
    ),
    "gl.embedding": Arraywise(
        "y",
        ("w",),
        "y_k = w_{i_k}",
        {"w_j": r"\sum_{k:\, i_k = j} g_k"},
        ("$i_k$ is the row that is picked at place $k$.",),
    ),
    "np.pad": moved("y_{p+i} = x_i", "g_{p+i}", "$p$ elements are put before $x$."),
}

WINDOWS: Entries = {
    "gl.convolve": Arraywise(
        "y",
        ("x", "w", "b"),
        r"y_{not} = b_o + \sum_{c, i} w_{oci} \, x_{n, c, t+i}",
        {
            "x_{ncs}": r"\sum_{o, t, i:\, t+i = s} w_{oci} \, g_{not}",
            "w_{oci}": r"\sum_{n, t} g_{not} \, x_{n, c, t+i}",
            "b_o": r"\sum_{n, t} g_{not}",
        },
        (
            "$n$ counts samples, $c$ and $o$ channels, $t$ and $s$ places, $i$ the elements of "
            "the kernel.",
        ),
    ),
    "gl.conv_input": Arraywise(
        "x",
        ("y", "w"),
        r"x_{ncs} = \sum_{o, t, i:\, t+i = s} w_{oci} \, y_{not}",
        {
            "y_{not}": r"\sum_{c, i} w_{oci} \, g_{n, c, t+i}",
            "w_{oci}": r"\sum_{n, t} y_{not} \, g_{n, c, t+i}",
        },
    ),
    "gl.conv_weight": Arraywise(
        "w",
        ("y", "x"),
        r"w_{oci} = \sum_{n, t} y_{not} \, x_{n, c, t+i}",
        {
            "y_{not}": r"\sum_{c, i} g_{oci} \, x_{n, c, t+i}",
            "x_{ncs}": r"\sum_{o, t, i:\, t+i = s} g_{oci} \, y_{not}",
        },
    ),
    "gl.max_pool": moved(
        r"y_t = \max_i x_{t+i}",
        r"\sum_t g_t \cdot [s = a_t]",
        "$a_t$ is where the window at $t$ first meets its maximum.",
        index="s",
    ),
    "gl.avg_pool": moved(
        r"y_t = \frac{1}{k} \sum_i x_{t+i}",
        r"\frac{1}{k} \sum_{t, i:\, t+i = s} g_t",
        "$k$ is the number of elements of the window.",
        index="s",
    ),
    "gl.avg_unpool": moved(
        r"y_s = \frac{1}{k} \sum_{t, i:\, t+i = s} x_t",
        r"\frac{1}{k} \sum_i g_{t+i}",
        "$k$ is the number of elements of the window.",
        index="t",
    ),
}

NORMALIZED = (
    "$z = \\frac{x - m}{\\sqrt{v + \\varepsilon}}$",
    "with mean $m$ and variance $v$; $\\langle\\,\\cdot\\,\\rangle$ is the mean over the same "
    "elements.",
)
NORMALIZATION: Entries = {
    "gl.batch_norm": Arraywise(
        "y",
        ("x", "w", "b"),
        r"y = w \cdot z + b",
        {
            "x": r"\frac{w}{\sqrt{v + \varepsilon}} \cdot "
            r"\left( g - \langle g \rangle - z \cdot \langle g \cdot z \rangle \right)",
            "w": r"\sum g \cdot z",
            "b": r"\sum g",
        },
        NORMALIZED,
    ),
    "gl.layer_norm": Arraywise(
        "y",
        ("x", "w", "b"),
        r"y = w \cdot z + b",
        {
            "x": r"\frac{h - \langle h \rangle - z \cdot \langle h \cdot z \rangle}"
            r"{\sqrt{v + \varepsilon}}",
            "w": r"\sum g \cdot z",
            "b": r"\sum g",
        },
        (r"$h = w \cdot g$", *NORMALIZED),
    ),
}

RECURRENT: Entries = {
    "gl.lstm_cell": Arraywise(
        "h",
        ("p", "c"),
        r"h = o \cdot \tanh k, \quad k = f \cdot c + i \cdot z",
        {
            "p": r"\left( d \, z \, i \, (1 - i), \; d \, c \, f \, (1 - f), \; "
            r"d \, i \, (1 - z^2), \; g \, o \, (1 - o) \tanh k \right)",
            "c": r"d \cdot f",
        },
        (
            r"$i = \sigma(p_1)$, $f = \sigma(p_2)$, $z = \tanh p_3$, $o = \sigma(p_4)$ of the four "
            "parts of $p$.",
            r"$d = \frac{dL}{dk} + g \cdot o \cdot (1 - \tanh^2 k)$",
        ),
    ),
    "gl.gru_cell": Arraywise(
        "y",
        ("p", "q", "h"),
        r"y = (1 - z) \cdot n + z \cdot h",
        {
            "p": r"\left( a, \; b, \; d \right)",
            "q": r"\left( a, \; b, \; d \cdot r \right)",
            "h": r"g \cdot z",
        },
        (
            r"$r = \sigma(p_1 + q_1)$, $z = \sigma(p_2 + q_2)$, $n = \tanh(p_3 + r \cdot q_3)$ of "
            "the three parts of $p$ and $q$.",
            r"$d = g \cdot (1 - z) \cdot (1 - n^2)$, $a = d \cdot q_3 \cdot r \, (1 - r)$, "
            r"$b = g \cdot (h - n) \cdot z \, (1 - z)$",
        ),
    ),
}

ARRAYS: Entries = {
    **REDUCTIONS, **PRODUCTS, **SHAPES, **WINDOWS, **NORMALIZATION, **RECURRENT,
}  # fmt: skip
