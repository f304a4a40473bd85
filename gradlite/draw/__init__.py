"""Pictures of graphs, of networks and of their training.

`draw` shows what a result, a module or an estimator was made of, down to the numbers that went in.
The displays, made as scikit-learn's are, show the loss, gradients, weights and activations.
`draw_dot` and `trace` have the signatures of the functions by these names in the notebooks about
micrograd, and take Tensors as well.

Graphs are laid out by Graphviz, through pygraphviz, and displays drawn by matplotlib: both come
with the extra `viz`, and are loaded when they are used.
"""

from gradlite.draw.displays import (
    ActivationsDisplay,
    GradientFlowDisplay,
    GradientNorms,
    LossCurveDisplay,
    WeightsDisplay,
)
from gradlite.draw.dot import draw_dot
from gradlite.draw.drawing import draw
from gradlite.draw.graph import trace
from gradlite.draw.picture import Picture

__all__ = [
    "ActivationsDisplay",
    "GradientFlowDisplay",
    "GradientNorms",
    "LossCurveDisplay",
    "Picture",
    "WeightsDisplay",
    "draw",
    "draw_dot",
    "trace",
]
