"""The compiler: a computation and its derivative, written out as a NumPy program."""

from gradlite.compiler.compiled import Compiled, compile

__all__ = ["Compiled", "compile"]
