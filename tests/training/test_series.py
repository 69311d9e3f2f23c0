"""Series (n, C, L): standardised by channel, a 1-D U-Net, and sines told by their spectrum."""

import math
import time

import numpy as np
import pytest
import torch

import zoo
from zoo.errors import ZooError, ZooWarning

COUNT, LENGTH, CYCLES = 500, 128, 5


def sines(n=COUNT, seed=0):
    """Sines of one frequency and amplitude, of any phase, (n, 1, 128)."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, (n, 1, 1))
    return np.sin(2 * np.pi * CYCLES * np.arange(LENGTH) / LENGTH + phase)


def purity(x):
    """The part of the power that lies at the frequency of the sines, (n,)."""
    power = np.abs(np.fft.rfft(x[:, 0])) ** 2
    return power[:, CYCLES] / power.sum(axis=1)


def test_series_are_standardised_by_channel_and_come_back():
    x = 1e4 + 1e-2 * np.random.default_rng(0).normal(size=(80, 2, 20)) * [[1], [1e4]]
    model = zoo.fit(
        x,
        kernel="gaussian",
        images=64,
        batch=16,
        network={"use": "unet1d", "width": 8},
        progress=False,
    )
    assert model.shape == (2, 20)
    assert model.range is None
    assert len(model.standardise.mean) == 2
    assert model.standardise.mean[0] == pytest.approx(1e4, abs=0.01)
    drawn = model.sample(4, seed=0, steps=4)
    assert drawn.shape == (4, 2, 20)
    assert drawn.dtype == torch.float64
    assert torch.isfinite(model.log_prob(x[:2], steps=4)).all()
    with pytest.raises(ZooError, match="no rows of a table"):
        model.sample_frame(1)


def test_the_line_of_choices_names_network_and_series(capsys):
    x = np.random.default_rng(0).normal(size=(40, 1, 16))
    model = zoo.fit(x, kernel="gaussian", images=32)
    line = capsys.readouterr().err
    assert "series of shape (1, 16)" in line
    assert "unet1d" in line
    assert model.config.network.use == "unet1d"
    with pytest.raises(ZooError, match="X: channel 0 is 1 in all 40 series, which has no density"):
        zoo.fit(np.ones((40, 1, 16)), progress=False)
    x[8, 0, 5] = np.nan
    with pytest.raises(ZooError, match=r"1 missing \(NaN\) and .* the first in series 8; fill"):
        zoo.fit(x, progress=False)


@pytest.mark.parametrize(
    ("length", "patch"), [(8, 1), (31, 1), (32, 2), (63, 2), (64, 4), (400, 4)]
)
def test_longer_series_are_folded(length, patch):
    x = np.random.default_rng(0).normal(size=(9, 1, length))
    model = zoo.fit(x, kernel="gaussian", images=8, validation=0, progress=False)
    assert model.config.network.options["patch"] == patch
    assert model.sample(2, seed=0, steps=1).shape == (2, 1, length)


def test_a_folder_of_a_series_model_gives_the_same_series(tmp_path):
    options = {"network": {"use": "unet1d", "width": 8}, "images": 64, "batch": 16}
    model = zoo.fit(sines(40), kernel="gaussian", progress=False, **options)
    again = zoo.load(model.save_pretrained(tmp_path / "sines"))
    assert torch.equal(again.sample(3, seed=0), model.sample(3, seed=0))


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["gaussian", "pfgmpp", "gravity"])
def test_sines_of_any_phase_in_two_minutes(kernel):
    since = time.monotonic()
    model = zoo.fit(sines(), kernel=kernel, minutes=1.8, progress=False)
    took = time.monotonic() - since
    x = model.sample(200, seed=0).double().numpy()
    found = purity(x)
    phase = np.angle(np.fft.rfft(x[:, 0])[:, CYCLES])
    size = np.sqrt(2) * x[:, 0].std(axis=1)
    around = abs(np.exp(1j * phase).mean())
    print(f"{kernel}: {took:.0f} s, median purity {np.median(found):.4f}, {around:.3f} around")
    assert took < 135
    assert np.median(found) > 0.97
    assert (found > 0.8).mean() > 0.95
    assert np.median(np.abs(size - 1)) < 0.1
    assert around < 4 / math.sqrt(len(x))


def test_bytes_that_may_be_images_are_warned_of():
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    with pytest.warns(ZooWarning, match=r"8 channels and 8 times; grey images are \(n, 1, 8, 8"):
        zoo.fit(x, kernel="gaussian", images=32, progress=False)
