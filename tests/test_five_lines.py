"""A third party's kernel of five lines, one radial CDF: trained, sampled, lifted to and checked."""

import pytest
import torch
from fake_distributions import install
from tiny_models import points

import zoo
from zoo.config.recipe import from_dict
from zoo.errors import ZooError
from zoo.interfaces import KernelPrior
from zoo.models.lift import lift
from zoo.testing import checks
from zoo.training.export import export, model_of
from zoo.training.plan import make_plan
from zoo.training.start import start

# psi of r/t alone, whose network learns the denoiser; any other, whose network learns the field.
KERNELS = {
    "cubic": """
        import torch
        from zoo.interfaces import SelfSimilarKernel
        class Cubic(SelfSimilarKernel):
            def unit_cdf(self, rho):
                return torch.tanh(rho**3)
    """,
    "drifting": """
        from zoo.interfaces import IsotropicKernel
        class Drifting(IsotropicKernel):
            def radial_cdf(self, r, t):
                return 1 - 1 / (1 + (r / t) ** 2) ** (1 + t / (1 + t))
    """,
}


@pytest.fixture(params=KERNELS)
def name(request, site):
    """The name of a kernel that a plugin brings, and nothing else: no prior, no network."""
    name = request.param
    hook = "@hookimpl\ndef zoo_field_kernels():\n"
    source = f'{hook}    yield Component("{name}", "zoo_{name}.kernel:{name.title()}")\n'
    install(site, f"zoo-{name}", source=source, files={"kernel.py": KERNELS[name]})
    assert len(KERNELS[name].strip().splitlines()) <= 5
    return name


def recipe(name, images, **train):
    """Two moons in the plane, and a recipe without a word about the prior."""
    raw = {
        "name": f"{name}-moons",
        "data": {"use": "toy:two-moons"},
        "kernel": {"use": name},
        "network": {"use": "mlp", "width": 64, "blocks": 2},
        "solver": {"use": "heun", "steps": 12},
        "train": {
            "images": images,
            "batch": 256,
            "warmup": 256,
            "checkpoint_every": 10**6,
            **train,
        },
    }
    return from_dict(raw, "recipe")


def test_it_is_trained_and_sampled_like_any_other(name, tmp_path):
    plan = make_plan(recipe(name, 64_000, ema_halflife=3_000.0, lr=5e-3))
    trainer = start(plan, tmp_path / "run")
    untrained = model_of(trainer).sample(400, seed=0)
    trainer.run()
    folder = export(trainer, picture=False)
    model = zoo.load(folder)
    assert type(model.prior) is KernelPrior
    assert model.config.prior.encode() == {"use": name}
    assert any(line.startswith(f"zoo-{name}>=1.0") for line in model.config.requires)
    x = model.sample(400, seed=0)
    data = plan.data.batch(torch.arange(2000))
    near, far = (torch.cdist(y, data).min(dim=1).values.median() for y in (x, untrained))
    assert float(near) < float(far) / 4


def test_it_passes_the_checks(name):
    found = {check.__name__: check for check in checks(name)}
    for law in ("divergence", "mass", "velocity", "sampling", "transport", "shares"):
        found[f"{name}-{law}-d2"]()


def test_gaussian_models_are_lifted_to_it(name):
    lifted = lift(points("gaussian", dim=8), name)
    assert type(lifted.prior) is KernelPrior
    assert lifted.sample(3, seed=0, steps=4).isfinite().all()


def test_its_prior_takes_no_options_and_other_names_are_unknown(name):
    kernel = zoo.kernel(name, dim=2)
    with pytest.raises(ZooError, match=f"prior '{name}' has no option 'scale'; it takes none"):
        zoo.prior(name, kernel, scale=2.0)
    with pytest.raises(ZooError, match=f"no prior '{name}'"):
        zoo.prior(name, zoo.kernel("gravity", dim=2))
