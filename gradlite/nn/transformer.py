"""Transformers: encoder and decoder layers, and stacks of them.

Names, argument orders, weights, initial values and outputs are PyTorch's. Vaswani et al.,
"Attention is all you need" (arXiv:1706.03762).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from gradlite.autodiff.rules.activations import gelu, relu
from gradlite.nn import init
from gradlite.nn.attention import MultiheadAttention
from gradlite.nn.containers import check_module
from gradlite.nn.layers import Dropout, Linear, check_size
from gradlite.nn.module import Module, Rng, generator
from gradlite.nn.normalization import LayerNorm

M = TypeVar("M", bound=Module)
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": relu, "gelu": gelu}


class TransformerLayer(Module):
    """What encoder and decoder layers share: attention and a network of two linear layers."""

    attentions: tuple[str, ...] = ("self_attn",)

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise ValueError(
                f"{type(self).__name__}: activation must be 'relu', 'gelu' or a function, not "
                f"{activation!r}."
            )
        rng = generator(rng)
        for name in self.attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, rng=rng
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype, rng=rng)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, rng=rng)
        self.norm_first = norm_first
        count = len(self.attentions) + 1
        for i in range(count):
            setattr(
                self, f"norm{i + 1}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
            )
        for i in range(count):
            setattr(self, f"dropout{i + 1}", Dropout(dropout, rng=rng))
        self.activation = ACTIVATIONS[activation] if isinstance(activation, str) else activation

    def _add(self, i: int, x: Any, part: Callable[[Any], Any]) -> Any:
        """Add the output of a part to its input, with the normalization before or after it."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(TransformerLayer):
    """Attend to all positions of a sequence, then apply a small network to each.

    Parameters
    ----------
    d_model : int
        The length of inputs and outputs.
    nhead : int
        The number of heads of the attention.
    dim_feedforward : int, default 2048
        The width of the network.
    dropout : float, default 0.1
        The probability of being dropped, of attention weights, hidden values and outputs.
    activation : {"relu", "gelu"} or callable, default "relu"
        The activation of the network.
    layer_norm_eps : float, default 1e-5
        The `eps` of the normalizations.
    batch_first : bool, default False
        Whether inputs and outputs are (n, time, d_model) in place of (time, n, d_model).
    norm_first : bool, default False
        Whether inputs of attention and network are normalized, in place of the sums after them.
    bias : bool, default True
        Whether linear layers and normalizations add biases.
    dtype : dtype, default float32
        The type of the parameters.
    rng : Generator, optional
        Where the initial values and the dropout come from.

    Attributes
    ----------
    self_attn : MultiheadAttention
        The attention.
    linear1, linear2 : Linear
        The network.
    norm1, norm2 : LayerNorm
        The normalizations.

    Examples
    --------
    >>> import numpy as np
    >>> layer = TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> layer(np.ones((3, 5, 8), np.float32)).shape
    (3, 5, 8)
    """

    self_attn: MultiheadAttention

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        """Return the sequence transformed; the masks are those of `MultiheadAttention`."""

        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )[0]

        return self._add(2, self._add(1, src, attend), self._feed_forward)


class TransformerDecoderLayer(TransformerLayer):
    """Attend to all positions of a sequence, then to an encoder's output, then apply a network.

    Parameters are those of `TransformerEncoderLayer`.

    Attributes
    ----------
    self_attn, multihead_attn : MultiheadAttention
        The attention to the sequence, and to the encoder's output.
    linear1, linear2 : Linear
        The network.
    norm1, norm2, norm3 : LayerNorm
        The normalizations.

    Examples
    --------
    >>> import numpy as np
    >>> layer = TransformerDecoderLayer(8, 2, 16, batch_first=True)
    >>> layer(np.ones((3, 5, 8), np.float32), np.ones((3, 7, 8), np.float32)).shape
    (3, 5, 8)
    """

    attentions = ("self_attn", "multihead_attn")
    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return the sequence transformed; the masks are those of `MultiheadAttention`."""

        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )[0]

        def attend_memory(x: Any) -> Any:
            return self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                False,
                memory_mask,
                is_causal=memory_is_causal,
            )[0]

        x = self._add(2, self._add(1, tgt, attend), attend_memory)
        return self._add(3, x, self._feed_forward)


def copies(owner: Module, layer: M, count: int) -> list[M]:
    """Return copies of a layer, which all draw from the layer's own generator."""
    name = type(owner).__name__
    check_module(name, layer)
    # With a generator each, all would drop the same elements.
    generators = [x for m in layer.modules() for x in vars(m).values()]
    memo = {id(x): x for x in generators if isinstance(x, np.random.Generator)}
    number = check_size(owner, "num_layers", count)
    return [copy.deepcopy(layer, dict(memo)) for _ in range(number)]


