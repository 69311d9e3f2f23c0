"""The conformance checks: all that is ours passes them, and what is wrong fails the right one."""

import json
import math
import shutil
import warnings

import pytest
import torch
from fake_distributions import brings, install, install_model, run_python
from tiny_models import points
from torch import nn
from zoo_gaussian.kernel import GaussianKernel
from zoo_gravity.kernel import GravityKernel
from zoo_radial.psi import TanhKernel, psi_kernel
from zoo_solvers.runge_kutta import Euler, Heun

import zoo
from zoo.errors import PluginError, ZooError
from zoo.host.plugins import plugins
from zoo.interfaces import FieldKernel, KernelPrior, Network, SelfSimilarKernel, over, randn
from zoo.testing import CheckFailure, checks, networks, priors, solvers
from zoo.testing import listing as listing_module
from zoo.testing.listing import KERNEL_LAWS, NETWORK_LAWS, PRIOR_LAWS, SOLVER_LAWS
from zoo.testing.numerics import (
    log_integral,
    require_same_distribution,
    require_uniform,
    require_zero_mean,
)
from zoo.testing.torch_line import torch_line

# Kernels that solve an equation for every pair: seconds per check in high dimension.
SLOW = {"phi", "map"}
QUICK_LAWS = {"divergence", "mass", "density", "velocity", "quantiles", "times", "dtypes", "shapes"}


def marked(check):
    component, _, rest = check.__name__.partition("-")
    quick = rest.endswith("-d2") and rest.removesuffix("-d2") in QUICK_LAWS
    slow = component in SLOW and not quick
    return pytest.param(check, marks=pytest.mark.slow if slow else ())


# Plugins over a package that fieldzoo does not install have their checks in files of their own.
OPTIONAL = {"diffusers"}
OURS = [
    marked(c)
    for record in plugins()
    if record.origin and record.name not in OPTIONAL
    for c in checks(record.name)
]


@pytest.mark.parametrize("check", OURS)
def test_everything_that_ships_passes(check):
    check()


def broken_laws(laws, subject):
    """The names of the laws that `subject` breaks, with what they say."""
    failures = {}
    for name in laws:
        module = KERNEL_LAWS.get(name, name)
        law = getattr(__import__(f"zoo.testing.{module}", fromlist=[name]), name)
        try:
            law(subject)
        except CheckFailure as failure:
            failures[name] = str(failure)
    return failures


# Kernels that are wrong on purpose


class WrongExponent(GravityKernel):
    """Gravity as (t, x - x_0) / (t^2 + r^2)^(d/2): the field of one dimension less."""

    def log_phi(self, r, t):
        t = torch.as_tensor(t, dtype=r.dtype)
        return super().log_phi(r, t) + torch.log(t.square() + r.square()) / 2


class FastTanh(TanhKernel):
    """The velocity of tanh, one per cent too fast."""

    def velocity(self, x_t, x_0, t):
        return 1.01 * super().velocity(x_t, x_0, t)


class WideGravity(GravityKernel):
    """Samples ten per cent too far out."""

    def unit_sample(self, like, generator=None):
        return 1.1 * super().unit_sample(like, generator)


class LopsidedTanh(TanhKernel):
    """The right radius, but more often up than down."""

    def unit_sample(self, like, generator=None):
        z = super().unit_sample(like, generator)
        return torch.where((z[:, :1] < -z[:, :1].abs().median()), -z, z)


class Unnormalised(TanhKernel):
    """A density that is 0.1 per cent too large everywhere."""

    def unit_log_density(self, rho):
        return super().unit_log_density(rho) + 1e-3


class Spreading(SelfSimilarKernel):
    """psi(r / t) = 1 - exp(-r/t) / 2: half of the mass never leaves the source."""

    def unit_cdf(self, rho):
        return 1 - torch.exp(-rho) / 2

    def unit_icdf(self, q):
        return -torch.log(2 * (1 - q).clamp(max=0.499))


