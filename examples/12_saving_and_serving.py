"""Saving a model without pickle, continuing its training, and serving its predictions.

You learn: that `save` writes arrays and JSON in one file, completely or not at all, and `load` runs
no code; that with warm_start=True a loaded model continues where it left off; and how short a
server for predictions is.
"""

import json
import tempfile
import threading
import warnings
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from gradlite import GradliteError, MLPClassifier

warnings.filterwarnings("ignore", "Stochastic Optimizer")  # it stops early on purpose
X, y = load_digits(return_X_y=True)

# 1. 60 epochs; and 30, a file, and 30 more. The file holds the weights, and what else training
# needs: the state of the optimiser and of the random generators.

settings = {"dropout": 0.1, "standardize": True, "n_iter_no_change": 60, "random_state": 0}
whole = MLPClassifier((32,), max_iter=60, **settings).fit(X, y)
first = MLPClassifier((32,), max_iter=30, warm_start=True, **settings).fit(X, y)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.gradlite"
    first.save(path)
    print(f"saved {path.stat().st_size:,} bytes after {first.n_iter_} epochs")
    again = MLPClassifier.load(path).fit(X, y)

    # Loading a file that was altered is an error, whichever byte it is.
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    try:
        MLPClassifier.load(path)
    except GradliteError as error:
        print(f"{type(error).__name__}: {str(error).replace(folder, '...')}")

same = all(np.array_equal(a, b) for a, b in zip(whole.coefs_, again.coefs_, strict=True))
print(f"30 epochs and 30 more are {len(again.loss_curve_)}, bit for bit: {same}")


# 2. A server: it takes an image as JSON, and returns the digit and how sure the model is.


class Answers(BaseHTTPRequestHandler):
    """Answers a request with a prediction. One row takes some tens of microseconds."""

    def do_POST(self):
        """Read the pixels, and write the answer."""
        pixels = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        probabilities = again.predict_proba([pixels])[0]
        answer = {"digit": int(probabilities.argmax()), "sure": float(probabilities.max())}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format, *args):
        """Log nothing."""


with HTTPServer(("127.0.0.1", 0), Answers) as server:  # port 0: any that is free
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = HTTPConnection(*server.server_address)
    client.request("POST", "/", json.dumps(X[0].tolist()))
    print(f"the server says of a {y[0]}: {client.getresponse().read().decode()}")
    server.shutdown()

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
epochs = np.arange(1, 61)
ax.plot(epochs, whole.loss_curve_, color="#E69F00", linewidth=6, alpha=0.6, label="60 at once")
ax.plot(epochs, again.loss_curve_, "--", color="#0072B2", label="30, a file, and 30 more")
ax.axvline(30, color="0.6", linewidth=1)
ax.set(title="Saved half-way: the same curve", xlabel="epoch", ylabel="loss", yscale="log")
ax.legend()
figure.savefig("12_saving_and_serving.png", dpi=120)
print("12_saving_and_serving.png shows both curves.")
