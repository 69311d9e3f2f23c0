"""Distances between sets: closed forms, direct double loops, and a library that others keep."""

import math

import pytest
import torch
from common import normal
from torch import nn

from zoo.evaluation.distances import (
    Gaussian,
    blocks,
    fit_gaussian,
    frechet_distance,
    kernel_distance,
    mean_kernel,
    mean_kernel_within,
    nearest,
    prdc,
    radii,
)
from zoo.evaluation.intervals import from_seeds, jackknife, student


def rotation(d):
    return torch.linalg.qr(normal(d, d, seed=9)).Q


def test_frechet_of_gaussians_that_share_their_axes_is_in_closed_form():
    a, b, q = torch.tensor([4.0, 1.0, 0.25]), torch.tensor([1.0, 9.0, 0.25]), rotation(3)
    shift = torch.tensor([1.0, -2.0, 0.5]).double()
    first = Gaussian(torch.zeros(3).double(), q @ a.double().diag() @ q.T)
    second = Gaussian(shift, q @ b.double().diag() @ q.T)
    expected = float(shift.square().sum()) + (2 - 1) ** 2 + (1 - 3) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_one_dimension_in_closed_form():
    a = Gaussian(torch.tensor([1.0]), torch.tensor([[4.0]]))
    b = Gaussian(torch.tensor([3.0]), torch.tensor([[1.0]]))
    assert frechet_distance(a, b) == pytest.approx((1 - 3) ** 2 + (2 - 1) ** 2)


def test_frechet_of_a_set_and_itself_is_nothing_even_where_the_covariance_is_singular():
    x = normal(20, 64)
    assert frechet_distance(fit_gaussian(x), fit_gaussian(x)) == pytest.approx(0, abs=1e-5)


def test_frechet_does_not_change_under_a_common_rotation_and_grows_with_the_square_of_a_scale():
    x, y, q = normal(200, 5), 1.5 * normal(300, 5, seed=1) + 0.3, rotation(5)
    plain = frechet_distance(fit_gaussian(x), fit_gaussian(y))
    assert frechet_distance(fit_gaussian(x @ q), fit_gaussian(y @ q)) == pytest.approx(plain)
    assert frechet_distance(fit_gaussian(3 * x), fit_gaussian(3 * y)) == pytest.approx(9 * plain)


class Flat(nn.Module):
    """Features of torchmetrics: the images themselves, as vectors."""

    num_features = 12

    def forward(self, x):
        return x.flatten(1)


def test_frechet_is_the_one_of_torchmetrics():
    from torchmetrics.image.fid import FrechetInceptionDistance

    theirs = FrechetInceptionDistance(feature=Flat(), input_img_size=(3, 2, 2), normalize=True)
    theirs.set_dtype(torch.float64)
    x, y = normal(400, 3, 2, 2), 1.2 * normal(500, 3, 2, 2, seed=1) + 0.1
    theirs.update(x, real=False)
    theirs.update(y, real=True)
    ours = frechet_distance(fit_gaussian(x.flatten(1)), fit_gaussian(y.flatten(1)))
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-6)


def test_the_kernel_distance_is_the_one_of_torchmetrics():
    from torchmetrics.image.kid import poly_mmd

    x, y = normal(50, 7), normal(50, 7, seed=1) + 0.5
    assert kernel_distance(x, y) == pytest.approx(float(poly_mmd(x, y)), rel=1e-9)


def test_the_kernel_distance_is_what_a_double_loop_says():
    x, y = normal(5, 3), normal(4, 3, seed=1)

    def k(a, b):
        return (float(a @ b) / 3 + 1) ** 3

    def within(z):
        n = len(z)
        pairs = [k(z[i], z[j]) for i in range(n) for j in range(n) if i != j]
        return sum(pairs) / (n * (n - 1))

    across = sum(k(a, b) for a in x for b in y) / 20
    assert kernel_distance(x, y) == pytest.approx(within(x) + within(y) - 2 * across, rel=1e-12)
    assert mean_kernel(x, y) == pytest.approx(across, rel=1e-12)
    known = mean_kernel_within(y)
    assert kernel_distance(x, y, known) == kernel_distance(x, y)


def test_the_kernel_distance_is_unbiased_where_the_one_with_equal_pairs_is_not():
    draws = normal(400, 2, 10, 3)
    values = torch.tensor([kernel_distance(x, y) for x, y in draws])
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean())) < 4 * error
    biased = torch.tensor(
        [mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y) for x, y in draws]
    )
    assert float(biased.mean()) > 20 * error