def lambda_is_t(dim):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return psi_kernel(dim=dim, psi="tanh(r/t)", lambda_t="t")


class Wild(TanhKernel):
    """Draws from the global generator."""

    def unit_sample(self, like, generator=None):
        return super().unit_sample(like, None)


class Single(TanhKernel):
    """Returns float32 whatever comes in."""

    def velocity(self, x_t, x_0, t):
        return super().velocity(x_t, x_0, t).float()


class FirstTime(TanhKernel):
    """Uses the first sample's time for the whole batch."""

    def velocity(self, x_t, x_0, t):
        return (x_t - x_0) / torch.as_tensor(t).reshape(-1)[0]


class FlatOnly(TanhKernel):
    """Cannot do images."""

    def velocity(self, x_t, x_0, t):
        return super().velocity(x_t, x_0, t).flatten(1)


WRONG = {
    "gravity with exponent d/2": (WrongExponent, {"divergence", "mass", "density", "shares"}),
    "tanh with v scaled by 1.01": (FastTanh, {"declarations", "divergence", "velocity"}),
    "a sampler with the wrong radius": (WideGravity, {"sampling"}),
    "a sampler with a preferred direction": (LopsidedTanh, {"sampling", "shapes", "shares"}),
    "lambda_t = t": (lambda_is_t, {"far", "velocity", "transport", "shares"}),
    "a density of mass 1.001": (Unnormalised, {"mass", "density"}),
    "a psi that starts at 1/2": (
        Spreading,
        {"concentration", "levels", "mass", "quantiles", "sampling", "shares", "transport"},
    ),
    "samples from the global generator": (
        Wild,
        {"determinism", "pickling", "sampling", "shapes", "times"},
    ),
    "float32 only": (Single, {"dtypes", "divergence"}),
    "one time for all": (FirstTime, {"declarations", "divergence", "times", "velocity"}),
    "flat vectors only": (FlatOnly, {"shapes"}),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_kernel_fails_the_right_checks(name):
    build, expected = WRONG[name]
    found = broken_laws(KERNEL_LAWS, build(dim=2))
    assert set(found) == expected, found


def test_a_failure_says_which_law_broke_by_how_much_and_where():
    text = broken_laws(["divergence"], WrongExponent(dim=2))["divergence"]
    assert "|div G| is 0." in text or "|div G| is 1" in text
    assert " at t = " in text
    assert " r = " in text
    text = broken_laws(["velocity"], FastTanh(dim=2))["velocity"]
    assert "the velocity along x_t - x_0 is " in text
    assert "but psi gives " in text
    text = broken_laws(["mass"], Unnormalised(dim=2))["mass"]
    assert text.startswith("G_1 at t = ")
    assert "has mass 1.001000" in text


class WideGaussian(GaussianKernel):
    """Samples five per cent too far out."""

    def unit_sample(self, like, generator=None):
        return 1.05 * super().unit_sample(like, generator)


@pytest.mark.parametrize(
    ("build", "law"), [(FastTanh, "divergence"), (FastTanh, "velocity"), (WideGaussian, "sampling")]
)
def test_a_wrong_kernel_is_found_in_high_dimension_too(build, law):
    assert law in broken_laws([law], build(dim=3072))


# A kernel that is not isotropic, right and wrong


class Stretched(FieldKernel):
    """x_t = x_0 + t (n_1, 2 n_2): a plain FieldKernel of a third party."""

    stretch = torch.tensor([1.0, 2.0], dtype=torch.float64)

    def __init__(self, *, dim, claimed=stretch, drift=0.0):
        super().__init__(dim=dim, t_min=0.002, t_max=80.0)
        self.claimed, self.drift = claimed, drift

    def log_density(self, x_t, x_0, t):
        t = torch.as_tensor(t, dtype=torch.float64)
        z = ((x_t - x_0).flatten(1) / over(t, x_t.flatten(1))).double() / self.claimed
        log = -z.square().sum(1) / 2 - math.log(2 * math.pi) - 2 * t.log()
        return (log - self.claimed.log().sum()).to(x_t)

    def velocity(self, x_t, x_0, t):
        return (x_t - x_0) * ((1 + self.drift) / over(t, x_t))

    def sample(self, x_0, t, generator=None):
        noise = randn(x_0.shape, x_0, generator) * self.stretch.to(x_0).reshape(x_0.shape[1:])
        return x_0 + over(t, x_0) * noise

    def marginal(self, t):
        t = torch.as_tensor(t, dtype=torch.float64)
        return torch.ones_like(t), t * math.sqrt(2.5)


def test_a_kernel_that_is_not_isotropic_passes():
    assert broken_laws(KERNEL_LAWS, Stretched(dim=2)) == {}


def test_wrong_kernels_that_are_not_isotropic_fail():
    narrow = torch.tensor([1.0, 1.8], dtype=torch.float64)
    assert set(broken_laws(KERNEL_LAWS, Stretched(dim=2, claimed=narrow))) == {"sampling"}
    assert {"divergence", "transport"} <= set(broken_laws(KERNEL_LAWS, Stretched(dim=2, drift=0.1)))


# Priors


class EarlyPrior(KernelPrior):
    """The kernel's law, but at 0.9 T."""

    def sample(self, n, shape, generator=None):
        x = torch.zeros((n, *shape), dtype=torch.float64)
        return self.kernel.sample(x, 0.9 * self.kernel.t_max, generator)

    def log_density(self, x_T):
        return self.kernel.log_density(x_T, torch.zeros_like(x_T), 0.9 * self.kernel.t_max)


class HeavyPrior(KernelPrior):
    """A density of mass 1.001."""

    def log_density(self, x_T):
        return super().log_density(x_T) + 1e-3


class LatePrior(EarlyPrior):
    """Samples of T, density of 0.9 T."""

    sample = KernelPrior.sample


class WildPrior(KernelPrior):
    """Draws from the global generator."""

    def sample(self, n, shape, generator=None):
        return super().sample(n, shape, None)


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (KernelPrior, set()),
        (EarlyPrior, {"law"}),
        (HeavyPrior, {"normalisation"}),
        (LatePrior, {"agreement"}),
        (WildPrior, {"calls", "pickling"}),
    ],
)
def test_a_wrong_prior_fails_the_right_check(prior, expected):
    subject, found = prior(zoo.kernel("gaussian", dim=2)), {}
    for law in PRIOR_LAWS:
        try:
            getattr(priors, law)(subject)
        except CheckFailure as failure:
            found[law] = str(failure)
    assert set(found) == expected, found


