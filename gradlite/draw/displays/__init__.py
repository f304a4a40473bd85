"""Pictures of training and of networks, in the manner of scikit-learn's displays.

Each is made from an estimator (`from_estimator`) or from the numbers themselves
(`from_predictions`), draws on matplotlib's axes, and keeps what it drew as attributes whose
names end in ``_``. matplotlib comes with the extra `viz`.
"""

from gradlite.draw.displays.activations import ActivationsDisplay
from gradlite.draw.displays.gradient_flow import GradientFlowDisplay, GradientNorms
from gradlite.draw.displays.loss_curve import LossCurveDisplay
from gradlite.draw.displays.weights import WeightsDisplay

__all__ = [
    "ActivationsDisplay",
    "GradientFlowDisplay",
    "GradientNorms",
    "LossCurveDisplay",
    "WeightsDisplay",
]
