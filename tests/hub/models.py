"""Small models to push around."""

import zoo


def tiny(**options):
    """A model of points in the plane whose network takes milliseconds."""
    kernel = zoo.kernel("gravity", dim=2)
    return zoo.FieldModel(
        kernel=kernel,
        prior=zoo.prior("gravity", kernel),
        network=zoo.network("mlp", shape=(2,), kernel=kernel, width=8, blocks=1, **options),
        solver=zoo.solver("heun"),
        shape=(2,),
    )
