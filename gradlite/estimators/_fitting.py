"""One fit: optimiser, validation data, epochs, and the decisions at the end of each epoch."""

from __future__ import annotations

import copy
import math
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from gradlite.autodiff.modes import no_grad
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import DivergedError
from gradlite.estimators._callbacks import Progress, callbacks_of
from gradlite.estimators._objectives import takes
from gradlite.estimators._samples import Samples, batch_size_with_variance, split_validation
from gradlite.estimators._solvers import PLANNED, LearningRate, penalties, ready_optimizer
from gradlite.nn import BatchNorm1d
from gradlite.nn.module import eval_mode
from gradlite.training.data import Rows
from gradlite.training.known import is_known, is_own, is_plain
from gradlite.training.loop import PlateauDetector, Snapshot, Trainer, train


class Fitting:
    """One fit of an estimator.

    Parameters
    ----------
    est : BaseNet
        The estimator, which has its module, targets and random stream already.
    samples : Samples
        The training data.
    validation : Samples or None
        The validation data; if None, ``early_stopping`` splits off a part of `samples`.
    incremental : bool
        Whether to run one epoch, as in ``partial_fit``: no early stopping, no warning at the end.
    """

    def __init__(
        self, est: Any, samples: Samples, validation: Samples | None, incremental: bool
    ) -> None:
        self.est = est
        self.state = state = est._training
        self.incremental = incremental
        self.early = est.early_stopping and est.solver != "lbfgs" and not incremental
        self.samples = samples
        self.chosen: np.ndarray | None = None  # the samples to train on, if not all
        if self.early and validation is None:
            self.chosen, held_out = split_validation(est, samples)
            validation = samples.take(held_out)
        self.validation = validation
        self.scorer = est._scorer()
        self.scored_by = getattr(self.scorer, "_score_func", self.scorer)  # the metric, or theirs
        self.n = n = len(samples) if self.chosen is None else len(self.chosen)
        if est.batch_size == "auto":
            self.batch_size = min(200, n)
        else:
            if est.batch_size > n:
                warnings.warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                    "clipped",
                    stacklevel=6,
                )
            self.batch_size = min(est.batch_size, n)
        if any(isinstance(layer, BatchNorm1d) for layer in est._module.modules()):
            self.batch_size = batch_size_with_variance(self.batch_size, n)
        self.epochs = 1 if incremental else est.max_iter
        self.optimizer: Any = ready_optimizer(est, math.ceil(n / self.batch_size))
        self.rate = LearningRate(est, self.optimizer)
        if (est.best_loss_ is None) != self.early:  # what was watched so far does not compare
            state.monitor = {}
            est.best_loss_ = None if self.early else math.inf
        self.monitor = PlateauDetector(**{**state.monitor, "tol": est.tol})
        state.monitor = vars(self.monitor)  # as it will be
        self.snapshot = Snapshot(est._module, self.optimizer)
        self.kept_epoch = 0  # whose weights the snapshot has, counted over all fits; 0 for none
        self.first = not est.t_  # whether there were no weights to go back to
        if self.validation is not None and not incremental and state.resume is not None:
            self.snapshot.kept = state.resume["last"]
            self.snapshot.restore()
            self.snapshot.kept = list(map(np.array, state.resume["best"]))  # it is overwritten
            self.kept_epoch = state.resume["best_epoch"]
        elif est.t_:
            self._keep()  # to go back to where training diverges at once
        state.resume = None
        full = n // self.batch_size
        self.trainer = Trainer(
            est._module,
            est._objective,
            self.optimizer,
            penalties(est, est._module, self.optimizer),
            est.max_grad_norm,
            compiled=not incremental,
            planned={n % self.batch_size: self.epochs, self.batch_size: self.epochs * full},
        )
        kinds = {type(part) for part in est._module.modules()}
        self.own_code = callable(est.loss) or not all(map(is_own, kinds))
        if not (is_known(est._module) and (not callable(est.loss) or is_plain(est.loss))):
            self.trainer.compiled = False
            self.trainer.why = (
                "the network or the loss has code that may do something else for another batch: it "
                "refers to objects that may change, or draws, or stores."
            )
        self.context: Any = None
        self.explained = False  # why training is not compiled

    def run(self) -> None:
        """Train the estimator, and store the results in it."""
        est = self.est
        rows = Rows(self.samples.X, self.samples.target, self.samples.weight)
        est.n_iter_ = 0
        self.progress = Progress(est.verbose, self.epochs)
        solve = self._lbfgs if est.solver == "lbfgs" else self._epochs
        try:
            with callbacks_of(est, max_subtasks=self.epochs) as self.context, threads(est):
                if self.context is not None:
                    self.context.call_on_fit_task_begin(estimator=est, **self._known())
                self.trainer.module.train()
                try:
                    solve(rows)
                finally:
                    self.trainer.module.eval()
                if self.context is not None:
                    self.context.call_on_fit_task_end(
                        estimator=est, reconstruction_attributes=dict, **self._known()
                    )
        finally:
            self.progress.close()

    # -- stochastic solvers -------------------------------------------------------------------

    def _epochs(self, rows: Rows) -> None:
        est = self.est
        self.stopped = False
        try:
            train(
                self.trainer,
                rows,
                self.epochs,
                self.batch_size,
                self._next_order,
                self._epoch_end,
            )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=6)
            self.stopped = True
        except DivergedError as error:
            self._diverged(error)
            self.stopped = True
        if self.scored:
            if est.warm_start:  # the next fit continues from the last weights, not from the best
                self.state.resume = {
                    "last": self.snapshot.arrays(),
                    "best": self.snapshot.kept,
                    "best_epoch": self.kept_epoch,
                }
            self.snapshot.restore()
        if not self.incremental and not self._is_finite(self.samples.head()):
            self._refuse("The weights of the last step give no finite loss.")
        planned = est.schedule in PLANNED  # the rate has come to its end: nothing was cut short
        if not self.stopped and not self.incremental and not planned:
            warnings.warn(self._not_converged(), ConvergenceWarning, stacklevel=6)
        self.state.order = self.order if est.warm_start else None

    @property
    def order(self) -> np.ndarray | None:
        """The order of the rows in the last epoch."""
        kept = self.state.order
        return kept if kept is not None and len(kept) == self.n else None

    def _next_order(self) -> np.ndarray | None:
        """Shuffle the last order again, as scikit-learn does."""
        if not self.est.shuffle:
            return self.chosen
        shuffled = np.arange(self.n)
        self.state.rng.shuffle(shuffled)
        if self.order is not None:
            shuffled = self.order[shuffled]
        self.state.order = shuffled
        return shuffled if self.chosen is None else self.chosen[shuffled]

    @property
    def scored(self) -> bool:
        """Whether the best weights are those of the best validation score."""
        return self.validation is not None and not self.incremental

    def _epoch_end(self, loss: float) -> bool:
        """Record an epoch, and return whether to stop."""
        est = self.est
        # First what takes time: Ctrl-C during it leaves curves of the same length.
        score = self._validate() if self.validation is not None else None
        est.n_iter_ += 1
        est.t_ += self.n
        est.loss_ = loss
        est.loss_curve_.append(loss)
        if self.context is not None:
            self.stopped = self._callbacks() or self.stopped
            if self.own_code:  # a callback may have changed what it refers to
                self.trainer.compiled = False
        metric = -score if self.early and score is not None else loss
        if self._is_best(loss, score, metric) and not self.incremental:
            self._keep()
        self._show(loss, score)
        self.rate.epoch_end(est.t_, metric)
        if self.monitor.bad_epochs > est.n_iter_no_change and not self.stopped:
            self.stopped = self._no_improvement()
        return self.stopped

    def _show(self, loss: float, score: float | None) -> None:
        """Show an epoch, and once why training is not compiled, if it is not."""
        self.progress.epoch(self.est.n_iter_, loss, score)
        if self.trainer.why and not self.explained:
            self.explained = True
            self.progress.say(f"Training is not compiled: {self.trainer.why}")

    def _is_best(self, loss: float, score: float | None, metric: float) -> bool:
        """Record the best loss and score, and return whether these weights are the best."""
        est = self.est
        fell = self.monitor.update(metric if math.isfinite(metric) else math.inf)
        if not self.early and loss < est.best_loss_:
            est.best_loss_ = loss
        best = est.best_validation_score_
        if score is not None and score > (-math.inf if best is None else best):
            est.best_validation_score_ = score
            return True
        return fell and (self.early or not self.scored)

    def _keep(self) -> None:
        """Keep the weights as they are now."""
        self.snapshot.take()
        self.kept_epoch = len(self.est.loss_curve_)

    def _no_improvement(self) -> bool:
        what = "Validation score" if self.early else "Training loss"
        text = (
            f"{what} did not improve more than tol={self.est.tol:f} for "
            f"{self.est.n_iter_no_change} consecutive epochs."
        )
        rate = self.rate.lower()
        if rate is None:
            self.progress.say(f"{text} Stopping.")
            return True
        self.progress.say(f"{text} Setting learning rate to {rate:f}")
        self.monitor.bad_epochs = 0
        return False

    def _validate(self) -> float:
        """Score the validation data, and record score and loss."""
        est, samples = self.est, self.validation
        assert samples is not None
        z = est._forward(samples.X)
        loss = self._loss(z, samples)
        score = -loss if est._watches_loss() else self._score(z, samples)
        if est.validation_scores_ is None:
            est.validation_scores_, est.validation_loss_curve_ = [], []
        est.validation_loss_curve_.append(loss)
        est.validation_scores_.append(score)
        return score

    def _score(self, z: np.ndarray, samples: Samples) -> float:
        """Return the score of outputs by the user's scorer, with weights if it takes them."""
        if self.scorer is None or not np.all(np.isfinite(z)):
            return float(self.est._score_outputs(z, samples))
        anonymous = copy.copy(self.est)  # the data has lost its column names
        anonymous.__dict__.pop("feature_names_in_", None)
        known = {}
        if samples.weight is not None and takes(self.scored_by, "sample_weight"):
            known["sample_weight"] = samples.weight
        score = self.scorer(anonymous, samples.X, samples.y, **known)
        if not isinstance(score, Real):
            raise TypeError(f"scoring={self.est.scoring!r} returned {score!r}, not a number.")
        return float(score)

    def _diverged(self, error: DivergedError) -> None:
        """Return to the best epoch with a warning; raise if there is none, or one was asked for.

        The weights from before a warm start or a ``partial_fit`` count as a best epoch, too.
        """
        self.snapshot.restore()
        self.state.optimizer = None  # its moments may be NaN, too
        if self.incremental or not self.kept_epoch or not self._is_finite(self.samples):
            self._refuse(str(error))
        warnings.warn(
            f"{error}\nThe weights of the best epoch, {self.kept_epoch}, are kept. Lower "
            f"learning_rate_init (now {self.est.learning_rate_init:g}), set max_grad_norm, or "
            f"scale the data (standardize=True).",
            ConvergenceWarning,
            stacklevel=7,
        )

    def _is_finite(self, samples: Samples) -> bool:
        """Return whether outputs and loss are finite with the current weights."""
        est = self.est
        z = est._forward(samples.X)
        finite = bool((z < np.inf).all())  # minus infinity is the logit of an excluded class
        if callable(est.loss) or not finite:  # a loss of the user's may count its calls
            return finite
        return math.isfinite(self._loss(z, samples))

    def _loss(self, z: np.ndarray, samples: Samples) -> float:
        """Return the loss of outputs in eval mode, off the tape."""
        with no_grad(), eval_mode():
            loss = self.trainer.loss(Tensor(z), samples.target, samples.weight)
        return float(loss.item())

    def _refuse(self, why: str) -> None:
        """Raise DivergedError; without weights of an earlier fit, leave the estimator unfitted."""
        if self.first:
            self.est.__dict__.pop("_module", None)
        raise DivergedError(
            "Solver produced non-finite parameter weights. The input data may contain large "
            f"values and need to be preprocessed (standardize=True). {why}"
        ) from None

    def _not_converged(self) -> str:
        est = self.est
        last = ""
        best = self.kept_epoch if self.scored else self.monitor.best_epoch
        if len(est.loss_curve_) > 1:
            last = f", {est.loss_curve_[-2] - est.loss_curve_[-1]:.3g} less than the epoch before"
        return (
            f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) reached and the "
            f"optimization hasn't converged yet. After {est.n_iter_} epochs the training loss is "
            f"{est.loss_:.6g}{last}; the best epoch was {best}. Raise max_iter, "
            f"learning_rate_init (now {est.learning_rate_init:g}) or tol (now {est.tol:g})."
        )

    # -- L-BFGS ---------------------------------------------------------------------------------

    def _lbfgs(self, rows: Rows) -> None:
        from sklearn.utils.optimize import _check_optimize_result

        est = self.est
        x, y, w = rows.all()
        self.stopped = False

        def closure() -> float:
            self.optimizer.zero_grad()
            return self.trainer.gradient(x, y, w)

        def iteration(loss: float) -> bool:
            est.n_iter_ += 1
            est.loss_ = loss
            score = None if self.validation is None else self._validate()
            self._show(loss, score)
            self.stopped = self.context is not None and self._callbacks()
            return self.stopped

        try:
            est.loss_ = float(self.optimizer.step(closure, iteration))
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=6)
            return
        finally:
            self.optimizer.zero_grad()
        result = self.optimizer.result
        if not math.isfinite(est.loss_):
            self._diverged(DivergedError(self.trainer.origin(x, y, w)))
        est.t_ += len(self.samples)
        est.n_iter_ = max(1, int(result.nit))
        if not self.stopped and not self.incremental:
            _check_optimize_result("lbfgs", result, est.max_iter)

    # -- callbacks ------------------------------------------------------------------------------

    def _known(self) -> dict[str, Any]:
        weight = self.samples.weight
        metadata = {} if weight is None else {"sample_weight": weight}
        return {"X": self.samples.X, "y": self.samples.y, "metadata": metadata}

    def _callbacks(self) -> bool:
        """Call the callbacks of an epoch, and return whether one asks to stop."""
        known = self._known()
        epoch = self.context.subcontext(task_name="epoch")
        epoch.call_on_fit_task_begin(estimator=self.est, **known)
        return bool(
            epoch.call_on_fit_task_end(
                estimator=self.est, reconstruction_attributes=self._fitted, **known
            )
        )

    def _fitted(self) -> dict[str, Any]:
        """Return the attributes with which a copy of the estimator can predict, as of now."""
        module = copy.deepcopy(self.est._module).eval()
        training = replace(self.state, optimizer=None)
        return {"_module": module, "_training": training, "_skl_callbacks": []}


def threads(est: Any) -> AbstractContextManager[Any]:
    """Limit the threads of matrix products during a fit, if `n_threads` is set."""
    if est.n_threads is None:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(est.n_threads, user_api="blas")
    return limits
