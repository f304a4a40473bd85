"""Multi-head attention.

Names, argument orders, weights, initial values and outputs are PyTorch's.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from gradlite.autodiff.rules.fused import linear
from gradlite.autodiff.rules.shape import unstack
from gradlite.autodiff.rules.softmax import softmax
from gradlite.errors import DtypeError, ShapeError
from gradlite.nn import init
from gradlite.nn.layers import Dropout, Linear, check_size
from gradlite.nn.module import Module, Parameter, Rng, generator
from gradlite.nn.normalization import options


class MultiheadAttention(Module):
    """Let each position of a sequence take a weighted mean of values, several times in parallel.

    In each head, the weights are ``softmax(q @ k.T / sqrt(d))``, where q, k and v are linear in
    `query`, `key` and `value`; the means ``weights @ v`` of all heads are joined and go through
    `out_proj`. Vaswani et al., "Attention is all you need" (arXiv:1706.03762).

    Parameters
    ----------
    embed_dim : int
        The length of queries and outputs.
    num_heads : int
        The number of heads, each of ``d = embed_dim / num_heads`` features.
    dropout : float, default 0.0
        The probability with which weights are dropped in training; see `Dropout`.
    bias : bool, default True
        Whether to add biases.
    add_bias_kv, add_zero_attn : bool, default False
        Not supported; only False.
    kdim, vdim : int, optional
        The lengths of keys and values; those of queries by default.
    batch_first : bool, default False
        Whether inputs and outputs are (n, time, features) in place of (time, n, features).
    dtype : dtype, default float32
        The type of the parameters.
    rng : Generator, optional
        Where the initial values and the dropout come from.

    Attributes
    ----------
    in_proj_weight : Parameter, shape (3 * embed_dim, embed_dim)
        The weights of queries, keys and values; at first of Glorot's uniform distribution.
    q_proj_weight, k_proj_weight, v_proj_weight : Parameter, shape (embed_dim, ...)
        In place of it, if `kdim` or `vdim` differ from `embed_dim`.
    in_proj_bias : Parameter, shape (3 * embed_dim,), or None
        Their biases, at first zero.
    out_proj : Linear
        Applied to the joined heads; its bias is zero at first.

    Examples
    --------
    >>> import numpy as np
    >>> attention = MultiheadAttention(8, 2, batch_first=True, rng=np.random.default_rng(0))
    >>> x = np.ones((3, 5, 8), np.float32)
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        if add_bias_kv or add_zero_attn:
            raise ValueError(
                "MultiheadAttention does not support add_bias_kv and add_zero_attn: append the "
                "row to key and value before the call."
            )
        self.embed_dim = check_size(self, "embed_dim", embed_dim)
        self.num_heads = check_size(self, "num_heads", num_heads)
        self.kdim = check_size(self, "kdim", embed_dim if kdim is None else kdim)
        self.vdim = check_size(self, "vdim", embed_dim if vdim is None else vdim)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim {embed_dim} is not a multiple of num_heads "
                f"{num_heads}."
            )
        self.dropout = dropout
        self.batch_first = batch_first
        rng = generator(rng)
        widths = {"q": embed_dim, "k": self.kdim, "v": self.vdim}
        self.in_proj_weight = None
        if set(widths.values()) == {embed_dim}:
            weight = Parameter(np.empty((3 * embed_dim, embed_dim), dtype), copy=False)
            self.in_proj_weight = init.xavier_uniform(weight, rng=rng)
        else:
            for name, width in widths.items():
                weight = Parameter(np.empty((embed_dim, width), dtype), copy=False)
                setattr(self, f"{name}_proj_weight", init.xavier_uniform(weight, rng=rng))
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype, rng=rng)
        if self.out_proj.bias is not None:
            init.zeros(self.out_proj.bias)
        self.weight_dropout = Dropout(dropout, rng=rng) if dropout else None

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Return the output of each query, and the weights.

        Parameters
        ----------
        query : array_like or Tensor, shape (time, n, embed_dim)
            The queries; (n, time, embed_dim) with `batch_first`, (time, embed_dim) for one
            sequence, for which masks and weights have no axis of the batch either.
        key, value : array_like or Tensor, shape (source, n, kdim) and (source, n, vdim)
            Keys and values, laid out in the same way.
        key_padding_mask : array_like, shape (n, source), optional
            True where a key is padding, which gets no weight; or numbers to add.
        need_weights : bool, default True
            Whether to return the weights.
        attn_mask : array_like or Tensor, shape (time, source) or (n * num_heads, time, source)
            True where a query must not see a key, or numbers to add, such as those of
            `Transformer.generate_square_subsequent_mask`. Optional.
        average_attn_weights : bool, default True
            Whether to return the mean of the weights over the heads.
        is_causal : bool, default False
            A hint that `attn_mask` is causal, without effect.

        Returns
        -------
        output : array or Tensor, of the shape of `query`
        weights : array or Tensor, shape (n, time, source), or (n, num_heads, time, source)
            None unless `need_weights`.
        """
        if is_causal and attn_mask is None:
            raise ValueError(
                f"{self._title()} takes is_causal=True only together with attn_mask: pass "
                f"nn.Transformer.generate_square_subsequent_mask(time)."
            )
        self._check(query, key, value)
        single = len(np.shape(query)) == 2
        q, k, v = self._projected(query, key, value, single)
        scores = np.matmul(q * (1 / sqrt(q.shape[-1])), np.swapaxes(k, -1, -2))
        mask = self._mask(attn_mask, key_padding_mask, scores, single)
        weights = softmax(scores if mask is None else scores + mask)
        if self.weight_dropout is not None:
            weights = self.weight_dropout(weights)
        # (n, heads, time, d), with the axes back where they were
        means = np.transpose(
            np.matmul(weights, v), (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3)
        )
        output = self.out_proj(np.reshape(means, (-1, self.embed_dim)))
        output = np.reshape(output, np.shape(query))
        if not need_weights:
            return output, None
        weights = np.mean(weights, axis=1) if average_attn_weights else weights
        return output, weights[0] if single else weights

    def _check(self, query: Any, key: Any, value: Any) -> None:
        """Raise ShapeError unless the shapes fit."""
        shapes = [np.shape(x) for x in (query, key, value)]
        widths = (self.embed_dim, self.kdim, self.vdim)
        axis = 0 if self.batch_first else 1
        fit = (
            len(shapes[0]) in (2, 3)
            and all(len(s) == len(shapes[0]) for s in shapes)
            and all(s[-1] == n for s, n in zip(shapes, widths, strict=True))
            and shapes[1][:-1] == shapes[2][:-1]
            and (len(shapes[0]) == 2 or shapes[0][axis] == shapes[1][axis])
        )
        if not fit:
            axes = "(n, time, {})" if self.batch_first else "(time, n, {})"
            expected = ", ".join(axes.format(n) for n in widths)
            raise ShapeError(
                f"{self._title()} got query, key and value of shapes "
                f"{', '.join(map(str, shapes))}: expected {expected}, or all without n."
            )

    def _projected(self, query: Any, key: Any, value: Any, single: bool) -> tuple[Any, Any, Any]:
        """Return queries, keys and values, each (n, num_heads, time, d)."""
        bias, weight = self.in_proj_bias, self.in_proj_weight
        if query is key is value and weight is not None:
            q, k, v = unstack(self._heads(query, weight, bias, 3, single))
            return q, k, v
        names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        weights = [getattr(self, n) for n in names] if weight is None else np.split(weight, 3)
        biases = [None] * 3 if bias is None else np.split(bias, 3)
        q, k, v = (
            self._heads(x, w, b, 1, single)[0]
            for x, w, b in zip((query, key, value), weights, biases, strict=True)
        )
        return q, k, v

    def _heads(self, x: Any, weight: Any, bias: Any, count: int, single: bool) -> Any:
        """Return `count` linear maps of the rows, (count, n, num_heads, time, d)."""
        shape = np.shape(x)
        if single:
            shape = (1, *shape) if self.batch_first else (shape[0], 1, shape[1])
        rows = linear(np.reshape(x, (-1, shape[-1])), weight, bias)
        d = self.embed_dim // self.num_heads
        heads = np.reshape(rows, (*shape[:2], count, self.num_heads, d))
        return np.transpose(heads, (2, 0, 3, 1, 4) if self.batch_first else (2, 1, 3, 0, 4))

    def _mask(self, attn_mask: Any, key_padding_mask: Any, scores: Any, single: bool) -> Any:
        """Return the sum of both masks, as numbers to add to the scores, or None."""
        n, heads, time, source = scores.shape
        total = None
        if attn_mask is not None:
            mask = self._as_numbers("attn_mask", attn_mask, scores.dtype)
            if mask.shape not in ((time, source), (n * heads, time, source)):
                raise ShapeError(
                    f"{self._title()} got an attn_mask of shape {mask.shape}: expected "
                    f"({time}, {source}) or ({n * heads}, {time}, {source})."
                )
            total = mask if mask.ndim == 2 else np.reshape(mask, (n, heads, time, source))
        if key_padding_mask is not None:
            mask = self._as_numbers("key_padding_mask", key_padding_mask, scores.dtype)
            expected = (source,) if single else (n, source)
            if mask.shape != expected:
                raise ShapeError(
                    f"{self._title()} got a key_padding_mask of shape {mask.shape}: expected "
                    f"{expected}."
                )
            mask = np.reshape(mask, (n, 1, 1, source))
            total = mask if total is None else total + mask
        return total

    def _as_numbers(self, name: str, mask: Any, dtype: Any) -> Any:
        """Return a mask as numbers to add: -inf in place of True."""
        mask = mask if hasattr(mask, "dtype") else np.asarray(mask)
        if mask.dtype == bool:
            return np.where(mask, dtype.type(-np.inf), dtype.type(0))
        if mask.dtype.kind != "f":
            raise DtypeError(
                f"{self._title()}: {name} holds {mask.dtype} data: expected booleans, or numbers "
                f"to add. Write mask.astype(bool), where True hides a key."
            )
        return mask if mask.dtype == dtype else mask.astype(dtype)

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        usual = {
            "dropout": 0.0,
            "batch_first": False,
            "kdim": self.embed_dim,
            "vdim": self.embed_dim,
        }
        return f"{self.embed_dim}, {self.num_heads}{options(self, usual)}"
