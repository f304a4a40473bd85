"""The scalar engine under micrograd's name for it: ``from gradlite.engine import Value``."""

from gradlite.scalar.engine import Value

__all__ = ["Value"]
