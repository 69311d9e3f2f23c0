"""Pictures: what is drawn obeys the theory, is where it says, and is all there."""

import errno
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from kernel_cases import CASES, ISOTROPIC, build
from matplotlib.figure import Figure
from PIL import Image
from tiny_models import images, points

import zoo
from zoo import plotting as plot
from zoo.errors import ZooError
from zoo.host.registry import find
from zoo.plotting import film, lines, pages, radial, style

DATA = plot.line_points()
# Everything in the catalogue that is quick; "map" inverts by bisection and has a slow test.
QUICK = [case for case in CASES if case not in ("map", "phi-warped")]


def p_below(kernel, x, t):
    """The probability below x at t, by the midpoint rule: nodes dense around every source."""
    alpha, sigma = (float(v) for v in kernel.marginal(t))
    steps = (torch.linspace(-14, 14, 6001, dtype=torch.float64)).sinh() * sigma * 0.2
    nodes = (steps[:, None] + alpha * DATA.T).flatten().sort().values
    middle = (nodes[1:] + nodes[:-1]) / 2
    mass = plot.density(kernel, DATA, torch.tensor([t]), middle)[0] * nodes.diff()
    total = torch.cat([torch.zeros(1), mass.cumsum(0)])
    at = torch.searchsorted(nodes, x).clamp(1, len(nodes) - 1)
    share = (x - nodes[at - 1]) / (nodes[at] - nodes[at - 1])
    return torch.lerp(total[at - 1], total[at], share) / total[-1]


@pytest.mark.parametrize("case", QUICK)
def test_the_same_probability_flows_between_neighbouring_lines(case):
    """div u = 0 on the line: no probability crosses a field line, so F_t(x(t)) is constant."""
    kernel = build(case, 1)
    drawn = plot.trace(kernel, DATA, per_point=4, steps=48)
    expected = ((torch.arange(12) + 0.5) / 12).double()
    for i in (0, 36, 48):
        below = p_below(kernel, drawn.x[i], float(drawn.t[i]))
        assert (below - expected).abs().max() < 1e-3, float(drawn.t[i])


@pytest.mark.parametrize("case", ["gravity", "tanh", "flow", "vp-linear"])
def test_lines_run_along_the_exact_field(case):
    """dx/dt by finite differences of the curve against the field itself."""
    kernel = build(case, 1)
    drawn = plot.trace(kernel, DATA, steps=200)
    model, t = zoo.exact(kernel, DATA), drawn.t
    for i in (25, 100, 175):
        # In log t, where the nodes are even.
        slope = (drawn.x[i + 1] - drawn.x[i - 1]) / (t[i + 1] / t[i - 1]).log() / t[i]
        field = model.field(drawn.x[i, :, None], t[i])[:, 0]
        assert torch.allclose(slope, field, rtol=3e-3, atol=3e-3 * float(field.abs().max()))


def test_gravity_leaves_every_point_at_equal_angles():
    kernel = build("gravity", 1)
    drawn = plot.trace(kernel, DATA, per_point=6, steps=2)
    angle = torch.atan2(drawn.x[0] - DATA[drawn.source, 0], drawn.t[0])
    expected = math.pi * ((torch.arange(6) + 0.5) / 6 - 0.5)
    assert torch.allclose(angle.reshape(3, 6), expected.double().expand(3, 6), atol=2e-3)


def test_lines_start_at_their_points_and_never_cross():
    drawn = plot.trace(build("gaussian", 1), DATA, per_point=4)
    assert drawn.source.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (drawn.x[0] - DATA[drawn.source, 0]).abs().max() < 0.01
    assert (drawn.x.diff(dim=1) > 0).all()
    assert drawn.t[0] == build("gaussian", 1).t_min
    assert float(drawn.t[-1]) == pytest.approx(
        lines.REACH * float((DATA - DATA.mean()).abs().max())
    )


def test_the_picture_of_lines_shows_those_lines():
    figure = style.new_figure(4, 3)
    axes = figure.add_subplot()
    drawn = lines.draw_field_lines(axes, build("flow", 1), DATA, title="flow")
    curves = [c for collection in axes.collections for c in collection.get_segments()]
    assert len(curves) == drawn.x.shape[1]
    ends = sorted(float(curve[-1, 1]) for curve in curves)
    assert ends == pytest.approx(sorted(drawn.x[-1].tolist()))
    assert {tuple(curve[0]) for curve in curves} == {(0.0, float(point)) for point in DATA}
    assert axes.get_xlim() == (0, 1)
    (shade,) = axes.images
    values = shade.get_array()
    assert np.allclose(values.max(axis=0), 1)
    late = plot.density(build("flow", 1), DATA, torch.ones(1), torch.linspace(-2.5, 2.5, 220))[0]
    assert np.allclose(values[:, -1], (late / late.max()).sqrt(), atol=0.02)
    assert axes.get_xlabel() == "time $t$"
    assert axes.get_ylabel() == "$x$ (data units)"


