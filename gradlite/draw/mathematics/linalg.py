"""The formulas of linear algebra, of one matrix each (and of one number, between them)."""

from __future__ import annotations

from gradlite.draw.mathematics.entry import Arraywise, Elementwise, Entries

SYMMETRIC = "$\\operatorname{sym}(M) = \\frac{1}{2} (M + M^T)$"

LINALG: Entries = {
    "np.linalg.inv": Arraywise("Y", ("A",), "Y = A^{-1}", {"A": r"-Y^T \, g \, Y^T"}),
    "np.linalg.solve": Arraywise(
        "X",
        ("A", "B"),
        r"A \, X = B",
        {"A": r"-A^{-T} \, g \, X^T", "B": r"A^{-T} \, g"},
    ),
    "np.linalg.pinv": Arraywise(
        "Y",
        ("A",),
        "Y = A^+",
        {"A": r"-Y^T g Y^T + (1 - A Y) \, g^T Y Y^T + Y^T Y g^T (1 - Y A)"},
        ("where the rank does not change.",),
    ),
    "np.linalg.multi_dot": Arraywise(
        "Y",
        ("M",),
        r"Y = M_1 \cdots M_n",
        {"M_i": r"(M_1 \cdots M_{i-1})^T \, g \, (M_{i+1} \cdots M_n)^T"},
    ),
    "np.linalg.det": Arraywise(
        "y", ("A",), r"y = \det A", {"A": r"g \cdot y \cdot A^{-T}"}, ("Also where it is 0.",)
    ),
    "np.linalg.slogdet": Arraywise(
        "y", ("A",), r"y = \ln \left| \det A \right|", {"A": r"g \cdot A^{-T}"}
    ),
    "gl.cofactor": Arraywise(
        "Y",
        ("A",),
        r"Y = \det A \cdot A^{-T}",
        {"A": r"\langle g, Y \rangle \cdot A^{-T} - Y \, g^T A^{-T}"},
        ("$\\langle\\,\\cdot\\,\\rangle$ is the sum of products of the elements.",),
    ),
    "np.linalg.cholesky": Arraywise(
        "Y",
        ("A",),
        r"A = Y \, Y^T",
        {"A": r"\operatorname{sym}\left( Y^{-T} \, P \, Y^{-1} \right)"},
        ("$P$ is the lower triangle of $Y^T g$, with half its diagonal.", SYMMETRIC),
    ),
    "np.linalg.eigh": Arraywise(
        "V",
        ("A",),
        r"A = V \operatorname{diag}(w) \, V^T",
        {"A": r"V \left( \operatorname{diag}\left(\frac{dL}{dw}\right) + E \right) V^T"},
        (
            "$E_{ij} = \\frac{(V^T g)_{ij}}{w_j - w_i}$, and 0 where $i = j$.",
            "Its symmetric part is taken.",
            "Where eigenvalues are equal, $E$ is NaN.",
        ),
    ),
    "np.linalg.svd": Arraywise(
        "U",
        ("A",),
        r"A = U \operatorname{diag}(s) \, V^T",
        {"A": r"U \left( \operatorname{diag}\left(\frac{dL}{ds}\right) + E \right) V^T + R"},
        (
            "$E_{ij} = \\frac{s_j P_{ij} + s_i Q_{ij}}{s_j^2 - s_i^2}$, and 0 where $i = j$;",
            "$P = M - M^T$ of $M = U^T \\frac{dL}{dU}$,",
            "$Q = N - N^T$ of $N = V^T \\frac{dL}{dV}$;",
            "$R = (1 - U U^T) \\frac{dL}{dU} \\operatorname{diag}(s)^{-1} V^T$ of a tall matrix, "
            "$U \\operatorname{diag}(s)^{-1} \\left(\\frac{dL}{dV}\\right)^T (1 - V V^T)$ of a "
            "wide one, and 0 of a square one.",
            "Where singular values are equal, $E$ is NaN, and where one is 0, $R$.",
        ),
    ),
    "gl.over_gap": Elementwise(
        "z",
        ("x", "d", "v"),
        "x / d",
        {"x": "g * (1 / d)", "d": "-g * (x / d**2)"},
        ("NaN where the gap d of the values v is no more than rounding error.",),
    ),
}
