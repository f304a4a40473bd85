"""Docstrings as they are when the program runs, for the tool that reads the source."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import griffe


class Completed(griffe.Extension):
    """Takes the docstrings of estimators, which share paragraphs, as Python completes them."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Replace the docstring of one class."""
        if cls.docstring and "{training}" in cls.docstring.value:
            running = getattr(import_module(cls.module.path), cls.name)
            cls.docstring.value = inspect.getdoc(running) or ""