# Networks


class Tiny(Network):
    """A linear denoiser, with what may go wrong in one as options."""

    def __init__(
        self,
        shape,
        kernel,
        labels=0,
        *,
        crop=False,
        mixes=False,
        dead=False,
        deaf=False,
        kink=False,
    ):
        super().__init__()
        dim, self.kink = math.prod(shape), kink
        self.labels, self.crop, self.mixes, self.deaf = labels, crop, mixes, deaf
        self.linear = nn.Linear(dim + 1, dim)
        self.classes = nn.Embedding(labels, dim) if labels else None
        self.dead = nn.Parameter(torch.ones(3)) if dead else None

    def forward(self, x_t, t, labels=None):
        scale = (1 + t.square()).sqrt().expand(len(x_t))[:, None]
        if self.kink:
            scale = scale + x_t.flatten(1).square().sum(1, keepdim=True).sqrt()
        x = torch.cat([x_t.flatten(1) / scale, 1 / scale], dim=1).to(x_t.dtype)
        out = self.linear(x)
        if self.mixes:
            out = out - out.mean(0)
        if labels is not None and self.classes is not None and not self.deaf:
            out = out + self.classes(labels.clamp(min=0)) * (labels >= 0)[:, None]
        return out[:, :-1] if self.crop else out.reshape(x_t.shape)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({}, set()),
        ({"crop": True}, {"shapes", "gradient"}),
        ({"mixes": True}, {"samples"}),
        ({"dead": True}, {"gradient"}),
        ({"deaf": True}, {"labels"}),
        ({"kink": True}, {"gradient"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_a_wrong_network_fails_the_right_check(fault, expected):
    def factory(*, shape, kernel, labels=0, **others):
        if others:  # as zoo.network says it
            raise ZooError(f"tiny has no option {next(iter(others))!r}")
        return Tiny(shape, kernel, labels, **fault)

    found = {}
    for law in NETWORK_LAWS:
        try:
            getattr(networks, law)(factory)
        except CheckFailure as failure:
            found[law] = str(failure)
        except RuntimeError:
            found[law] = "an error of torch"
    assert set(found) == expected, found
    if "dead" in fault:
        assert found["gradient"] == "no gradient reaches dead"
    if "kink" in fault:
        assert found["gradient"] == "the derivative by x is not finite at x = 0"


def test_a_network_that_takes_no_shape_says_why():
    def factory(**_):
        raise ZooError("only spheres")

    with pytest.raises(CheckFailure, match=r"none of the shapes.*only spheres"):
        networks.shapes(factory)


# Solvers


class Boastful(Euler):
    """Euler that calls itself order 2."""

    order = 2


class Overshooting(Euler):
    """Looks at the field a little below the end."""

    stages = 2

    def step(self, flow, x, t, t_next):
        end = super().step(flow, x, t, t_next)
        flow.field(end, t_next * (1 - 1e-7))
        return end


class InPlace(Euler):
    """Works on the tensor that it is given."""

    def integrate(self, flow, x, t_from, t_to, *, steps, callback=None):
        end = super().integrate(flow, x, t_from, t_to, steps=steps, callback=callback)
        return x.copy_(end)


@pytest.mark.parametrize(
    ("solver", "expected"),
    [(Euler, set()), (Boastful, {"order"}), (Overshooting, {"interval"}), (InPlace, {"trivial"})],
)
def test_a_wrong_solver_fails_the_right_check(solver, expected):
    found = {}
    for law in SOLVER_LAWS:
        try:
            getattr(solvers, law)(solver())
        except CheckFailure as failure:
            found[law] = str(failure)
    assert set(found) == expected, found
    if expected == {"order"}:
        assert "the order measured is 0.99" in found["order"]
        assert "declared 2" in found["order"]


def test_evaluations_that_are_not_declared_fail_the_check():
    class Understated(Heun):
        stages = 1

    with pytest.raises(CheckFailure, match="80 steps take 160 evaluations; declared 80"):
        solvers.order(Understated())


# The statistics have to be able to fail, and to pass


def test_the_statistics():
    u = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    require_uniform(u, "u")
    require_same_distribution(u[:2000], u[2000:], "u")
    require_zero_mean(u - 0.5, "u")
    for wrong in (lambda: require_uniform(u**1.15, "u"), lambda: require_uniform(u / 0, "u")):
        with pytest.raises(CheckFailure, match=r"^u: "):
            wrong()
    with pytest.raises(CheckFailure, match=r"Kolmogorov-Smirnov distance 0\.1"):
        require_same_distribution(u, u + 0.1, "u")
    with pytest.raises(CheckFailure, match="standard errors away"):
        require_zero_mean(u - 0.47, "u")


@pytest.mark.parametrize("width", [1e-3, 1.0, 5.0])
def test_an_integral_finds_its_peak_wherever_it_is(width):
    log_mass = log_integral(lambda u: -((u - 33.3) / width).square() / 2, 0.0)
    assert log_mass == pytest.approx(math.log(width * math.sqrt(2 * math.pi)), abs=1e-9)


# Listing, a third party's plugin, and the command

FIVE_LINES = """
    import torch
    from zoo.interfaces import SelfSimilarKernel

    class Cubic(SelfSimilarKernel):
        def unit_cdf(self, rho):
            return torch.tanh(rho ** 3)
"""
BRINGS = '@hookimpl\ndef zoo_field_kernels():\n    yield Component("{}", "{}")\n'


@pytest.fixture
def cubic(site):
    """A third party's plugin: one kernel of five lines."""
    source = BRINGS.format("cubic", "zoo_cubic.kernel:Cubic")
    install(site, "zoo-cubic", source=source, files={"kernel.py": FIVE_LINES})
    return site


def test_a_kernel_of_five_lines_passes_everything(cubic):
    found = checks("cubic")
    assert len(found) == 2 + len(KERNEL_LAWS) * len(listing_module.DIMS)
    assert len({check.__name__ for check in found}) == len(found)
    for check in found:
        if not check.__name__.endswith("d3072"):
            check()


def test_pytest_shows_the_names_of_the_checks(cubic, tmp_path):
    test = tmp_path / "test_cubic.py"
    test.write_text(
        "import pytest\nfrom zoo.testing import checks\n\n"
        '@pytest.mark.parametrize("check", checks("cubic"))\n'
        "def test_cubic(check):\n    check()\n"
    )
    done = run_python(
        "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", str(test), path=cubic
    )
    assert "test_cubic.py::test_cubic[cubic-divergence-d2]" in done.stdout, done.stdout


def test_the_command_prints_a_line_per_check_and_the_status(cubic, capsys):
    from zoo.cli import main

    with pytest.raises(SystemExit) as stop:
        main(["check", "cubic", "-k", "cubic-*-d2"])
    out = capsys.readouterr().out.splitlines()
    assert not stop.value.code
    assert out[0] == "ok    cubic-divergence-d2"
    assert out[-1] == f"cubic: {len(KERNEL_LAWS)} of {len(KERNEL_LAWS)} checks pass"


@pytest.fixture
def wrong(site):
    """A plugin whose kernel is one per cent too fast."""
    body = FIVE_LINES.replace("class", "class") + (
        "\n        def velocity(self, x_t, x_0, t):\n"
        "            return 1.01 * super().velocity(x_t, x_0, t)\n"
    )
    source = BRINGS.format("cubic", "zoo_wrong.kernel:Cubic")
    install(site, "zoo-wrong", source=source, files={"kernel.py": body})
    return site


def test_the_command_fails_with_the_check(wrong, capsys):
    from zoo.cli import main

    with pytest.raises(SystemExit) as stop:
        main(["check", "wrong", "-k", "*-velocity-d2"])
    out = capsys.readouterr().out.splitlines()
    assert stop.value.code == 1
    assert out[0].startswith("FAIL  cubic-velocity-d2: the velocity along x_t - x_0 is ")
    assert out[1] == "wrong: 0 of 1 checks pass"
    with pytest.raises(SystemExit) as stop:
        main(["check", "wrong", "-k", "*-velocity-d2", "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert stop.value.code == 1
    assert row["check"] == "cubic-velocity-d2"
    assert "psi gives" in row["failure"]


def test_unknown_plugins_patterns_and_options_are_told(cubic, capsys):
    from zoo.cli import main

    with pytest.raises(PluginError, match="no plugin 'cubik'; did you mean 'cubic'"):
        checks("cubik")
    with pytest.raises(ZooError, match="has no such component; did you mean 'cubic'"):
        checks("cubic", options={"cubik": {}})
    with pytest.raises(SystemExit) as stop:
        main(["check", "cubic", "-k", "nothing"])
    assert stop.value.code == 1
    assert "matches 'nothing'" in capsys.readouterr().err


@pytest.fixture
def brought(site):
    """The folder of a model that a plugin brings."""
    folder = install_model(site, "zoo-wind", "gravity-wind")
    shutil.rmtree(folder)
    # Of a kernel that leaves random weights far from the bound of `identity`.
    return points("pfgmpp", labels=2).save_pretrained(folder)


def model_checks():
    return {check.__name__: check for check in checks("wind") if "-model-" in check.__name__}


def test_a_sound_model_passes(brought):
    found = model_checks()
    laws = ["files", "samples", "identity"]
    assert [*found] == [f"gravity-wind-model-{law}" for law in laws]
    for check in found.values():
        check()


def lose_the_card(folder):
    (folder / "README.md").unlink()


def damage_the_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + bytes(4))


def require_what_is_not_there(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"requires": ["zoo-nowhere>=9"]}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lose_the_card, "README.md is missing"),
        (damage_the_weights, "sha256"),
        (require_what_is_not_there, "pip install 'zoo-nowhere>=9'"),
    ],
)
def test_a_model_that_is_not_whole_fails(brought, harm, said):
    harm(brought)
    with pytest.raises(CheckFailure, match=r"^gravity-wind-model-files: ") as caught:
        model_checks()["gravity-wind-model-files"]()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("draws", "said"),
    [
        (lambda n, _, shape: torch.full((n, *shape), math.nan), "not finite"),
        (lambda n, size, shape: torch.full((n, *shape), float(size)), "differ by 0.667"),
        (lambda n, _, shape: torch.zeros(n, 5), r"has shape \(3, 5\); expected \(3, 2\)"),
    ],
)
def test_a_model_that_does_not_draw_fails(brought, monkeypatch, draws, said):
    monkeypatch.setattr(
        zoo.FieldModel,
        "sample",
        lambda model, n, batch_size, **_: draws(n, batch_size, model.shape),
    )
    with pytest.raises(CheckFailure, match=f"^gravity-wind-model-samples: .*{said}"):
        model_checks()["gravity-wind-model-samples"]()


