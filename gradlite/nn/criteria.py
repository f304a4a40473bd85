"""Losses as modules, under PyTorch's names: each keeps its options and calls `nn.functional`.

`reduction` is 'mean', 'sum' or 'none'. It stands behind `size_average` and `reduce` in the order
of arguments, as in PyTorch; these two are refused. Weights are buffers: part of `state_dict`.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

import numpy as np

from gradlite.autodiff.operands import plain_array
from gradlite.errors import ShapeError
from gradlite.nn import functional as F
from gradlite.nn.functional.losses import refuse_legacy
from gradlite.nn.module import Module


class _Loss(Module):
    """Base of the losses."""

    def __init__(self, size_average: Any, reduce: Any, reduction: str) -> None:
        refuse_legacy(type(self).__name__, size_average, reduce)
        self.reduction = reduction

    def extra_repr(self) -> str:
        """Return the options that differ from their defaults."""
        usual = inspect.signature(type(self)).parameters.values()
        given = ((p.name, getattr(self, p.name, None), p.default) for p in usual)
        return ", ".join(
            f"{name}={value!r}"
            for name, value, default in given
            if value is not None and not isinstance(value, np.ndarray) and value != default
        )


class _WeightedLoss(_Loss):
    """Base of the losses with weights."""

    weight: Any
    pos_weight: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Create the module, also of an array: the first argument of these is one."""
        return object.__new__(cls)

    def _keep(self, name: str, weight: Any, axes: int | None = None) -> None:
        """Keep a weight as a buffer, or None."""
        if weight is None:
            setattr(self, name, None)
            return
        kind = type(self).__name__
        weight = plain_array(weight, f"{kind}: {name} is")
        if axes is not None and weight.ndim != axes:
            raise ShapeError(
                f"{kind}: {name} has an entry for each class, shape (n_classes,), not "
                f"{weight.shape}. Scores and targets are for the call: loss = {kind}(); "
                f"loss(scores, target)."
            )
        dtype = weight.dtype if weight.dtype.kind == "f" else np.float32
        self.register_buffer(name, np.asarray(weight, dtype))


# -- classes ----------------------------------------------------------------------------------


