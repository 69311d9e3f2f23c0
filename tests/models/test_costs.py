"""What is asked of a model costs a small number of evaluations of its network."""

import sys

import pytest

import zoo

# A pass back through the network costs about two forward.
WITH_GRADIENT = 3


@pytest.fixture
def model():
    return zoo.load("gravity-digits")


@pytest.fixture
def rows(model):
    """Return how many rows the network has been asked for, and count anew."""
    counted = [0]

    def count(_module, _args, output):
        counted[0] += len(output)

    def since():
        found, counted[0] = counted[0], 0
        return found

    model.network.register_forward_hook(count)
    return since


def test_a_likelihood_and_a_code_cost_at_most_25_times_as_much_as_samples(model, rows):
    x = model.sample(16, seed=0)
    sixteen = rows()
    assert sixteen == 16 * model.steps
    model.sample(1, seed=0)
    assert rows() <= sixteen / 2
    model.log_prob(x[:1])
    assert 0 < WITH_GRADIENT * rows() <= 25 * sixteen
    model.encode(x[:8])
    assert 0 < rows() <= 25 * sixteen / 2


def test_they_show_how_far_they_are_on_a_terminal(model, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    x = model.sample(1, seed=0)
    for ask in (model.encode, model.decode, model.log_prob):
        ask(x, progress=True, steps=4)
        assert "100%|" in capsys.readouterr().err
        ask(x, steps=4)
        assert capsys.readouterr().err == ""
