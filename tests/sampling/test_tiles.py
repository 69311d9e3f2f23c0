"""Tiles: a sample's result does not depend on the batch it is evaluated in, to the last bit."""

import pytest
import torch
from tiny_models import stir

import zoo
from zoo.sampling.predict import fixed_batch_size, fixed_size_batches

NETWORKS = {
    "mlp": ((3,), {"width": 24, "blocks": 2, "labels": 4}),
    "unet": ((1, 9, 7), {"width": 8, "blocks": 1, "attention": [1], "labels": 4}),
    "dit": ((2, 8, 8), {"width": 24, "depth": 2, "heads": 3, "patch": 2, "labels": 4}),
    "unet1d": ((2, 19), {"width": 8, "patch": 2, "labels": 4}),
}
# Of each network, conditions that are embedded and those that are laid beside the data.
CONDITIONS = {
    "mlp": [(5,)],
    "unet": [(3,), (2, 4, 3)],
    "dit": [(1,), (1, 8, 8)],
    "unet1d": [(1, 7)],
}


def network(name, **more):
    shape, options = NETWORKS[name]
    options = options | more
    dim = torch.Size(shape).numel()
    kernel = zoo.kernel("gravity", dim=dim)
    return shape, stir(zoo.network(name, shape=shape, kernel=kernel, **options)).eval()


def batch(shape, n=37):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, *shape, generator=generator) * 3
    t = torch.rand(n, generator=generator) * 5 + 0.1
    return x, t, torch.arange(n) % 5 - 1


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_a_row_depends_on_itself_alone(name):
    shape, plain = network(name)
    x, t, labels = batch(shape)
    tiled = fixed_size_batches(plain, 8)
    whole = tiled(x, t, labels)
    torch.testing.assert_close(whole, plain(x, t, labels), rtol=1e-4, atol=1e-5)
    for n in (1, 5, 8, 36):
        assert torch.equal(tiled(x[:n], t[:n], labels[:n]), whole[:n])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(3))
    assert torch.equal(tiled(x[order], t[order], labels[order]), whole[order])
    others = torch.cat([x[:1], x[1:] * 1000])
    assert torch.equal(tiled(others, t, labels)[0], whole[0])


@pytest.mark.parametrize(
    ("name", "known"), [(n, c) for n, many in CONDITIONS.items() for c in many]
)
@torch.no_grad()
def test_a_row_depends_on_its_own_condition_alone(name, known):
    shape, plain = network(name, condition=[*known])
    x, t, labels = batch(shape)
    given = torch.randn(len(x), *known, generator=torch.Generator().manual_seed(4))
    given[::5] = torch.nan
    tiled = fixed_size_batches(plain, 8)
    whole = tiled(x, t, labels, given)
    torch.testing.assert_close(whole, plain(x, t, labels, given), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole[::5], plain(x[::5], t[::5], labels[::5]), rtol=1e-4, atol=1e-5)
    for n in (1, 5, 8, 36):
        assert torch.equal(tiled(x[:n], t[:n], labels[:n], given[:n]), whole[:n])
    # A view that does not begin at a cache line.
    assert torch.equal(tiled(x[1:9], t[1:9], labels[1:9], given[1:9]), whole[1:9])
    others = torch.cat([given[:1], given[1:] * 100])
    assert torch.equal(tiled(x, t, labels, others)[0], whole[0])
    assert torch.equal(tiled(x, t, None, given)[labels == -1], whole[labels == -1])
    changed = tiled(x, t, labels, given + 1)
    assert not torch.equal(changed[1], whole[1])
    assert torch.equal(changed[5], whole[5])


@torch.no_grad()
def test_one_time_for_all_is_the_same_as_one_each():
    shape, plain = network("unet")
    x, _, _ = batch(shape)
    tiled = fixed_size_batches(plain, 8)
    one = tiled(x, torch.tensor(0.7))
    assert torch.equal(tiled(x, torch.full((len(x),), 0.7)), one)
    assert torch.equal(tiled(x[:1], torch.tensor([0.7])), one[:1])


def test_every_evaluation_has_the_same_size():
    seen = []

    def spy(x, t):
        seen.append(len(x))
        return x * t

    tiled = fixed_size_batches(spy, 4)
    for n in (1, 4, 6, 11):
        assert tiled(torch.ones(n, 2), torch.tensor(2.0)).tolist() == [[2.0, 2.0]] * n
    assert set(seen) == {4}
    assert tiled(torch.ones(0, 2), torch.tensor(2.0)).shape == (0, 2)


def test_gradients_pass_through():
    x = torch.randn(5, 2, requires_grad=True)
    fixed_size_batches(lambda x, t: x**2 * t, 4)(x, torch.tensor(3.0)).sum().backward()
    torch.testing.assert_close(x.grad, 6 * x.detach())


def test_small_data_gets_large_tiles_and_large_images_go_alone():
    sizes = [fixed_batch_size(d) for d in (1, 2, 64, 784, 3072, 12_288, 200_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[:5] == [256, 256, 8, 8, 4]
    assert sizes[-1] == 1
    assert all(size & (size - 1) == 0 for size in sizes)