def prdc_by_loops(samples, data, k):
    def ball(points, i):
        return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

    s, r = samples.tolist(), data.tolist()
    around_s = [ball(s, i) for i in range(len(s))]
    around_r = [ball(r, j) for j in range(len(r))]
    d = [[math.dist(a, b) for b in r] for a in s]
    n, m = range(len(s)), range(len(r))
    precision = sum(any(d[i][j] < around_r[j] for j in m) for i in n) / len(s)
    recall = sum(any(d[i][j] < around_s[i] for i in n) for j in m) / len(r)
    density = sum(d[i][j] < around_r[j] for i in n for j in m) / (k * len(s))
    coverage = sum(any(d[i][j] < around_r[j] for i in n) for j in m) / len(r)
    return [precision, recall, density, coverage]


@pytest.mark.parametrize("shift", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("k", [1, 3])
def test_the_four_shares_are_what_double_loops_say(k, shift):
    samples, data = normal(40, 2) + shift, normal(30, 2, seed=1)
    assert prdc(samples, data, k).tolist() == pytest.approx(prdc_by_loops(samples, data, k))


def test_the_four_shares_of_one_law_of_a_far_one_and_of_one_mode():
    data = normal(1000, 2)
    precision, recall, density, coverage = prdc(normal(1000, 2, seed=1), data).tolist()
    assert min(precision, recall, coverage) > 0.9
    assert density == pytest.approx(1, abs=0.1)
    assert prdc(data + 100, data).tolist() == [0, 0, 0, 0]
    precision, recall, _, coverage = prdc(0.1 * normal(1000, 2, seed=2), data).tolist()
    assert precision > 0.95
    assert max(recall, coverage) < 0.3


def test_blocks_cover_every_pair_once(monkeypatch):
    monkeypatch.setattr("zoo.evaluation.distances._BLOCK", 20)
    a, b = normal(11, 3), normal(6, 3, seed=1)
    whole = torch.full((11, 6), torch.nan, dtype=torch.float64)
    count = 0
    for rows, square in blocks(a, b):
        whole[rows] = square
        count += 1
    assert count == 4
    assert torch.allclose(whole.sqrt(), torch.cdist(a, b))


def test_the_nearest_of_a_copy_is_at_distance_zero_in_half_the_digits_too():
    points = normal(50, 784, dtype=torch.float32) + 10
    distance = nearest(torch.cat([points[7:8], points[9:10] + 0.01]), points)
    assert distance.dtype == torch.float64
    assert distance[0] == 0
    assert distance[1] == pytest.approx(0.01 * 28, rel=1e-4)


def test_radii_reach_to_the_kth_neighbour_and_count_twins():
    x = torch.tensor([[0.0], [1.0], [3.0], [3.0]]).double()
    assert radii(x, 1).tolist() == [1, 1, 0, 0]
    assert radii(x, 2).tolist() == [9, 4, 4, 4]


def test_an_interval_over_seeds_is_students():
    found = from_seeds([1.0, 2.0, 3.0])
    half = 4.302652729911275 / math.sqrt(3)  # t(0.975, 2), standard deviation 1
    assert (found.value, found.values) == (2.0, (1.0, 2.0, 3.0))
    assert [found.low, found.high] == pytest.approx([2 - half, 2 + half])


def test_the_jackknife_of_a_mean_is_the_spread_of_its_groups():
    x = normal(200, 1)
    (found,) = jackknife(lambda rows: rows.mean(dim=0), x)
    groups = torch.stack([x[g::10].mean() for g in range(10)])
    half = student(9) * float(groups.std()) / math.sqrt(10)
    assert found.value == pytest.approx(float(x.mean()))
    assert (found.high - found.low) / 2 == pytest.approx(half)


def test_the_jackknife_holds_the_frechet_distance_that_further_draws_have():
    reference = fit_gaussian(normal(5000, 4, seed=99))

    def distance(rows):
        return torch.tensor([frechet_distance(fit_gaussian(rows), reference)])

    def draw(seed):
        return 1.3 * normal(400, 4, seed=seed)

    values = torch.cat([distance(draw(seed)) for seed in range(60)])
    halves = [(e.high - e.low) / 2 for e in (jackknife(distance, draw(s))[0] for s in range(20))]
    mean_half = sum(halves) / len(halves)
    assert mean_half == pytest.approx(student(9) * float(values.std()), rel=0.35)
