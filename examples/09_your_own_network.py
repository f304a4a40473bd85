"""Your own network and your own loss in an estimator.

You learn: NetClassifier trains any gradlite.nn.Module. What builds it is a function or a class;
its parameters are the estimator's (module__channels), so a search can vary them. A loss is a
function of Tensors; if it gives the loss of each sample, weights of samples and classes work too.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import gradlite as gl
from gradlite import NetClassifier, nn

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
        """Give a logit for each class."""
        return self.decide(self.look(x.reshape(-1, 1, 8, 8)))


def focal(logits, classes):
    """Give the loss of each sample; easy ones count less (Lin et al., arXiv:1708.02002)."""
    log_p = gl.log_softmax(logits, axis=1)[np.arange(len(classes)), classes]
    return -((1 - np.exp(log_p)) ** 2) * log_p


model = NetClassifier(
    Images,
    module__channels=8,
    loss=focal,
    class_weight="balanced",
    batch_size=64,
    learning_rate_init=0.01,
    schedule="one_cycle",
    max_iter=10,
    n_iter_no_change=10,
    random_state=0,
)
model.fit(X, y)

print(model.module_)
print(f"accuracy on images not seen before: {model.score(X_test, y_test):.3f}")

# The same network leaves the estimator as arrays, under PyTorch's names.
for name, array in model.module_.state_dict().items():
    print(f"{name:15} {array.shape}")
