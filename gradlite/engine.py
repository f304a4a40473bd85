"""The scalar engine under micrograd's import path: ``from gradlite.engine import Value``."""

from gradlite.scalar.engine import Value

__all__ = ["Value"]
