"""NumPy functions that a program cannot have, or not in every way, and those that are methods."""

import numpy as np

DATA_DEPENDENT = (
    np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.extract, np.compress, np.union1d,
    np.intersect1d, np.setdiff1d, np.trim_zeros, np.setxor1d, np.unique_all, np.unique_counts,
    np.unique_inverse, np.unique_values, np.bincount, np.roots, np.histogram,
)  # fmt: skip
SHAPES = {
    np.repeat, np.tile, np.pad, np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit,
    np.reshape, np.resize, np.broadcast_to, np.delete, np.insert, np.swapaxes, np.moveaxis,
    np.transpose, np.expand_dims, np.squeeze, np.sum, np.mean, np.max, np.min,
}  # fmt: skip
"""Functions whose further arguments say something of shapes: those are constants."""
CHANGING = (
    np.fill_diagonal, np.put, np.putmask, np.place, np.put_along_axis,
)  # fmt: skip
METADATA = (np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj)
METHODS = {
    fn.__name__: fn
    for fn in (
        np.sum, np.mean, np.prod, np.var, np.std, np.max, np.min, np.any, np.all, np.cumsum,
        np.cumprod, np.trace, np.diagonal, np.ravel, np.swapaxes, np.squeeze, np.repeat, np.take,
        np.clip, np.round, np.dot, np.argmax, np.argmin, np.argsort, np.searchsorted,
        np.ptp,
    )
}  # fmt: skip
"""The methods of arrays that are NumPy functions by another name."""
