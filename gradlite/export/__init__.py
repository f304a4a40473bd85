"""Models as files that need nothing of gradlite."""

from gradlite.export.numpy_alone import export_numpy

__all__ = ["export_numpy"]
