"""Pictures of graphs, of networks and of their training.

`draw` shows how a result, a module's or an estimator's, was computed from its inputs. The displays
follow scikit-learn's: they show losses, gradients, weights and activations. `draw_dot` and `trace`
have the signatures of the functions by these names in the notebooks about micrograd, and take
Tensors as well.

Graphviz lays graphs out, through pygraphviz, and matplotlib draws displays. Both come with the
extra `viz`, and are loaded on first use.
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
