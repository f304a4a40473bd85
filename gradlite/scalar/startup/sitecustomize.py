"""Redirects the imports of a Python process that a redirected program, or `run`, has started."""

import json
import os
import sys
from importlib import import_module


def start() -> None:
    """Leave the path as if nothing had been put there, and redirect imports."""
    here = os.path.dirname(__file__)
    root = os.path.dirname(os.path.dirname(os.path.dirname(here)))
    sys.path.remove(here)
    state = json.loads(os.environ.get("GRADLITE_RUN", "{}"))
    if state.pop("prefix", None) == sys.prefix:  # no other Python, which may lack NumPy
        sys.path.insert(0, root)
        from gradlite.scalar.redirect import install

        sys.path.remove(root)
        install(**state)
    this = sys.modules.pop(__name__)
    try:
        import_module(__name__)  # another one, which Python would have run
    except ModuleNotFoundError as error:
        if error.name != __name__:
            raise
        sys.modules[__name__] = this


if __name__ == "sitecustomize":
    start()
