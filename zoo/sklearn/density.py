"""`FieldDensity`: `zoo.fit` with the habits of scikit-learn."""

from __future__ import annotations

import io
import zipfile
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from zoo.errors import ZooError
from zoo.models.load import load
from zoo.models.model import FieldModel
from zoo.training.fit import fit
from zoo.training.fit_samples import LEAST_ROWS

# Most that a seed drawn from a RandomState can be.
_SEEDS = 2**31


class FieldDensity(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """A density estimator of rows: a field diffusion model, fitted by `zoo.fit`.

    Columns are real numbers, as scikit-learn has them: whole ones become float64 and have a density
    of spikes. `zoo.fit(frame)` dequantises them. It pickles by way of the model's folder:
    config.json and safetensors, no code; unpickled, it runs on the CPU.

    Args:
        kernel: name of the field kernel.
        kernel_options: of the kernel, such as {"D": 5}; None for its defaults.
        minutes: about so long to train; None for a budget in rows.
        images: rows to train on, repetitions counted; None for enough for a small table.
        validation: fraction of the rows that is held out, for early stopping.
        network: name, or table of name and options; None for an MLP.
        batch: rows per step; None for up to 512.
        lr: peak learning rate; None for 2e-3.
        solver: name, or table of name, steps and options; None for Heun's.
        standardise: whether columns are; None for True.
        device: "cpu", "cuda", ...
        random_state: a whole number, a RandomState, or None for a new seed at each call.
        progress: print the choices and show a bar.

    Attributes:
        model_: the fitted FieldModel.
        n_features_in_: number of columns.
        feature_names_in_: their names, where X had some that are text.
    """

    def __init__(
        self,
        kernel: str = "pfgmpp",
        *,
        kernel_options: dict[str, Any] | None = None,
        minutes: float | None = None,
        images: int | None = None,
        validation: float = 0.1,
        network: str | dict[str, Any] | None = None,
        batch: int | None = None,
        lr: float | None = None,
        solver: str | dict[str, Any] | None = None,
        standardise: bool | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = 0,
        progress: bool = False,
    ) -> None:
        self.kernel, self.kernel_options = kernel, kernel_options
        self.minutes, self.images, self.validation = minutes, images, validation
        self.network, self.batch, self.lr, self.solver = network, batch, lr, solver
        self.standardise, self.device = standardise, device
        self.random_state, self.progress = random_state, progress

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to rows X (n, d); y is not used.

        Raises:
            ValueError: rows that cannot be used; or of an option, as `zoo.fit`.
        """
        del y
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=LEAST_ROWS)
        try:
            self.model_ = fit(
                rows,
                kernel={"use": self.kernel, **(self.kernel_options or {})},
                minutes=self.minutes,
                images=self.images,
                validation=self.validation,
                seed=self._seed(self.random_state),
                network=self.network,
                batch=self.batch,
                lr=self.lr,
                solver=self.solver,
                standardise=self.standardise,
                device=self.device,
                progress=self.progress,
            )
        except ZooError as error:
            raise ValueError(str(error)) from error
        return self

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> NDArray[np.float64]:
        """Return rows drawn from the model, (n_samples, d)."""
        check_is_fitted(self)
        drawn = self.model_.sample(n_samples, seed=self._seed(random_state))
        return drawn.double().cpu().numpy()

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Return log p(x) of rows X (n, d), in nats, (n,)."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(self.model_.log_prob(rows).cpu().numpy())

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`, as GaussianMixture does; y is not used."""
        del y
        return float(self.score_samples(X).mean())

    @staticmethod
    def _seed(state: int | np.random.RandomState | None) -> int:
        if isinstance(state, Integral):
            return int(state)
        return int(check_random_state(state).randint(_SEEDS))

    def __getstate__(self) -> dict[str, Any]:
        state = {**super().__getstate__()}
        if isinstance(model := state.pop("model_", None), FieldModel):
            state["_folder"] = _packed(model)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed = state.pop("_folder", None)
        super().__setstate__(state)
        if packed is not None:
            self.model_ = _unpacked(packed)


def _packed(model: FieldModel) -> bytes:
    """Return the model's folder as a zip archive."""
    with TemporaryDirectory() as place:
        folder = model.save_pretrained(Path(place) / "model")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for file in sorted(folder.iterdir()):
                archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes())
    return packed.getvalue()


def _unpacked(packed: bytes) -> FieldModel:
    with TemporaryDirectory() as place:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(place)
        return load(Path(place))