class TransformerEncoder(Module):
    """Apply encoder layers one after the other.

    Parameters
    ----------
    encoder_layer : TransformerEncoderLayer
        The layer; as in PyTorch, copies of it with the same initial values are used.
    num_layers : int
        The number of copies.
    norm : Module, optional
        Applied to the output.
    enable_nested_tensor : bool, default True
        PyTorch's; without effect.

    Examples
    --------
    >>> import numpy as np
    >>> encoder = TransformerEncoder(TransformerEncoderLayer(8, 2, 16), num_layers=3)
    >>> mask = Transformer.generate_square_subsequent_mask(5)
    >>> encoder(np.ones((5, 2, 8), np.float32), mask=mask).shape
    (5, 2, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
    ) -> None:
        self.layers = copies(self, encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        """Return the sequence transformed; the masks are those of `MultiheadAttention`."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Apply decoder layers one after the other.

    Parameters
    ----------
    decoder_layer : TransformerDecoderLayer
        The layer; as in PyTorch, copies of it with the same initial values are used.
    num_layers : int
        The number of copies.
    norm : Module, optional
        Applied to the output.

    Examples
    --------
    >>> import numpy as np
    >>> decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), num_layers=3)
    >>> decoder(np.ones((5, 2, 8), np.float32), np.ones((7, 2, 8), np.float32)).shape
    (5, 2, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = copies(self, decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return the sequence transformed; the masks are those of `MultiheadAttention`."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                bool(memory_is_causal),
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encode one sequence, and decode another with the first in sight.

    Parameters
    ----------
    d_model, nhead : int, default 512 and 8
        The length of inputs and outputs, and the number of heads.
    num_encoder_layers, num_decoder_layers : int, default 6
        The number of layers.
    dim_feedforward, dropout, activation
        Those of `TransformerEncoderLayer`.
    layer_norm_eps, batch_first, norm_first, bias, dtype, rng
        Those of `TransformerEncoderLayer`, by name.

    Attributes
    ----------
    encoder : TransformerEncoder
        The encoder, with a normalization at its end.
    decoder : TransformerDecoder
        The decoder, likewise. All matrices are at first of Glorot's uniform distribution.

    Examples
    --------
    >>> import numpy as np
    >>> model = Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> source, target = np.ones((3, 7, 8), np.float32), np.ones((3, 5, 8), np.float32)
    >>> model(source, target, tgt_mask=model.generate_square_subsequent_mask(5)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        *,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        rng = generator(rng)
        sizes: tuple[Any, ...] = (d_model, nhead, dim_feedforward, dropout, activation)
        others: tuple[Any, ...] = (layer_norm_eps, batch_first, norm_first, bias)
        norms = [LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype) for _ in range(2)]
        encoder_layer = TransformerEncoderLayer(*sizes, *others, dtype=dtype, rng=rng)
        decoder_layer = TransformerDecoderLayer(*sizes, *others, dtype=dtype, rng=rng)
        self.encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norms[0])
        self.decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norms[1])
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform(p, rng=rng)

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return `tgt` decoded; the masks are those of `MultiheadAttention`."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = np.float32) -> np.ndarray:
        """Return the mask that hides later positions: -inf above the diagonal, 0 elsewhere.

        Examples
        --------
        >>> Transformer.generate_square_subsequent_mask(2)
        array([[  0., -inf],
               [  0.,   0.]], dtype=float32)
        """
        return np.triu(np.full((sz, sz), -np.inf, dtype), 1)
