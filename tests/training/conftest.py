"""Fixtures of the tests of training."""

import pytest


@pytest.fixture
def measured(monkeypatch):
    """What the losses on held-out data are measured of, one data set per call of `fit`."""
    from zoo.training.early_stop import EarlyStop

    seen = []

    class Seen(EarlyStop):
        def __init__(self, data, every, **options):
            super().__init__(data, every, **options)
            seen.append(data)

    monkeypatch.setattr("zoo.training.fit.EarlyStop", Seen)
    return seen
