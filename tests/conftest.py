"""What is set before any test imports scipy."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or scikit-learn skips its checks of the array API
