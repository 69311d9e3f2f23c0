"""Operators: adjoints, shapes, and what they refuse."""

import numpy as np
import pytest
import torch
from common import normal

from zoo import ZooError
from zoo.config.standardise import Standardise
from zoo.errors import ZooWarning
from zoo.interfaces import Operator
from zoo.posterior import (
    Blur,
    Compose,
    Crop,
    Downscale,
    Function,
    Grey,
    Linear,
    Mask,
    named_operator,
    observe,
)

SHAPE = (3, 8, 12)


KEEP = normal(*SHAPE) > 0
LINEAR = {
    "mask": (Mask(KEEP), SHAPE),
    "mask-of-columns": (Mask(torch.arange(12) > 3), SHAPE),
    "crop": (Crop(1, 2, 4, 5), (3, 4, 5)),
    "blur": (Blur(1.5), SHAPE),
    "downscale": (Downscale(2), (3, 4, 6)),
    "grey": (Grey(), (1, 8, 12)),
    "linear": (Linear(normal(7, 288)), (7,)),
    "compose": (Compose(Blur(0.8), Downscale(4), Grey()), (1, 2, 3)),
    "compose-mask": (Compose(Grey(), Mask(torch.arange(12) > 3)), (1, 8, 12)),
}


@pytest.mark.parametrize("name", LINEAR)
def test_the_adjoint_is_the_adjoint_and_the_derivative(name):
    operator, out = LINEAR[name]
    assert operator.linear
    assert operator.out_shape(SHAPE) == out
    x, y = normal(2, *SHAPE, seed=1), normal(2, *out, seed=2)
    there, back = operator(x), operator.adjoint(y, SHAPE)
    assert there.shape == y.shape
    assert back.shape == x.shape
    torch.testing.assert_close((there * y).sum(), (x * back).sum())
    torch.testing.assert_close(Operator.adjoint(operator, y, SHAPE), back)
    assert operator(x.float()).dtype == torch.float32


def test_operators_do_what_they_say():
    x = normal(1, *SHAPE)
    torch.testing.assert_close(Downscale(2)(x), torch.nn.functional.avg_pool2d(x, 2))
    assert torch.equal(Crop(1, 2, 4, 5)(x), x[..., 1:5, 2:7])
    assert torch.equal(Mask(KEEP)(x)[0][KEEP], x[0][KEEP])
    assert not Mask(KEEP)(x)[0][~KEEP].any()
    flat = torch.ones(1, *SHAPE, dtype=torch.float64)
    torch.testing.assert_close(Blur(1.5)(flat), flat)  # up to the border
    torch.testing.assert_close(Grey()(flat), flat[:, :1])
    matrix = normal(7, 288)
    torch.testing.assert_close(Linear(matrix)(x)[0], matrix @ x.flatten())


