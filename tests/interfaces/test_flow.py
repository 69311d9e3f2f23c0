"""Times that are looked at in one pass beforehand are those that are looked at one by one."""

from __future__ import annotations

import pytest
import torch

import zoo
from zoo.errors import ZooError
from zoo.interfaces import Flow

KERNEL = zoo.kernel("gravity", dim=64)
TIMES = torch.linspace(9.0, 1.0, 12, dtype=torch.float64).reshape(4, 3)
X = torch.randn(3, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def told(dtype):
    """A flow and the list of the times that its network is shown."""
    seen = []

    def predict(x, t):
        seen.append(t)
        return x / (1 + t[:, None])

    return Flow(KERNEL, predict, dtype=dtype), seen


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ask", ["denoise", "field"])
def test_moments_are_the_times_as_the_network_sees_them(dtype, ask):
    (flow, seen), (other, expected) = told(dtype), told(dtype)
    for moment, t in zip(flow.prepare_times(TIMES), TIMES, strict=True):
        assert torch.equal(moment, t)
        assert torch.equal(getattr(flow, ask)(X, moment), getattr(other, ask)(X, t.clone()))
    assert all(a.dtype == dtype and torch.equal(a, b) for a, b in zip(seen, expected, strict=True))
    assert flow.nfe == other.nfe == 4


def test_each_time_is_checked_and_each_moment_once(monkeypatch):
    flow, _ = told(torch.float32)
    checked = []
    monkeypatch.setattr(KERNEL, "check_time", lambda t: checked.append(t), raising=True)
    moments = flow.prepare_times(TIMES)
    for moment in moments:
        flow.denoise(X, moment)
    assert len(checked) == 1
    flow.denoise(X, moments[0].clone())
    assert len(checked) == 2


def test_a_moment_outside_the_kernels_times_is_refused():
    flow, _ = told(torch.float32)
    wrong = TIMES.clone()
    wrong[2, 1] = 2 * KERNEL.t_max
    with pytest.raises(ZooError, match=r"t = .* is outside"):
        flow.prepare_times(wrong)
