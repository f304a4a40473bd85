"""Callbacks in scikit-learn's protocol, and the display of progress.

A callback has the methods ``setup``, ``on_fit_task_begin``, ``on_fit_task_end`` (which returns True
to stop the training) and ``teardown``. scikit-learn 1.9 has the contexts in which they are called;
on older versions the few lines below replace them.
"""

from __future__ import annotations

import inspect
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class CallbackContext:
        """Where in a fit a callback is called: a task, its parent and its number."""

        def __init__(self, estimator: Any, task_name: str, max_subtasks: int | None) -> None:
            self.estimator_name = type(estimator).__name__
            self.task_name = task_name
            self.task_id = 0
            self.max_subtasks = max_subtasks
            self.sequential_subtasks = True
            self.parent: CallbackContext | None = None
            self.root_uuid = uuid.uuid4()
            self.init_time = datetime.now(UTC)
            self.source_estimator_name = self.source_task_name = None
            self._subtasks = 0

        def subcontext(self, task_name: str = "", max_subtasks: int | None = 0) -> CallbackContext:
            """Return the context of the next task inside this one."""
            made = object.__new__(CallbackContext)
            made.__dict__.update(self.__dict__)
            made.task_name, made.max_subtasks = task_name, max_subtasks
            made.task_id, made.parent, made._subtasks = self._subtasks, self, 0
            self._subtasks += 1
            return made

        def call_on_fit_task_begin(self, **known: Any) -> CallbackContext:
            """Call every callback at the beginning of the task."""
            self._call("on_fit_task_begin", **known)
            return self

        def call_on_fit_task_end(self, **known: Any) -> bool:
            """Call every callback at the end of the task; return whether one asks to stop."""
            return self._call("on_fit_task_end", **known)

        def _call(self, hook: str, *, estimator: Any, **known: Any) -> bool:
            attributes = known.pop("reconstruction_attributes", None)
            stop = False
            for callback in estimator._skl_callbacks:
                method = getattr(callback, hook)
                wanted = {
                    p.name
                    for p in inspect.signature(method).parameters.values()
                    if p.kind is p.KEYWORD_ONLY
                }
                values = {name: known.get(name) for name in wanted}
                if "fitted_estimator" in wanted and attributes is not None:
                    fitted = object.__new__(type(estimator))
                    fitted.__dict__.update({**vars(estimator), **attributes()})
                    values["fitted_estimator"] = fitted
                stop |= bool(method(estimator, self, **values))
            return stop

    class CallbackSupportMixin:  # type: ignore[no-redef]  # in place of the missing one
        """What scikit-learn 1.9 has under this name."""

        def set_callbacks(self, *callbacks: Any) -> Any:
            """Set callbacks for the estimator, and return the estimator."""
            for callback in callbacks:
                check_callback(callback)
            self._skl_callbacks = list(callbacks)
            return self

        def _init_callback_context(self, task_name: str = "fit", max_subtasks: Any = 0) -> Any:
            context = CallbackContext(self, task_name, max_subtasks)
            self._skl_callbacks_to_teardown = []
            self._callback_fit_ctx = context
            for callback in self._skl_callbacks:
                self._skl_callbacks_to_teardown.append(callback)
                callback.setup(estimator=self, context=context)
            return context


__all__ = ["CallbackSupportMixin", "Progress", "callbacks_of", "check_callback"]

HOOKS = ("setup", "on_fit_task_begin", "on_fit_task_end", "teardown")


def check_callback(callback: Any) -> None:
    """Raise TypeError for an object that does not follow the protocol."""
    missing = [name for name in HOOKS if not callable(getattr(callback, name, None))]
    if missing or isinstance(callback, type):
        what = "a class, not an instance" if isinstance(callback, type) else repr(callback)
        lacks = f" lacks {', '.join(missing)}" if missing else ""
        raise TypeError(
            f"callbacks must be instances following the FitCallback protocol of scikit-learn 1.9 "
            f"({', '.join(HOOKS)}): {what}{lacks}."
        )


@contextmanager
def callbacks_of(estimator: Any, max_subtasks: int | None) -> Iterator[Any]:
    """Set up the callbacks of an estimator around a fit, and yield the root context.

    They are those of the parameter ``callbacks``, those of ``set_callbacks``, and those that a
    pipeline or a search propagates. Yields None if there are none.

    Raises
    ------
    TypeError
        If one is not a callback, or belongs to the pipeline or search that contains the estimator.
    """
    own = [] if estimator.callbacks is None else list(estimator.callbacks)
    around = getattr(estimator, "_parent_callback_ctx", None)
    for callback in own:
        check_callback(callback)
        if around is not None and hasattr(callback, "max_propagation_depth"):
            raise TypeError(
                f"{type(callback).__name__} watches a whole {around.estimator_name}, so it cannot "
                f"be among the callbacks of the {type(estimator).__name__} inside: set it on the "
                f"outermost estimator, with set_callbacks."
            )
    before = estimator.__dict__.get("_skl_callbacks")
    if not own and not before:
        yield None
        return
    estimator._skl_callbacks = [*(before or []), *own]
    try:
        yield estimator._init_callback_context(max_subtasks=max_subtasks)
    finally:
        context = estimator.__dict__.pop("_callback_fit_ctx", None)
        errors = []
        for callback in estimator.__dict__.pop("_skl_callbacks_to_teardown", []):
            try:
                callback.teardown(estimator=estimator, context=context)
            except Exception as error:
                errors.append(error)
        if before is None:
            del estimator._skl_callbacks
        else:
            estimator._skl_callbacks = before
        if errors:
            raise errors[0]


# -- progress ---------------------------------------------------------------------------------


class Progress:
    """The output of ``verbose``: a progress bar in a terminal, otherwise a line per epoch.

    The bar needs rich (the extra ``progress``). The lines are scikit-learn's.
    """

    def __init__(self, wanted: Any, epochs: int) -> None:
        self.wanted = bool(wanted)
        self.bar: Any = None
        if self.wanted and sys.stdout.isatty():
            self.bar = progress_bar(epochs)
        if self.bar is not None:
            self.bar.start()

    def epoch(self, number: int, loss: float, score: float | None) -> None:
        """Show an epoch."""
        if not self.wanted:
            return
        if self.bar is not None:
            note = f"loss {loss:.5f}" + (f", validation {score:.4f}" if score is not None else "")
            self.bar.update(self.bar.task_ids[0], completed=number, note=note)
            return
        print(f"Iteration {number}, loss = {loss:.8f}")
        if score is not None:
            print(f"Validation score: {score:f}")

    def say(self, text: str) -> None:
        """Show a remark."""
        if self.wanted:
            (self.bar.console.print if self.bar is not None else print)(text)

    def close(self) -> None:
        """Stop the bar, and leave it on the screen."""
        if self.bar is not None:
            self.bar.stop()


def progress_bar(epochs: int) -> Any:
    """Return rich's progress bar, or None without rich."""
    try:
        from rich import progress
    except ImportError:
        return None
    bar = progress.Progress(
        progress.TextColumn("epoch {task.completed}/{task.total}"),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[note]}"),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    bar.add_task("fit", total=epochs, note="")
    return bar
