"""zoo.sklearn.FieldDensity: scikit-learn's own checks, and what it promises beyond them."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from zoo.sklearn import FieldDensity

QUICK = {
    "kernel": "gaussian",
    "network": {"use": "mlp", "width": 8, "blocks": 1},
    "images": 32,
    "batch": 16,
    "validation": 0,
}


@parametrize_with_checks([FieldDensity(**QUICK)])
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).normal([1e3, 0], [1, 1e-3], size=(120, 2))


@pytest.fixture(scope="module")
def density(data):
    return FieldDensity(**{**QUICK, "images": 512}).fit(data)


def test_sample_and_score(density, data):
    drawn = density.sample(7, random_state=0)
    assert drawn.shape == (7, 2)
    assert drawn.dtype == np.float64
    assert np.array_equal(drawn, density.sample(7, random_state=0))
    assert not np.array_equal(drawn, density.sample(7, random_state=1))
    assert np.array_equal(drawn, density.model_.sample(7, seed=0).double().numpy())
    scores = density.score_samples(data[:3])
    assert np.array_equal(scores, density.model_.log_prob(data[:3]).numpy())
    assert density.score(data[:3]) == pytest.approx(scores.mean())


def test_pickles_hold_the_folder_and_no_model(density, data):
    packed = pickle.dumps(density)
    assert b"config.json" in packed
    assert b"zoo.models" not in packed
    again = pickle.loads(packed)
    assert again.get_params() == density.get_params()
    assert np.array_equal(again.sample(3, random_state=0), density.sample(3, random_state=0))
    assert np.array_equal(again.score_samples(data[:2]), density.score_samples(data[:2]))
    assert again.n_features_in_ == 2
    unfitted = pickle.loads(pickle.dumps(clone(density)))
    with pytest.raises(NotFittedError):
        unfitted.sample()


def test_it_works_in_pipelines_and_searches(data):
    frame = pd.DataFrame(data, columns=["a", "b"])
    assert FieldDensity(**QUICK).fit(frame).feature_names_in_.tolist() == ["a", "b"]
    piped = make_pipeline(StandardScaler(), FieldDensity(**QUICK)).fit(data)
    assert np.isfinite(piped.score(data[:3]))
    search = GridSearchCV(FieldDensity(**QUICK), {"kernel": ["gaussian", "vp"]}, cv=2)
    assert search.fit(data[:20]).best_params_["kernel"] in ("gaussian", "vp")


def test_options_reach_the_model(data):
    options = {**QUICK, "kernel": "pfgmpp", "kernel_options": {"D": 5}, "lr": 3e-4}
    recipe = FieldDensity(**options).fit(data).model_.config.training.recipe
    assert recipe["kernel"] == {"use": "pfgmpp", "D": 5}
    assert recipe["train"]["lr"] == 3e-4
    euler = {"use": "euler", "steps": 7}
    found = FieldDensity(**QUICK, solver=euler, standardise=False, device="cpu").fit(data - data[0])
    assert (found.model_.solver.part.use, found.model_.steps) == ("euler", 7)
    assert found.model_.standardise is None
    with pytest.raises(ValueError, match="nowhere"):
        FieldDensity(**QUICK, device="nowhere").fit(data)
    with pytest.raises(ValueError, match="did you mean 'gravity'"):
        FieldDensity(kernel="gravty").fit(data)


def test_importing_zoo_imports_no_scikit_learn():
    code = "import sys, zoo; zoo.fit; print('sklearn' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