def test_field_lines_refuse_the_plane_and_nothing_at_all():
    with pytest.raises(ZooError, match=r"data \(N, 1\) and a kernel of dim 1, not \(3, 1\) and 2"):
        plot.trace(build("gravity", 2), DATA)
    with pytest.raises(ZooError, match="per_point = 0"):
        plot.trace(build("gravity", 1), DATA, per_point=0)


@pytest.mark.parametrize("dim", [1, 2, 784])
@pytest.mark.parametrize("case", [c for c in ISOTROPIC if c != "phi-warped"])
def test_radial_densities_integrate_to_one_with_half_below_the_median(case, dim):
    kernel = build(case, dim)
    law = plot.radial_law(kernel, float(kernel.time_at(1.0)))
    log_r = law.radius.log()
    assert float(torch.trapezoid(law.density, log_r)) == pytest.approx(1, abs=2e-3)
    below = law.radius <= 1
    assert float(torch.trapezoid(law.density[below], log_r[below])) == pytest.approx(0.5, abs=0.01)
    assert not law.drawn


@pytest.mark.parametrize("dim", [2, 784])
def test_kernels_are_compared_at_equal_median_radius(dim):
    names = ["gravity", "gaussian", "tanh", "exp", "pfgmpp-128", "psi-power"]
    laws = plot.radial_laws({name: build(name, dim) for name in names})
    for name, law in laws.items():
        r = torch.tensor(math.sqrt(dim), dtype=torch.float64)
        assert float(build(name, dim).radial_cdf(r, law.t)) == pytest.approx(0.5, abs=1e-9)
        assert law.median == pytest.approx(math.sqrt(dim))


def test_a_law_that_is_drawn_is_the_one_that_is_computed():
    """flow's noise at x_0 = 0 is Gaussian: its counted radii against the chi law."""
    drawn = plot.radial_law(build("flow", 8), 0.5)
    exact = plot.radial_law(build("gaussian", 8), 0.5)
    assert drawn.drawn
    assert drawn.median == pytest.approx(exact.median, rel=0.01)
    log_r = drawn.radius.log()
    assert float(torch.trapezoid(drawn.density, log_r)) == pytest.approx(1, abs=1e-3)
    expected = torch.as_tensor(np.interp(log_r, exact.radius.log(), exact.density))
    assert (drawn.density - expected).abs().max() < 0.05 * expected.max()


def test_the_picture_of_densities_shows_every_kernel_once():
    axes = style.new_figure(4, 3).add_subplot()
    kernels = {name: build(name, 16) for name in ("gravity", "tanh", "flow")}
    laws = plot.draw_radial_densities(axes, kernels)
    labels = [text.get_text().partition(",")[0] for text in axes.get_legend().get_texts()]
    assert labels == [*kernels]
    curves = axes.get_lines()[:3]
    assert len({curve.get_color() for curve in curves}) == 3
    for curve, law in zip(curves, laws.values(), strict=True):
        assert curve.get_ydata().max() == law.density.max()
        assert curve.get_ydata().min() >= radial.FLOOR / 10
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "$d$ = 16" in axes.get_title(loc="left")


def test_densities_of_nothing_or_of_different_dimensions_are_refused():
    with pytest.raises(ZooError, match=r"kernels of dim \[2, 3\]"):
        plot.radial_laws({"a": build("gravity", 2), "b": build("gravity", 3)})
    with pytest.raises(ZooError, match="at least one"):
        plot.radial_laws({})


@pytest.mark.parametrize("kernel", ["gravity", "flow", "rotating"])
def test_trajectories_of_an_exact_field_end_on_its_points(kernel):
    data = plot.plane_points("three-points")
    model = zoo.exact(build(kernel, 2), data)
    drawn = model.trajectory(30, steps=40, seed=0)
    distance, nearest = torch.cdist(drawn.samples.double(), data).min(dim=1)
    assert distance.max() < 1e-3
    assert set(nearest.tolist()) == {0, 1, 2}


