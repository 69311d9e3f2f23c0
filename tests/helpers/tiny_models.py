"""Models small enough for tests, with fixed weights that are not zero."""

import torch

import zoo


def stir(network, scale=0.05):
    """Add noise to every parameter, since the last layer of an untrained network is zero."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)
    return network


def _model(shape, kernel, network, solver, options):
    built = zoo.kernel(kernel, dim=torch.Size(shape).numel())
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        stirred = stir(zoo.network(network, shape=shape, kernel=built, **options))
    return zoo.FieldModel(built, zoo.prior(kernel, built), stirred, zoo.solver(solver), shape)


def images(kernel="gravity", shape=(1, 8, 8), solver="heun", **options):
    """A model of images, 8x8 grey by default, with a U-Net of a few thousand parameters."""
    options = {"width": 8, "multipliers": [1, 2], "blocks": 1, **options}
    return _model(shape, kernel, "unet", solver, options)


def points(kernel="gravity", dim=2, solver="heun", **options):
    """A model of vectors with an MLP."""
    return _model((dim,), kernel, "mlp", solver, {"width": 16, "blocks": 1, **options})