def test_operators_have_names():
    x = normal(1, *SHAPE)
    for name, operator in (
        ("downscale:2", Downscale(2)),
        ("blur:1.5", Blur(1.5)),
        ("grey", Grey()),
    ):
        assert torch.equal(named_operator(name)(x), operator(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mask(torch.zeros(SHAPE, dtype=torch.bool)), "a mask of nothing"),
        (lambda: Mask(torch.ones(SHAPE)), "expected booleans"),
        (lambda: Mask([[True], [True, False]]), "expected booleans"),
        (lambda: Mask("all"), "expected booleans"),
        (lambda: Mask(KEEP).out_shape((3, 8, 8)), r"keep has shape \(3, 8, 12\); expected"),
        (lambda: Crop(5, 0, 4, 4).out_shape(SHAPE), "rows 5..8"),
        (lambda: Crop(-1, 0, 4, 4), "top = -1"),
        (lambda: Crop(0, 0, 4, 4).out_shape((5,)), "for images"),
        (lambda: Downscale(5).out_shape(SHAPE), "does not divide images of 8 x 12"),
        (lambda: Downscale(1), "factor = 1"),
        (lambda: Blur(0), "sigma = 0"),
        (lambda: Grey().out_shape((1, 8, 8)), "3 channels; these have 1"),
        (lambda: Linear(normal(7, 5)).out_shape(SHAPE), "need 288 columns"),
        (lambda: Linear(normal(7)), r"expected \(m, d\)"),
        (lambda: Linear(torch.zeros(2, 3)), "matrix is 0"),
        (lambda: Linear(torch.full((2, 3), torch.nan)), "not finite"),
        (lambda: Compose(), "at least one"),
        (lambda: Compose(3), "operator is 3"),
        (lambda: Function(lambda x: x.sum()).out_shape(SHAPE), "for 2 samples"),
        (lambda: Function(lambda x: x @ x).out_shape(SHAPE), "fails on a batch"),
        (lambda: Function(lambda x: x.round().long()).out_shape(SHAPE), "no gradient"),
        (lambda: Function(lambda x: x.detach()).out_shape(SHAPE), "no gradient"),
        (lambda: Function(torch.fft.fft2).out_shape(SHAPE), "complex numbers"),
        (lambda: Function(lambda x: x - x.mean(0)).out_shape(SHAPE), "each sample by itself"),
        (lambda: Function(lambda x: x + torch.rand_like(x)).out_shape(SHAPE), "random"),
        (lambda: named_operator("sharpen"), "no operator 'sharpen'"),
        (lambda: named_operator("blur:x"), "expected a number, such as blur:1.5"),
        (lambda: named_operator("downscale"), "expected a number"),
    ],
)
def test_what_is_refused_is_told_in_one_line(make, message):
    with pytest.raises(ZooError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_noise_becomes_one_whatever_it_was():
    matrix = normal(4, 6)
    root = normal(4, 4, seed=3)
    covariance = root @ root.T + torch.eye(4)
    x, y = normal(1, 6), normal(3, 4, seed=5)
    for noise, inverse in (
        (0.5, torch.eye(4) / 0.25),
        ([0.5, 1.0, 2.0, 0.1], torch.diag(torch.tensor([4.0, 1.0, 0.25, 100.0]))),
        (covariance, covariance.inverse()),
    ):
        seen = observe(y, Linear(matrix), noise, shape=(6,))
        error = y - x @ matrix.T
        expected = -((error @ inverse.double()) * error).sum(dim=1) / 2
        torch.testing.assert_close(seen.log_likelihood(x.double())[:, 0], expected)
        near = seen.near(x)
        torch.testing.assert_close(near.residual.square().sum(dim=1), -2 * expected)
        v = normal(1, 4, seed=6)
        torch.testing.assert_close((near.push(x) * v).sum(), (near.pull(v) * x).sum())


def test_hidden_values_may_be_anything():
    keep = torch.tensor([True, False, True])
    y = torch.tensor([1.0, torch.nan, 2.0])
    assert torch.equal(observe(y, Mask(keep), 1.0, shape=(3,)).y[0], y.nan_to_num().double())
    with pytest.raises(ZooError, match="y is not finite where it is seen"):
        observe(y.roll(1), Mask(keep), 1.0, shape=(3,))


@pytest.mark.parametrize(
    ("y", "noise", "message"),
    [
        (torch.zeros(2, 5), 0.1, r"y has shape \(2, 5\); the operator gives \(4,\).* or \(n, 4\)"),
        (torch.zeros(0, 4), 0.1, r"y has shape \(0, 4\)"),
        (torch.full((4,), torch.nan), 0.1, "y is not finite"),
        (torch.zeros(4), -0.1, "noise is -0.1"),
        (torch.zeros(4), [0.0, 1.0, 1.0, 1.0], "expected positive numbers"),
        (torch.zeros(4), torch.nan, "noise is not finite"),
        (torch.zeros(4), [1.0, 2.0], r"noise has shape \(2,\)"),
        (torch.zeros(4), -torch.eye(4), "not positive definite"),
        (torch.zeros(4), torch.ones(2, 2), r"noise has shape \(2, 2\)"),
        (torch.zeros(4), torch.eye(4) + torch.ones(4, 4).triu(1), "not symmetric"),
        ("abc", 0.1, "y is 'abc'"),
    ],
)
def test_observations_that_do_not_fit_are_refused(y, noise, message):
    with pytest.raises(ZooError, match=message) as refusal:
        observe(y, Linear(normal(4, 6)), noise, shape=(6,))
    assert "\n" not in str(refusal.value)


def test_what_is_no_operator_is_refused():
    for wrong in (None, Mask, torch.eye(3)):
        with pytest.raises(ZooError, match=r"expected one of zoo\.posterior"):
            observe(torch.zeros(3), wrong, 0.1, shape=(3,))


def test_a_function_is_linearised_where_it_is_used():
    seen = observe(torch.zeros(2, 3), lambda x: x.square(), 1.0, shape=(3,))
    d, v = normal(2, 3), normal(2, 3, seed=1)
    near = seen.of(torch.arange(2), d).near(d)
    torch.testing.assert_close(near.residual, -d.square())
    torch.testing.assert_close(near.push(v), 2 * d * v)
    torch.testing.assert_close(near.pull(v), 2 * d * v)


def test_what_is_hidden_is_left_out_of_the_covariance():
    d, keep = 5, torch.tensor([True, False, True, True, False])
    root = normal(d, d, seed=3)
    covariance = root @ root.T + torch.eye(d)
    x, y = normal(4, d), normal(1, d, seed=5)
    hidden = torch.where(keep[:, None] & keep, covariance, torch.nan)
    rows = Linear(torch.eye(d).double()[keep])
    expected = observe(y[:, keep], rows, covariance[keep][:, keep], shape=(d,)).log_likelihood(x)
    for law in (covariance, hidden):
        found = observe(y, Mask(keep), law, shape=(d,)).log_likelihood(x)
        torch.testing.assert_close(found, expected)
    stds = torch.where(keep, torch.linspace(0.1, 0.5, d), torch.nan)
    found = observe(y, Mask(keep), stds, shape=(d,)).log_likelihood(x)
    expected = observe(y[:, keep], rows, stds[keep], shape=(d,)).log_likelihood(x)
    torch.testing.assert_close(found, expected)
    assert observe(y, Mask(keep), torch.zeros(d), shape=(d,)).noise.variance == 0


def test_a_covariance_of_y_of_two_dimensions():
    root = normal(6, 6)
    covariance = root @ root.T + torch.eye(6)
    seen = observe(normal(2, 3), Mask(torch.tensor(True)), covariance, shape=(2, 3))
    v = normal(4, 2, 3, seed=1)
    size = seen.noise.whiten(v).flatten(1).square().sum(dim=1)
    expected = ((v.flatten(1) @ covariance.inverse()) * v.flatten(1)).sum(dim=1)
    torch.testing.assert_close(size, expected)


def test_operators_that_are_not_linear_say_so():
    class Bent(Operator):
        def out_shape(self, shape):
            return shape

        def forward(self, x):
            return x.abs()

    class Moved(Bent):
        def forward(self, x):
            return x + 1

    for wrong in (Bent(), Moved()):
        with pytest.raises(ZooError, match=r"is not linear: .* set linear = False"):
            observe(torch.zeros(3), wrong, 0.1, shape=(3,))


def test_an_operator_that_overflows_is_not_called_bent():
    large = Linear(torch.full((1, 3), 1e300, dtype=torch.float64))
    with pytest.raises(ZooError, match=r"not finite in torch\.float32: scale it"):
        observe([1.0], large, 0.1, shape=(3,))


def test_functions_are_tried_with_the_numbers_that_they_will_be_given():
    matrix = torch.ones(3, 2).double()

    def function(x):
        return x @ matrix

    for operator in (function, Function(function), Compose(function)):
        with pytest.raises(ZooError, match="fails on a batch"):
            observe(torch.zeros(2), operator, 0.1, shape=(3,))
        seen = observe(torch.zeros(2), operator, 0.1, shape=(3,), like=matrix)
        assert seen.predict(torch.ones(1, 3).double()).tolist() == [[30.0, 30.0]]


def test_functions_and_compositions_that_others_derive_keep_what_they_change():
    class Squared(Function):
        def forward(self, x):
            return super().forward(x) ** 2

    class Halved(Compose):
        def forward(self, x):
            return super().forward(x) / 2

    three = torch.full((1, 2), 3.0)
    for operator, expected in ((Squared(lambda x: x), 9.0), (Halved(Squared(lambda x: x)), 4.5)):
        seen = observe(torch.zeros(2), operator, 1.0, shape=(2,))
        assert seen.predict(three).tolist() == [[expected, expected]]


def test_masks_are_lists_or_copied_arrays():
    keep = np.array([True, False])
    mask = Mask(keep)
    keep[:] = False
    assert mask.keep.tolist() == Mask([True, False]).keep.tolist() == [True, False]


def test_bytes_are_refused_and_numbers_of_their_size_warned_of():
    y, options = torch.zeros(1, 4, 4), {"shape": (1, 4, 4), "span": (-1.0, 1.0)}
    with pytest.raises(ZooError, match=r"which may be bytes; .* pixels in \[-1, 1\]"):
        observe(y.to(torch.uint8), Blur(1.0), 0.1, **options)
    with pytest.warns(ZooWarning, match="y has values from 200 to 200"):
        observe(y + 200, Compose(Blur(1.0)), 0.1, **options)
    observe(y.flatten() + 200, Linear(200 * torch.eye(16)), 0.1, **options)


def test_a_function_may_give_one_number_of_each_sample_but_not_none():
    seen = observe([[1.0], [2.0]], lambda x: x.square().sum(dim=1), 0.5, shape=(3,))
    d = normal(2, 3)
    near = seen.of(torch.arange(2), d).near(d)
    expected = (torch.tensor([1.0, 2.0]) - d.square().sum(dim=1))[:, None] / 0.5
    torch.testing.assert_close(near.residual, expected)
    with pytest.raises(ZooError, match=r"y of shape \(0,\); expected at least one number"):
        observe(torch.zeros(0), lambda x: x[:, :0], 0.5, shape=(3,))


class Own(Operator):
    """The first m numbers of x, as a user may write it; parts of it are replaced by tests."""

    def __init__(self, m=2, **parts):
        self.m = m
        for name, part in parts.items():
            setattr(self, name, part)

    def out_shape(self, shape):
        return (self.m,)

    def forward(self, x):
        return x.flatten(1)[:, :2]


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (Own(3), r"Own gives y of shape \(2,\), and its out_shape says \(3,\)"),
        (Own(3, linear=False), r"Own gives y of shape \(2,\), and its out_shape says \(3,\)"),
        (
            Own(1, linear=False, forward=lambda x: x.norm(dim=1)),
            r"shape \(\), and its out_shape",
        ),
        (Own(forward=lambda x: x @ torch.eye(5)), r"Own\.forward fails on float32 of shape \(2, 3"),
        (Own(forward=lambda x: x.numpy()[:, :2]), r"Own\.forward gives array.*expected a tensor"),
        (Own(forward=lambda x: x[:1, :2]), r"Own\.forward gives \(1, 2\) for 2 samples"),
        (Own(adjoint=lambda y, shape: y), r"the adjoint of Own gives \(2, 2\) for 2 samples"),
        (
            Own(adjoint=lambda y, shape: torch.cat([2 * y, y[:, :1]], 1)),
            "not that of its forward",
        ),
        (Own(adjoint=lambda y, shape: y / 0 @ "A"), r"Own\.adjoint fails on float32"),
        (Own(linear=False, forward=lambda x: x[:, :2].detach()), "operator Own has no gradient"),
        (Own(linear=False, forward=lambda x: x[:, :2] - x[:, :2].mean(0)), "sample by itself"),
    ],
)
def test_operators_of_ones_own_are_tried(operator, message):
    with pytest.raises(ZooError, match=message) as refusal:
        observe(torch.zeros(operator.m), operator, 0.1, shape=(3,))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_an_operator_of_ones_own_is_given_the_mean_as_the_numbers_that_it_knows():
    matrix = torch.tensor([[1.0, 2.0]])  # float32, whatever it is given
    own = Own(1, forward=lambda x: x @ matrix.T)
    known = Standardise(mean=(3.0, 4.0), scale=(2.0, 0.5))
    seen = observe([11.5], own, 0.5, shape=(2,), standardise=known)
    torch.testing.assert_close(seen.y, torch.tensor([[1.0]]).double())  # (11.5 - 11) / 0.5
    precise = observe(
        [1e7 + 0.5],
        Linear([[1.0, 2.0]]),
        0.5,
        shape=(2,),
        standardise=Standardise(mean=(1e7 - 2, 1.0), scale=(2.0, 0.5)),
    )
    torch.testing.assert_close(precise.y, torch.tensor([[1.0]]).double())


def test_noise_of_another_shape_is_refused_under_a_mask_too():
    keep = torch.ones(2, 3).bool()
    for wrong in ((3, 2), (1, 6)):
        with pytest.raises(ZooError, match=r"noise has shape .*; expected a standard deviation"):
            observe(torch.zeros(2, 3), Mask(keep), torch.full(wrong, 0.1), shape=(2, 3))
