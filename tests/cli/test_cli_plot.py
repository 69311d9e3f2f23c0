"""`zoo plot`: from names to a picture, and what it refuses before it draws."""

import re
import shlex
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from common import refused
from fake_distributions import brings, install, install_model, run_python
from PIL import Image
from tiny_models import images, points

import zoo
from zoo import plotting as plot
from zoo.cli.plot import _is_model
from zoo.plotting.style import rendered

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "kernels.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    zoo plot (.*) -o docs/(.*)$", TEXT, flags=re.M)


@pytest.fixture
def run(command):
    """Run `zoo plot ARGS` in an empty folder; return (exit status, stdout, stderr)."""
    return partial(command, "plot")


@pytest.fixture
def pages(monkeypatch):
    """Record what the pages are asked for, and draw a small figure instead."""
    asked = []

    def page(name):
        def draw(*args, **options):
            asked.append((name, args, options))
            return plot.style.new_figure(1, 1)

        monkeypatch.setattr(plot, name, draw)

    for name in ("kernel_page", "comparison", "trajectories"):
        page(name)
    return asked


def same_picture(path, figure):
    """Whether a file shows a figure, to what a palette of 256 colours changes."""
    with Image.open(path) as picture:
        shown = np.asarray(picture.convert("RGB"), dtype=float)
    return np.abs(shown - np.asarray(rendered(figure), dtype=float)).mean() < 1


def test_a_kernel_becomes_its_page(run):
    status, out, err = run("tanh", "--dim", 5, "-n", 4, "--steps", 6, "--data", "three-points")
    assert (status, out, err) == (0, "tanh.png: tanh\n", "")
    builds = {n: lambda dim, n=n: zoo.kernel(n, dim=dim) for n in ("tanh", "gaussian")}
    data = plot.plane_points("three-points")
    expected = plot.kernel_page(builds, data, dim=5, n=4, steps=6)
    assert same_picture("tanh.png", expected)
    with Image.open("tanh.png") as picture:
        assert picture.size == (1860, 585)


def test_a_model_of_images_becomes_its_trajectories(run, tmp_path):
    folder = images().save_pretrained(tmp_path / "gravity-tiny")
    out = run(folder, "-n", 2, "--steps", 4, "--seed", 3)[1]
    assert out == f"gravity-tiny-plot.png: {folder}\n"
    model = zoo.load(folder)
    expected = plot.trajectories(model, 2, steps=4, seed=3, name=str(folder))
    assert same_picture("gravity-tiny-plot.png", expected)


def test_a_model_of_points_by_the_default_number(run, tmp_path, pages):
    folder = points().save_pretrained(tmp_path / "plane")
    assert run(folder, "-o", "x.png")[0] == 0
    ((page, (model,), options),) = pages
    assert (page, model.shape) == ("trajectories", (2,))
    assert options == {
        **{"name": str(folder), "progress": True},
        **{"n": None, "steps": None, "seed": 0},
    }


def test_defaults_of_a_kernel_and_what_it_is_compared_with(run, pages):
    assert run("gravity") == (0, "gravity.png: gravity\n", "")
    assert run("gaussian") == (0, "gaussian.png: gaussian\n", "")
    (page, (builds, data), options), (_, (alone, _), _) = pages
    assert (page, [*builds], [*alone]) == ("kernel_page", ["gravity", "gaussian"], ["gaussian"])
    assert options == {"progress": True}
    assert (data == plot.plane_points("two-moons")).all()
    assert builds["gravity"](3).dim == 3


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (["pfgmpp", "--set", "D=2.5"], {"D": 2.5}),
        (["psi"], {"psi": "1 - exp(-(r/t)**1.5)"}),
        (
            ["psi", "--set", "psi=tanh((r/t)**beta)", "--set", "beta=2"],
            {"psi": "tanh((r/t)**beta)", "beta": 2},
        ),
        (["gravity", "--set", 'pfgm={"M": 200}'], {"pfgm": {"M": 200}}),
        (["vp", "--set", "schedule=cosine"], {"schedule": "cosine"}),
    ],
)
def test_options_are_json_or_text_and_those_of_the_example_where_none_is_given(
    run, pages, given, part
):
    assert run(*given)[0] == 0
    (_, (builds, _), _) = pages[0]
    assert builds[given[0]](4).part.options == part


def test_several_kernels_side_by_side(run, pages):
    assert run("gravity", "psi", "flow:flow", "--dim", 7)[1].startswith("gravity-psi-flow-flow.png")
    ((page, (builds,), options),) = pages
    assert (page, options) == ("comparison", {"dim": 7, "progress": True})
    assert [build(2).part.use for build in builds.values()] == ["gravity", "psi", "flow:flow"]