def test_a_trajectory_is_denoised_at_every_state_where_the_kernel_allows_it():
    model = points(kernel="gravity")
    assert plot.denoise_along(model, model.trajectory(2, steps=3)).shape == (3, 2, 2)
    exact = zoo.exact(build("psi-warped", 2), plot.plane_points("three-points"))
    with pytest.raises(ZooError, match="not affine"):
        plot.denoise_along(exact, exact.trajectory(4, steps=30))


def test_the_picture_of_a_trajectory_in_the_plane():
    axes = style.new_figure(5, 4).add_subplot()
    data = plot.plane_points("two-moons")
    drawn = zoo.exact(build("flow", 2), data).trajectory(7, steps=12, seed=0)
    film.draw_trajectories(axes, drawn, "title", data)
    (paths,) = axes.collections
    assert len(paths.get_segments()) == 7 * 12
    assert sorted(set(paths.get_array().tolist())) == sorted(drawn.t[:-1].tolist())
    behind, dots = axes.get_lines()
    assert np.allclose(np.stack(behind.get_data(), 1), data)
    assert np.allclose(np.stack(dots.get_data(), 1), drawn.samples)
    assert all(low < point < high for point, (low, high) in _limits(axes, data))


def _limits(axes, data):
    spans = (axes.get_xlim(), axes.get_ylim())
    return [(float(v), spans[i]) for i in (0, 1) for v in (data[:, i].min(), data[:, i].max())]


