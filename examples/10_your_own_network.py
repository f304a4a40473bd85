"""Your own network, loss and callback in an estimator.

You learn: that NetClassifier trains any `Module`. A function or a class builds it, and its
arguments are the estimator's parameters (module__channels), so a search can vary them. A loss is a
function of Tensors; a callback is an object with four methods.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import gradlite as gl
from gradlite import NetClassifier, nn
from gradlite.draw import draw

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)


class Images(nn.Module):
    """Looks at digits as images: two convolutions, then a linear layer."""

    def __init__(self, out_features, channels=8):
        self.look = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.decide = nn.Linear(2 * channels * 16, out_features)

    def forward(self, x):
        """Return a score for each class."""
        return self.decide(self.look(x.reshape(-1, 1, 8, 8)))


def focal(scores, classes):
    """Return the loss of each sample; easy ones count less (Lin et al., arXiv:1708.02002)."""
    log_p = gl.log_softmax(scores, axis=1)[np.arange(len(classes)), classes]
    return -((1 - np.exp(log_p)) ** 2) * log_p


class StopBelow:
    """A callback in scikit-learn's protocol, which stops at a loss that is small enough."""

    def __init__(self, loss):
        self.loss = loss

    def setup(self, estimator, context):
        """Do nothing when the training begins."""

    def on_fit_task_begin(self, estimator, context):
        """Do nothing when an epoch begins."""

    def on_fit_task_end(self, estimator, context):
        """Return whether to stop after the epoch that has ended."""
        return context.task_name == "epoch" and estimator.loss_ < self.loss

    def teardown(self, estimator, context):
        """Do nothing when the training ends."""


model = NetClassifier(
    Images,
    module__channels=8,
    loss=focal,
    class_weight="balanced",  # possible, as the loss is one number for each sample
    callbacks=[StopBelow(0.01)],
    batch_size=64,
    learning_rate_init=0.01,
    random_state=0,
)
model.fit(X, y)
print(model.module_)
print(f"stopped by the callback after {model.n_iter_} epochs, at a loss of {model.loss_:.4f}")
print(f"accuracy on images not seen before: {model.score(X_test, y_test):.3f}")

# The network can leave the estimator as arrays, under PyTorch's names for them.

for name, array in model.module_.state_dict().items():
    print(f"{name:15} {array.shape}")

# Its graph, from 64 images to their loss.

picture = draw(model, X[:64], y[:64], rankdir="TB").save("10_your_own_network.svg")
print(f"{picture} shows the network and the loss.")
