"""docs/live: what the page computes is what the zoo computes; its modules are run by node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo

LIVE = Path(__file__).parents[2] / "docs" / "live" / "js"
OPTIONS = {"pfgmpp": {"D": 32}}
NAMES = ["gravity", "pfgmpp", "gaussian", "tanh", "exp", "flow"]
TIMES = [0.003, 0.05, 0.4, 0.9]

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def node(code, given):
    """Return what JavaScript prints as JSON; `given` is an object in it, and LIVE its folder."""
    text = f"const given = {json.dumps(given)};\n{code}"
    run = subprocess.run(
        ["node", "--input-type=module", "-e", text],
        cwd=LIVE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not run.returncode, run.stderr
    return json.loads(run.stdout)


FIELDS = """
import { makeKernel } from "./kernels.js";
import { denoise, field, logDensity } from "./field.js";
const out = {};
for (const name of given.names) {
  const kernel = makeKernel(name, given.options[name] ?? {});
  out[name] = given.times.map((t) => given.x.map(([x, y]) => [
    ...field(kernel, given.points, x, y, t), logDensity(kernel, given.points, x, y, t),
    ...denoise(kernel, given.points, x, y, t)]));
}
console.log(JSON.stringify(out));
"""


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, 2, generator=generator).double()


@pytest.fixture(scope="module")
def places():
    generator = torch.Generator().manual_seed(1)
    near = torch.randn(30, 2, generator=generator).double()
    return torch.cat([near, 20 * near[:5]])


def model_of(name, data):
    return zoo.exact(zoo.kernel(name, dim=2, t_min=1e-3, **OPTIONS.get(name, {})), data)


def test_fields_and_densities_are_the_zoos(data, places):
    points = data.flatten().tolist()
    given = {"names": NAMES, "options": OPTIONS, "times": TIMES, "points": points}
    found = node(FIELDS, {**given, "x": places.tolist()})
    for name in NAMES:
        model = model_of(name, data)
        for row, t in zip(found[name], TIMES, strict=True):
            values = np.array(row)
            expected = torch.cat(
                [
                    model.field(places, t),
                    model.network.log_density(places, t)[:, None],
                    model.denoise(places, t),
                ],
                dim=1,
            ).numpy()
            scale = np.maximum(1, np.abs(expected))
            assert np.abs(values - expected).max() < 1e12
            assert (np.abs(values - expected) / scale).max() < 1e-6, (name, t)


CSV = """
import { parseCsv } from "./points.js";
console.log(JSON.stringify(given.map((text) => {
  try { return parseCsv(text); } catch (error) { return error.message; }
})));
"""


def test_files_of_points_are_read_with_either_decimal_mark():
    texts = ["x,y\n0,1\n\n2,3.5\n", "0;1\n2;3,5", "0\t1\n2\t3,5", "0 1\r\n2 3.5", "\n1,2\n\nx,4"]
    *found, wrong = node(CSV, texts)
    assert found == [[[-0.8, -1.0], [0.8, 1.0]]] * 4
    assert wrong.startswith("line 4 is “x,4”; expected two numbers, as in 0.5, -1.2")


SEEDS = """
import { uniforms } from "./random.js";
console.log(JSON.stringify(given.map((seed) => uniforms(seed * 65536)())));
"""


def test_every_seed_has_numbers_of_its_own():
    assert len(set(node(SEEDS, [*range(8), 65536, 131072]))) == 10


RADII = """
import { makeKernel } from "./kernels.js";
const out = {};
for (const name of given.names) {
  const kernel = makeKernel(name, given.options[name] ?? {});
  out[name] = given.times.map((t) => ({
    radius: given.q.map((q) => kernel.psiInverse(q, t)), level: kernel.level(t),
    back: kernel.timeAt(kernel.level(t)),
    psi: given.q.map((q) => kernel.psi(kernel.psiInverse(q, t), t)),
    density: given.q.map((q) => kernel.logRadius(kernel.psiInverse(q, t), t)) }));
}
console.log(JSON.stringify(out));
"""


def test_radial_laws_are_the_zoos():
    q = [1e-3, 0.1, 0.5, 0.9, 0.999]
    given = {"names": NAMES, "options": OPTIONS, "times": TIMES, "q": q}
    found = node(RADII, given)
    for name in NAMES:
        # The law of flow matching is the Gaussian one, around data that shrink.
        kernel = zoo.kernel("gaussian" if name == "flow" else name, dim=2, **OPTIONS.get(name, {}))
        for row, t in zip(found[name], TIMES, strict=True):
            at = torch.full((5,), t, dtype=torch.float64)
            radius = kernel.radial_icdf(torch.tensor(q, dtype=torch.float64), at)
            assert row["radius"] == pytest.approx(radius.tolist(), rel=1e-6)
            density = kernel.radius_log_density(radius, at)
            assert row["density"] == pytest.approx(density.tolist(), rel=1e-6, abs=1e-6)
            assert row["psi"] == pytest.approx(q, rel=1e-6)
            assert row["back"] == pytest.approx(t, rel=1e-9)
            if name not in ("gaussian", "flow"):
                assert row["level"] == pytest.approx(float(kernel.level(t)), rel=1e-9)


WALKS = """
import { makeKernel } from "./kernels.js";
import { walk, walkTimes } from "./ode.js";
const out = {};
for (const name of given.names) {
  const kernel = makeKernel(name, given.options[name] ?? {});
  const times = walkTimes(given.ends[name][0], given.ends[name][1], 20);
  out[name] = given.x.map(([x, y]) =>
    [...walk(kernel, given.points, x, y, times, { tolerance: 1e-10 }).slice(-4)]);
}
console.log(JSON.stringify(out));
"""


def test_walks_go_where_the_zoos_go(data):
    """The state at the last time, and the data point where it ends."""
    sources = data[:7]
    generator = torch.Generator().manual_seed(2)
    starts = 1.5 * torch.randn(6, 2, generator=generator).double()
    kernels = {name: model_of(name, sources).kernel for name in NAMES}
    ends = {name: [min(2.0, k.t_max * 0.95), k.t_min] for name, k in kernels.items()}
    given = {"names": NAMES, "options": OPTIONS, "points": sources.flatten().tolist()}
    found = node(WALKS, {**given, "x": starts.tolist(), "ends": ends})
    tight = zoo.solver("dopri5", rtol=1e-10, atol=1e-10)
    for name in NAMES:
        model = model_of(name, sources)
        flow = model.flow()
        last = tight.integrate(flow, starts, *ends[name], steps=20)
        reached = torch.tensor(found[name])
        assert float((reached[:, :2] - last).abs().max()) < 1e-6, name
        distance = torch.cdist(reached[:, 2:].double(), sources).amin(dim=1)
        assert float(distance.max()) < 1e-3, name


STEPS = """
import { kernelOf, levelRatio, plan } from "./grid.js";
const { manifest, ratios } = given;
const kernel = kernelOf(manifest);
console.log(JSON.stringify(ratios.map((r) => plan(kernel, manifest.solver, r))));
"""


@pytest.mark.parametrize(
    ("kernel", "solver", "options"),
    [
        ("gravity", "exp-abm3", {"grid": [80.0, 20.0, 5.0, 1.0, 0.2, 0.002]}),
        ("gravity", "exp-abm4", {}),
        ("tanh", "exp-ab2", {"scale": 0.7}),
        ("gaussian", "exp-ab3", {"grid": "edm"}),
        ("flow", "ddim", {}),
        ("gaussian", "exp-ab2", {"grid": {"use": "edm", "rho": 5, "cap": 40}}),
        ("flow", "exp-abm4", {"grid": {"use": "angle", "pivot": 2}}),
        ("tanh", "exp-abm3", {"grid": "log"}),
        ("flow", "exp-abm4", {"grid": "radius"}),
        ("pfgmpp", "exp-ab3", {"grid": "log-time"}),
        ("gaussian", "ddim", {"grid": "time"}),
        ("flow", "exp-abm3", {"grid": [400.0, 20.0, 1.0, 0.002]}),
    ],
)
def test_times_and_weights_of_steps_are_the_zoos(kernel, solver, options):
    from zoo.exporting.manifest import describe_kernel

    built, method = zoo.kernel(kernel, dim=64), zoo.solver(solver, **options)
    steps = 12
    part = {"use": solver, "steps": steps, "scale": options.get("scale", 0.5), **options}
    given = {"manifest": {"kernel": describe_kernel(built), "solver": part}}
    random = built.random_level
    ratios = [0.031, 1.0, 17.3] if random else [None]
    found = node(STEPS, {**given, "ratios": ratios})
    flow = zoo.interfaces.Flow(built, lambda x, t: x * 0)
    own = None if not random else torch.tensor(ratios, dtype=torch.float64)
    times = method.times(built, built.t_max, built.t_min, steps - 1).tolist()
    if random:
        weights_of = method.steps
        x = torch.ones(3, 64, dtype=torch.float64)
        x *= own[:, None] * float(built.level(built.t_max))
        walked = weights_of(flow, x, x * 0, times)
        for i, one in enumerate(found):
            assert one["times"][:-1] == pytest.approx(
                [float(step.t[i]) for step in walked], rel=1e-6
            )
            for step, values, decay in zip(walked, one["values"], one["decay"], strict=True):
                expected = [float(value.flatten()[i]) for value in step.values]
                assert values[: len(expected)] == pytest.approx(expected, rel=2e-3, abs=2e-4)
                assert decay == pytest.approx(float(step.states[0].flatten()[i]), rel=1e-3)
        return
    walked = method.steps(flow, torch.ones(1, 64).double(), torch.ones(1, 64).double(), times)
    (one,) = found
    assert one["times"] == pytest.approx(times, rel=1e-9)
    for step, values, decay in zip(walked, one["values"], one["decay"], strict=True):
        assert values[: len(step.values)] == pytest.approx([*step.values], rel=1e-6, abs=1e-9)
        assert decay == pytest.approx(step.states[0], rel=1e-9)


TILES = """
import { tiles } from "./garments-tab.js";
console.log(JSON.stringify(given.map(([n, shape]) => tiles(n, shape, 640))));
"""


def test_images_that_are_not_square_fit_into_the_picture():
    square, tall, wide, two = node(
        TILES, [[4, [1, 8, 8]], [4, [1, 16, 8]], [9, [3, 8, 16]], [2, [1, 16, 8]]]
    )
    assert square == {"columns": 2, "wide": 318, "high": 318, "gap": 4, "height": 640}
    assert tall == {"columns": 2, "wide": 318, "high": 636, "gap": 4, "height": 1276}
    assert wide["height"] == pytest.approx(3 * wide["wide"] / 2 + 8)
    assert two == {"columns": 2, "wide": 318, "high": 636, "gap": 4, "height": 636}
