"""zoo.exporting.space: models that the page would draw wrongly are refused, before any work."""

import json
import re

import pytest
from conditional_models import given_mean
from tiny_models import images, points, stir

import zoo
from zoo.exporting import space as module

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


def under(kernel, **options):
    built = zoo.kernel(kernel, dim=64, **options)
    network = stir(zoo.network("unet", shape=(1, 8, 8), kernel=built, width=8, multipliers=[1]))
    return zoo.FieldModel(
        built, zoo.interfaces.KernelPrior(built), network, zoo.solver("heun"), (1, 8, 8)
    )


def standardised(monkeypatch):
    model = images()
    known = zoo.config.standardise.Standardise((0.0,), (2.0,))
    monkeypatch.setattr(type(model), "standardise", property(lambda self: known))
    return model


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (points, r"samples of shape \(2,\), and the page shows images"),
        (lambda: images().double(), "it is float64"),
        (lambda: given_mean(shape=(1, 4, 4)), "given images of shape 1x4x4"),
        (
            lambda: under("rotating"),
            "alike in every direction, and the kernel rotating",
        ),
        (lambda: under("anisotropic", covariance="1 / (1 + i)"), "kernel anisotropic has another"),
        (
            lambda: under("interpolant", alpha="exp(-t)", sigma="t*exp(-t)", t_max=5.0),
            "does not know the kernel interpolant",
        ),
        (lambda: under("vp"), "does not know the kernel vp"),
    ],
)
def test_what_the_page_would_draw_wrongly_is_refused(build, message, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_fetch_runtime", lambda folder: pytest.fail("fetched"))
    with pytest.raises(zoo.ZooError, match=message):
        module.space(tmp_path / "out", [build()])
    assert [*tmp_path.iterdir()] == []


def test_standardised_models_and_models_of_one_name_are_refused(tmp_path, monkeypatch):
    model = images()
    with pytest.raises(zoo.ZooError, match="two models are named model"):
        module.space(tmp_path / "out", [model, model])
    with pytest.raises(zoo.ZooError, match="its data are standardised"):
        module.space(tmp_path / "out", [standardised(monkeypatch)])


def test_the_page_says_which_solver_it_uses(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_fetch_runtime", lambda folder: None)
    folder = module.space(tmp_path / "out", [images(solver="rk4")])
    (listed,) = json.loads((folder / "models" / "models.json").read_text())
    assert listed["about"].endswith("evaluations by exp-abm3.")
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "cross-origin-embedder-policy: require-corp" in text


def test_an_npm_that_writes_nothing_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: "true")
    with pytest.raises(zoo.ZooError, match="wrote no package"):
        module._fetch_runtime(tmp_path / "runtime")


# An address behind what a browser fetches; links that are clicked are none.
FETCHED = re.compile(
    r"""(?:\bimport|\bfrom|fetch\(|url\(|URL\(|Worker\(|WebSocket\(|importScripts\(|\.open\(|"""
    r"""\bsrc\s*=|\bsrcset\s*=|\baction\s*=|<link\b[^>]*href\s*=)[\s('"`]*(?:\w+:)?//"""
)


@pytest.mark.parametrize(
    "line",
    [
        'import x from "https://a.b/c.js"',
        "import 'https://a.b/c.js'",
        "await import(`//a.b/c.js`)",
        'fetch("http://a.b")',
        "new URL('wss://a.b', import.meta.url)",
        "background: url(https://a.b/c.png)",
        '@import "https://a.b/c.css";',
        '<script src="https://a.b/c.js">',
        '<link rel="stylesheet" href="//a.b/c.css">',
    ],
)
def test_what_is_fetched_from_elsewhere_is_seen(line):
    assert FETCHED.search(line)


def test_the_page_fetches_nothing_from_elsewhere():
    sources = [
        path for path in module._page().rglob("*") if path.suffix in (".html", ".css", ".js")
    ]
    assert len(sources) > 15
    for source in sources:
        assert not FETCHED.search(source.read_text(encoding="utf-8")), source