def test_a_name_of_both_has_to_be_said(run, pages, site):
    install(site, "zoo-gale", source=brings("zoo_field_kernels", "squall"))
    place = install_model(site, "zoo-sea", "squall")
    expected = "zoo: 'squall' is a kernel and a model; add --as kernel or --as model\n"
    assert refused(run("squall"), 1) == expected
    assert run("squall", "--as", "kernel") == (0, "squall.png: squall\n", "")
    assert pages[0][0] == "kernel_page"
    shutil.rmtree(place)
    shutil.copytree(images().save_pretrained(place.parent / "saved"), place)
    assert run("squall", "--as", "model")[0] == 0
    assert pages[1][0] == "trajectories"
    assert run("gale:squall")[0] == run("sea:squall")[0] == 0
    assert [page for page, _, _ in pages[2:]] == ["kernel_page", "trajectories"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Missing argument"),
        (["gravity", "-n", "0"], "-n"),
        (["gravity", "--dim", "0"], "--dim"),
        (["gravity", "--steps", "x"], "--steps"),
        (["gravity", "gravity"], "'gravity' is named twice"),
        (["gravity", "gravity-digits"], "'gravity-digits' is a model; several names"),
        (["gravity", "--device", "cpu"], "--device does not go with one kernel"),
        (["gravity", "tanh", "--seed", "0"], "--seed does not go with several kernels"),
        (["gravity", "tanh", "--set", "draw=beta"], "--set does not go with several kernels"),
        (["gravity-digits", "--dim", "3"], "--dim does not go with a model"),
        (["gravity-digits", "--data", "two-moons"], "--data does not go with a model"),
        (["gravity", "--set", "draw"], "--set 'draw': expected KEY=VALUE"),
        (["gravity", "--as", "prior"], "--as"),
    ],
)
def test_wrong_usage_is_status_2(run, args, message):
    assert message in refused(run(*args), 2)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["gravty"], "no kernel or model 'gravty'; did you mean 'gravity'"),
        (
            ["something"],
            "no kernel or model 'something'; there are anisotropic, exp, exp-fashion-mnist, flow, ",
        ),
        (["gravity-digit", "--as", "kernel"], "no kernel 'gravity-digit'; did you mean 'gravity'"),
        (["./nowhere"], "there is no folder nowhere"),
        (["gravity", "-o", "x.jpg"], "x.jpg: pictures are written to a file ending in .png"),
        (["gravity", "-o", "nowhere/x.png"], "there is no folder nowhere"),
        (["gravity", "--data", "moons"], "no data set 'moons' to plot; did you mean 'two-moons'?"),
        (["pfgmpp", "--set", "D=0.5"], "D = 0.5; expected a number of at least 1"),
        (["psi", "--set", "beta=2"], "kernel 'psi' needs the option 'psi'"),
        (["gravity", "--set", "D=2"], "kernel 'gravity' has no option 'D'"),
        (["gravity", "-n", "100000"], "n = 100000; one picture shows at most 2000"),
        (["gravity-digits", "-n", "17"], "n = 17; one picture shows at most 16"),
        (["gravity-digits", "--device", "gpu"], "device 'gpu' is not available here"),
    ],
)
def test_a_failure_is_status_1_and_one_line(run, args, message):
    assert message in refused(run(*args), 1)


def test_a_model_without_a_picture(run, tmp_path):
    folder = points(dim=5).save_pretrained(tmp_path / "five")
    assert "shape (5,) have no picture" in refused(run(folder), 1)


def test_a_wrong_target_is_told_before_the_work(run, pages):
    assert "x.gif" in refused(run("gravity", "-o", "x.gif"), 1)
    assert pages == []


def test_bars_are_quiet_where_there_is_no_terminal(tmp_path):
    args = ("-m", "zoo", "plot", "flow", "-n", "2", "--steps", "2", "--dim", "2")
    done = run_python("-W", "error", *args, "-o", str(tmp_path / "x.png"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.png").stat().st_size < 150_000


def test_every_picture_in_the_docs_has_its_command_beside_it():
    pictures = re.findall(
        r"^!\[.+\]\((.+\.png)\)\n\n    zoo plot .* -o docs/(.+)$", TEXT, flags=re.M
    )
    assert [shown for shown, _ in pictures] == [drawn for _, drawn in pictures]
    assert len(pictures) == len(COMMANDS) == TEXT.count("![")
    for name, _ in pictures:
        assert (DOCS / name).stat().st_size < 150_000
    drawn = {name for args, _ in COMMANDS for name in shlex.split(args)}
    assert {*re.findall(r"^\| \[`([a-z]+)`\]\(#", TEXT, flags=re.M)} <= drawn


@pytest.mark.parametrize("args", [args for args, _ in COMMANDS])
def test_commands_in_the_docs_are_understood(run, pages, args):
    assert run(*shlex.split(args), "-o", "x.png")[0] == 0
    ((_, (subject, *_), _),) = pages
    if isinstance(subject, dict):
        assert [build(dim).dim for build in subject.values() for dim in (1, 2)]


def test_a_picture_in_the_docs_is_what_its_command_draws(run):
    """Nearly so: other versions of matplotlib set text a little differently."""
    assert ("gravity", "gravity.png") in COMMANDS
    assert run("gravity", "-o", "x.png")[0] == 0
    with Image.open("x.png") as drawn, Image.open(DOCS / "gravity.png") as shown:
        assert drawn.size == shown.size
        here, there = (np.asarray(p.convert("RGB"), dtype=float) for p in (drawn, shown))
    assert np.abs(here - there).mean() < 3


@pytest.mark.parametrize("name", ["./gravity", "me/gravity", "path:gravity"])
def test_a_folder_or_an_id_of_the_hub_is_no_kernel_misspelt(name):
    assert _is_model(name, None)