class CrossEntropyLoss(_WeightedLoss):
    """Compute the cross-entropy of scores, with the classes on axis 1.

    Parameters
    ----------
    weight : array_like, shape (n_classes,), optional
        The weight of each class.
    ignore_index : int, default -100
        A class that does not count.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses; the mean divides by the weights of the targets.
    label_smoothing : float, default 0.0
        The share of each target that is spread over all classes.

    Notes
    -----
    It calls `gradlite.nn.functional.cross_entropy`.

    Examples
    --------
    >>> import numpy as np
    >>> loss = CrossEntropyLoss(label_smoothing=0.1)
    >>> loss
    CrossEntropyLoss(label_smoothing=0.1)
    >>> round(float(loss(np.zeros((5, 3)), np.array([0, 1, 2, 0, 1]))), 6)
    1.098612
    """

    def __init__(
        self, weight: Any = None, size_average: Any = None, ignore_index: int = -100,
        reduce: Any = None, reduction: str = "mean", label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._keep("weight", weight, axes=1)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of scores against classes or probabilities."""
        return F.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index,
            reduction=self.reduction, label_smoothing=self.label_smoothing,
        )  # fmt: skip


class NLLLoss(_WeightedLoss):
    """Compute the negative log-likelihood of classes: see `gradlite.nn.functional.nll_loss`.

    The parameters are those of `CrossEntropyLoss`, without `label_smoothing`.

    Examples
    --------
    >>> import numpy as np
    >>> float(NLLLoss()(np.array([[-1.0, -2.0]]), np.array([1])))
    2.0
    """

    def __init__(
        self, weight: Any = None, size_average: Any = None, ignore_index: int = -100,
        reduce: Any = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._keep("weight", weight, axes=1)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of log-probabilities against classes."""
        return F.nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class BCELoss(_WeightedLoss):
    """Compute the binary cross-entropy of probabilities: see `functional.binary_cross_entropy`.

    Parameters
    ----------
    weight : array_like, optional
        Multiplies the losses; of a shape that broadcasts to theirs.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses.

    Examples
    --------
    >>> BCELoss(reduction="none")([0.0, 0.5], [1.0, 0.5])
    array([100.        ,   0.69314718])
    """

    def __init__(
        self, weight: Any = None, size_average: Any = None, reduce: Any = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._keep("weight", weight)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of probabilities against probabilities."""
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """Compute the binary cross-entropy of scores before the sigmoid.

    See `gradlite.nn.functional.binary_cross_entropy_with_logits`, which it calls.

    Parameters
    ----------
    weight : array_like, optional
        Multiplies the losses; of a shape that broadcasts to theirs.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses.
    pos_weight : float or array_like, optional
        The weight of positive targets; of a shape that broadcasts to that of the scores.

    Examples
    --------
    >>> import numpy as np
    >>> loss = BCEWithLogitsLoss(pos_weight=np.array([3.0]))
    >>> round(float(loss(np.zeros((2, 1)), np.array([[1.0], [0.0]]))), 6)  # (3 + 1) / 2 * log(2)
    1.386294
    """

    def __init__(
        self, weight: Any = None, size_average: Any = None, reduce: Any = None,
        reduction: str = "mean", pos_weight: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._keep("weight", weight)
        self._keep("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of scores against probabilities."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Average the binary cross-entropy of scores over the labels of each row.

    See `gradlite.nn.functional.multilabel_soft_margin_loss`; the parameters are those of `BCELoss`.
    """

    def __init__(
        self, weight: Any = None, size_average: Any = None, reduce: Any = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._keep("weight", weight)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of scores against labels 0 and 1."""
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """Compute the hinge loss of scores of classes: see `functional.multi_margin_loss`.

    Parameters
    ----------
    p : {1, 2}
        The exponent.
    margin : float, default 1.0
        By how much the target is to be ahead.
    weight : array_like, shape (n_classes,), optional
        The weight of each class.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses.
    """

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Any = None, size_average: Any = None,
        reduce: Any = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.p = p
        self.margin = margin
        self._keep("weight", weight, axes=1)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of scores against classes."""
        return F.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, reduction=self.reduction
        )


# -- differences and likelihoods --------------------------------------------------------------


class MSELoss(_Loss):
    """Compute the squared error ``(input - target)**2``.

    Examples
    --------
    >>> float(MSELoss()([1.0, 2.0], [0.0, 0.0]))
    2.5
    """

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(MSELoss):
    """Compute the absolute error ``|input - target|``.

    Examples
    --------
    >>> float(L1Loss()([1.0, 2.0], [0.0, 4.0]))
    1.5
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Compute ``d**2 / (2 * beta)`` for ``|d| < beta``, ``|d| - beta/2`` beyond.

    Examples
    --------
    >>> SmoothL1Loss(reduction="none")([0.5, 10.0], [0.0, 0.0])
    array([0.125, 9.5  ])
    """

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Compute ``d**2 / 2`` for ``|d| <= delta``, ``delta * (|d| - delta/2)`` beyond.

    Examples
    --------
    >>> HuberLoss("none")([0.5, 10.0], [0.0, 0.0])
    array([0.125, 9.5  ])
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(None, None, reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return F.huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(_Loss):
    """Compute the Kullback-Leibler divergence from log-probabilities: see `functional.kl_div`.

    Its reduction may be 'batchmean', the mean over rows, as well.
    """

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
        log_target: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        """Return the divergence of probabilities from log-probabilities."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """Compute the loss of counts of a Poisson distribution: see `functional.poisson_nll_loss`."""

    def __init__(
        self, log_input: bool = True, full: bool = False, size_average: Any = None,
        eps: float = 1e-8, reduce: Any = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of rates, or of their logarithms, against counts."""
        return F.poisson_nll_loss(
            input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """Compute the loss of a mean and a variance: see `functional.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(None, None, reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        """Return the loss of means and variances against numbers."""
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


# -- pairs and triplets -----------------------------------------------------------------------


class HingeEmbeddingLoss(_Loss):
    """Pull pairs with target 1 together, and push those with -1 to a distance of `margin`.

    See `gradlite.nn.functional.hinge_embedding_loss`.
    """

    def __init__(
        self, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of distances against targets -1 and 1."""
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """Compute ``max(0, |anchor - positive| - |anchor - negative| + margin)``.

    See `gradlite.nn.functional.triplet_margin_loss`.
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
        size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        """Return the loss of three arrays of vectors."""
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap,
            reduction=self.reduction,
        )  # fmt: skip


class CosineEmbeddingLoss(_Loss):
    """Turn pairs with target 1 the same way, and those with -1 away from each other.

    See `gradlite.nn.functional.cosine_embedding_loss`.
    """

    def __init__(
        self, margin: float = 0.0, size_average: Any = None, reduce: Any = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """Return the loss of pairs of vectors against targets -1 and 1."""
        return F.cosine_embedding_loss(
            input1, input2, target, self.margin, reduction=self.reduction
        )


class MarginRankingLoss(CosineEmbeddingLoss):
    """Compute ``max(0, margin - target * (input1 - input2))``."""

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """Return the loss of pairs of scores against targets -1 and 1."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)