def test_strips_of_images_alternate_state_and_denoised_and_end_in_the_sample():
    model = images()
    drawn = model.trajectory(2, steps=12, seed=1)
    denoised = plot.denoise_along(model, drawn)
    tiles = film.film(drawn, denoised, columns=4)
    assert tiles.shape == (4, 5, 1, 8, 8)
    assert film.chosen(12, 4).tolist() == [0, 4, 7, 11]
    assert torch.allclose(tiles[3, 1], denoised[4, 1].float().clamp(-1, 1))
    for row in range(4):
        assert torch.equal(tiles[row, -1], drawn.samples[row // 2])
    noise = drawn.x[0, 0] / drawn.rms[0, 0] * drawn.samples[0].square().mean().sqrt()
    assert torch.allclose(tiles[0, 0], noise.float().clamp(-1, 1), atol=1e-6)
    assert film.film(drawn, None).shape == (2, 10, 1, 8, 8)


def test_the_page_of_a_model_of_images():
    figure = plot.trajectories(images(), 2, steps=6, name="tiny")
    strips, size = figure.axes
    assert strips.images[0].get_array().shape == (4 * 9 - 1, 7 * 9 - 1, 3) or (
        strips.images[0].get_array().shape == ((4 * 9 - 1) * 7, (7 * 9 - 1) * 7, 3)
    )
    assert strips.get_title(loc="left") == "tiny: from the prior to data, seed 0"
    assert [label.get_text() for label in strips.get_xticklabels()][-1] == "sample"
    expected = images().trajectory(2, steps=6, seed=0)
    drawn = np.stack([line.get_ydata() for line in size.get_lines()[1:]], axis=1)
    assert np.allclose(drawn, expected.rms[:-1])
    assert size.get_xlim() == (float(expected.t[0]), float(expected.t[-2]))


def test_one_step_and_one_sample_are_a_picture_too():
    strips, size = plot.trajectories(images(), 1, steps=1).axes
    assert [label.get_text() for label in strips.get_xticklabels()][1:] == ["sample"]
    assert len(size.get_lines()) == 2
    (paths,) = plot.trajectories(points(), 1, steps=1).axes[0].collections
    assert len(paths.get_segments()) == 1


def test_the_page_of_a_model_of_points_and_what_has_none():
    figure = plot.trajectories(points(), steps=4)
    (paths,) = figure.axes[0].collections
    assert len(paths.get_segments()) == 64 * 4
    with pytest.raises(ZooError, match=r"shape \(5,\) have no picture"):
        plot.trajectories(points(dim=5))
    with pytest.raises(ZooError, match="at most 16"):
        plot.trajectories(images(), 17)
    with pytest.raises(ZooError, match="n = 0"):
        plot.trajectories(images(), 0)


def test_the_page_of_a_kernel():
    builds = {name: lambda dim, name=name: build(name, dim) for name in ("tanh", "gaussian")}
    figure = plot.kernel_page(builds, plot.plane_points("three-points"), dim=9, n=5, steps=8)
    assert isinstance(figure, Figure)
    first, second, third, _bar = figure.axes
    assert first.get_title(loc="left").startswith("tanh: field lines")
    assert [t.get_text().partition(",")[0] for t in second.get_legend().get_texts()] == [*builds]
    assert "$d$ = 9" in second.get_title(loc="left")
    assert len(third.collections[0].get_segments()) == 5 * 8
    with pytest.raises(ZooError, match=r"points of the plane, \(N, 2\)"):
        plot.kernel_page(builds, DATA)
    with pytest.raises(ZooError, match="at most 2000"):
        plot.kernel_page(builds, plot.plane_points("three-points"), n=10**6)


def test_figures_of_one_thing_alone():
    lines = plot.field_lines(build("flow", 1), DATA[:2], name="flow")
    assert lines.axes[0].get_title(loc="left").startswith("flow: field lines")
    assert len(lines.axes[0].collections) == 2
    assert (
        plot.field_lines(build("flow", 1)).axes[0].get_title(loc="left").startswith("field lines")
    )
    laws = plot.radial_densities({name: build(name, 3) for name in ("gravity", "exp")})
    assert len(laws.axes[0].get_legend().get_texts()) == 2
    with pytest.raises(ZooError, match="0 kernels; one picture shows 1 to 8"):
        plot.radial_densities({})


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.components("kernels"))
def test_every_kernel_of_the_catalogue_has_its_page(name, tmp_path):
    """Options of its example, warnings as errors; those that invert numerically take a minute."""
    options = find("kernels", name).component.example
    builds = {name: lambda dim: zoo.kernel(name, dim=dim, **options)}
    figure = plot.kernel_page(builds, plot.plane_points("three-points"), dim=3, n=4, steps=4)
    plot.write_png(figure, tmp_path / "x.png")
    assert 10_000 < (tmp_path / "x.png").stat().st_size < 150_000


@pytest.mark.parametrize("count", [2, 5])
def test_several_kernels_each_have_their_lines(count):
    names = ["gravity", "tanh", "exp", "flow", "gaussian"][:count]
    figure = plot.comparison({n: lambda dim, n=n: build(n, dim) for n in names}, dim=4)
    shown = [axes.get_title(loc="left") for axes in figure.axes[1:] if axes.get_visible()]
    assert shown == names
    with pytest.raises(ZooError, match="9 kernels; one picture shows 1 to 8"):
        plot.comparison({str(i): lambda dim: build("gravity", dim) for i in range(9)})


def test_data_sets_by_name():
    triangle = plot.plane_points("three-points")
    assert torch.allclose(torch.pdist(triangle), torch.full((3,), math.sqrt(3)).double())
    assert plot.plane_points("swiss-roll").shape == (200, 2)
    with pytest.raises(ZooError, match="did you mean 'two-moons'"):
        plot.plane_points("two-moon")


def _figure(size=(3.0, 2.0)):
    figure = style.new_figure(*size)
    figure.add_subplot().imshow(np.linspace(0, 1, 900).reshape(30, 30), cmap=style.MIST)
    return figure


def test_a_figure_becomes_a_small_png_of_its_size(tmp_path):
    plot.write_png(_figure(), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (450, 300)
        assert picture.mode == "P"
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_a_large_picture_makes_do_with_fewer_colours(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "_SMALL", 1000)
    plot.write_png(_figure(), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert 32 < len(picture.getcolors()) <= 64


def test_photographs_keep_their_colours(tmp_path):
    noise = np.random.default_rng(0).uniform(size=(60, 60, 3))
    figure = style.new_figure(3, 3)
    figure.add_subplot().imshow(noise)
    plot.write_png(figure, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.mode == "RGB"


def test_a_disk_that_refuses_leaves_the_old_picture_alone(tmp_path, monkeypatch):
    target = tmp_path / "x.png"
    target.write_bytes(b"old")

    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    figure = _figure()
    with pytest.raises(ZooError, match=r"cannot write .*No space left"):
        plot.write_png(figure, target)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.jpg", "ending in .png"), ("nowhere/x.png", "there is no folder"), ("d.png", "a folder")],
)
def test_targets_that_cannot_be(tmp_path, name, message):
    (tmp_path / "d.png").mkdir()
    with pytest.raises(ZooError, match=message):
        plot.check_png(tmp_path / name)


def test_eight_kernels_have_eight_colours():
    assert len(set(style.colours([*"abcdefgh"]).values())) == 8 == pages.MOST_KERNELS
