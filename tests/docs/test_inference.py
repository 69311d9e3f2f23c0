"""docs/inference.md: its code runs, its table is that of its results, and the tasks are right."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from inference import RESULTS, by_zoo, c2st, table_of
from sbi_tasks import TASKS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.M | re.S)


def test_its_code_runs():
    names = {}
    for code in CODE:
        exec(compile(code, "docs/inference.md", "exec"), names)
    assert names["posterior"].shape == (1_000, 2)
    assert np.isfinite(names["density"].numpy()).all()
    lines = [line for line in CODE[0].splitlines() if line and not line.startswith("import")]
    assert len(lines) <= 15


def test_its_table_is_that_of_its_results():
    if not RESULTS.exists():
        assert "Not measured yet." in TEXT
        return
    assert "Not measured yet." not in TEXT
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert table_of(results) in TEXT
    assert {run["task"] for run in results["runs"]} == {*TASKS}


@pytest.mark.parametrize("name", TASKS)
def test_the_exact_posterior_belongs_to_the_simulator(name):
    """With theta' drawn from p(theta | x), (theta', x) has the law of (theta, x)."""
    task = TASKS[name]
    theta, x = task.observations(3_000, seed=1)
    chance = np.random.default_rng(2)
    other = np.concatenate([task.posterior(row, 1, chance) for row in x])
    again = task.simulator(other, chance)
    for f in (
        lambda t, x: t,
        lambda t, x: t**2,
        lambda t, x: t * x[:, : t.shape[1]],
        lambda t, x: np.abs(t) * x[:, :1],
        lambda t, x: t * t[:, ::-1],
    ):
        differences = f(theta, x) - f(other, x)
        error = np.abs(differences.mean(axis=0)) / (differences.std(axis=0) + 1e-12)
        assert error.max() < 4 / np.sqrt(len(x))
    # What is simulated again lies about the observation by the simulator's own spread.
    gap = again - x
    theirs = task.simulator(theta, chance) - x
    assert gap.std(axis=0) == pytest.approx(theirs.std(axis=0), rel=0.08)


def test_c2st_knows_equal_and_different_samples():
    chance = np.random.default_rng(0)
    x, y = chance.normal(size=(2, 600, 2))
    assert c2st(x, y, 0) < 0.56
    assert c2st(x, y + 1, 0) > 0.7
    assert c2st(x, 0.3 * y, 0) > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_posteriors_are_near_the_exact_ones(name):
    task = TASKS[name]
    chance = np.random.default_rng(1_000)
    theta = task.prior(10_000, chance)
    _, observed = task.observations(2, seed=7)
    _, _, drawn = by_zoo(task, theta, task.simulator(theta, chance), observed, 0)
    for x_o, samples in zip(observed, drawn, strict=True):
        assert c2st(samples, task.posterior(x_o, len(samples), chance), 0) < 0.65
