"""The table of specs: a row for every function that has a derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gradlite as gl
from tests.specs.convolution import CONVOLUTION
from tests.specs.elementwise import ELEMENTWISE
from tests.specs.fused import FUSED
from tests.specs.indexing import INDEXING
from tests.specs.linalg import LINALG
from tests.specs.losses import LOSSES
from tests.specs.normalization import NORMALIZATION
from tests.specs.recurrent import RECURRENT
from tests.specs.reductions import REDUCTIONS
from tests.specs.shape import SHAPE
from tests.specs.sparse import SPARSE

SPECS = [
    *ELEMENTWISE,
    *REDUCTIONS,
    *SHAPE,
    *INDEXING,
    *LINALG,
    *FUSED,
    *LOSSES,
    *SPARSE,
    *CONVOLUTION,
    *NORMALIZATION,
    *RECURRENT,
]

# -- the functions that the specification of the engine names -----------------------------------

NAMED = """
    add subtract multiply divide power negative positive absolute sign exp exp2 expm1 log log2 log10
    log1p sqrt cbrt square reciprocal sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh
    arcsinh arccosh arctanh maximum minimum fmax fmin clip where logaddexp logaddexp2 hypot sinc
    nan_to_num floor ceil round trunc mod remainder
    gl.relu gl.sigmoid gl.softplus gl.gelu gl.silu gl.leaky_relu gl.elu gl.erf
    sum mean prod var std max amax min amin cumsum cumprod ptp median average trace linalg.norm
    gl.logsumexp gl.softmax gl.log_softmax
    reshape ravel transpose swapaxes moveaxis rollaxis expand_dims squeeze broadcast_to
    atleast_1d atleast_2d atleast_3d concatenate stack vstack hstack dstack column_stack split
    array_split repeat tile flip roll rot90 pad diag diagonal tril triu meshgrid
    take take_along_axis sort
    matmul dot vdot inner outer tensordot einsum kron cross linalg.inv linalg.solve linalg.det
    linalg.slogdet linalg.cholesky linalg.eigh linalg.svd linalg.pinv linalg.matrix_power
    linalg.multi_dot
    gl.affine
"""
NAMED_PLAIN = """
    argsort argmax searchsorted equal not_equal less less_equal greater greater_equal
    logical_and logical_or logical_xor logical_not
"""


def resolve(name: str) -> Callable[..., Any]:
    """Find the function that a name in these lists means."""
    found: Any = gl if name.startswith("gl.") else np
    for part in name.removeprefix("gl.").split("."):
        found = getattr(found, part)
    return found
