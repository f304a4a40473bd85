"""The specs of sparse: a row a function."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from gradlite.autodiff.rules.sparse import embedding, sparse_matmul
from tests.specs.kit import LACKS, R, Spec, call

# Small whole numbers, of a type that leaves float32 as it is.
ENTRIES = np.array([[0, 2, 0], [0, 0, 0], [1, 0, -3], [0, 0, 4]], np.float32)

SPARSE = [
    Spec(
        "sparse",
        sparse_matmul,
        [
            call(R(3, 2), x=scipy.sparse.csr_array(ENTRIES)),
            call(R(4, 2), x=scipy.sparse.csr_matrix(ENTRIES).T),
            call(R(3, 1), x=scipy.sparse.coo_array(ENTRIES)),
            call(R(3, 2), x=scipy.sparse.csr_array(ENTRIES[:0])),
        ],
        reference=lambda y, x: x.toarray() @ y,
        twin=None,
        why=LACKS,
    ),
    Spec(
        "sparse",
        embedding,
        [
            call(R(4, 2), indices=np.array([3, 0, 3])),
            call(R(4, 2), indices=np.array([[1, 1], [1, 0]], np.uint8)),
            call(R(4, 2), indices=np.array(2)),
            call(R(4, 2), indices=np.zeros((0, 3), int)),
        ],
        reference=lambda weight, indices: weight[indices],
        twin=None,
        why=LACKS,
    ),
]