def test_a_broken_plugin_is_told(site):
    install(site, "zoo-bad", source="import nonsense_that_is_not_there\n")
    with pytest.raises(PluginError, match="'bad' is broken: ModuleNotFoundError"):
        checks("bad")


@pytest.mark.parametrize(("hook", "kind"), [("field_kernels", "kernel"), ("solvers", "solver")])
def test_a_name_that_another_plugin_has_is_told(site, hook, kind):
    name = "gravity" if kind == "kernel" else "heun"
    install(site, "zoo-late", source=brings(f"zoo_{hook}", name))
    (check,) = (c for c in checks("late") if c.__name__ == "late-names")
    said = f"^late-names: {kind} '{name}' is also in the plugin .* choose another name$"
    with pytest.raises(CheckFailure, match=said):
        check()
    (own,) = (c for c in checks("gravity") if c.__name__ == "gravity-names")
    own()  # its name was first


def test_a_component_that_cannot_be_built_fails_its_checks(site):
    source = BRINGS.format("cubic", "zoo_gone.nowhere:Cubic")
    install(site, "zoo-gone", source=source)
    check = next(c for c in checks("gone") if c.__name__ == "cubic-mass-d2")
    with pytest.raises(CheckFailure, match=r"cubic-mass-d2: cannot be built: .*nowhere"):
        check()


def test_options_come_from_the_example_or_the_caller(site):
    source = (
        "@hookimpl\ndef zoo_field_kernels():\n"
        '    yield Component("power", "zoo_radial.psi:psi_kernel", "", {"psi": "tanh(r/t)"})\n'
    )
    install(site, "zoo-power", source=source)
    name = "power-quantiles-d2"
    (by_example,) = (c for c in checks("power") if c.__name__ == name)
    by_example()
    given = {"power": {"psi": "2*tanh(r/t)"}}
    (by_caller,) = (c for c in checks("power", options=given) if c.__name__ == name)
    with pytest.raises(CheckFailure, match="cannot be built: psi tends to 2"):
        by_caller()


def test_listing_a_plugin_that_imports_torch_is_found(site):
    install(site, "zoo-heavy", source="import numpy\n" + BRINGS.format("x", "a.b:c"))
    (record,) = (r for r in plugins() if r.name == "heavy")
    with pytest.raises(CheckFailure, match="imports numpy"):
        torch_line(record)


def test_listing_checks_imports_no_torch():
    code = (
        "import sys; from zoo.testing import checks; assert checks('gravity'); "
        "assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
