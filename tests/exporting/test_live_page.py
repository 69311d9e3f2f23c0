"""docs/live in Chromium: it loads, walks end on data, and a garment is Python's."""

import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from zoo.interfaces import KernelPrior

sync_api = pytest.importorskip("playwright.sync_api")
LIVE = Path(__file__).parents[2] / "docs" / "live"
MODEL = "gravity-fashion-mnist"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_api.sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("there is no Chromium")
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser):
    """Open a page of a folder; at the end there must be no error in its console."""
    servers, wrong, contexts = [], [], []

    def opened(folder, hash="", **options):
        server, address = serve(folder)
        servers.append(server)
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(address + hash)
        return page

    yield opened
    for context in contexts:
        context.close()
    for server in servers:
        server.shutdown()
        server.server_close()
    assert wrong == []


def walks(page, count):
    page.wait_for_function(
        f"document.getElementById('field-panel').dataset.walks == {count}", timeout=20_000
    )


def test_the_first_field_lines_are_there_and_the_walk_can_be_played(open_page):
    page = open_page(LIVE)
    walks(page, 96)
    assert page.locator("#now").text_content().startswith("t = ")
    page.locator("#time").fill("90")
    assert page.locator("#now").text_content() == "t = 0, at the data"
    page.locator("#play").click()
    page.wait_for_function("Number(document.getElementById('time').value) < 60")
    page.locator("#play").click()
    assert page.locator("#play").text_content() == "Play"


@pytest.mark.parametrize("kernel", ["gravity", "pfgmpp", "gaussian", "tanh", "exp", "flow"])
def test_every_walk_ends_on_a_data_point(open_page, kernel):
    page = open_page(LIVE)
    walks(page, 96)
    page.locator("#kernel").select_option(kernel)
    page.locator("#count").fill("32")
    walks(page, 32)
    off = page.evaluate(
        """async () => {
          const { makeKernel } = await import("./js/kernels.js");
          const { walk, walkTimes } = await import("./js/ode.js");
          const { randomStarts } = await import("./js/starts.js");
          const { PRESETS } = await import("./js/points.js");
          const kernel = makeKernel(document.getElementById("kernel").value, { D: 32 });
          const points = Float64Array.from(PRESETS["Two moons"]().flat());
          const T = Math.min(kernel.timeAt(3), 1e3), times = walkTimes(T, kernel.timeAt(1e-6), 60);
          return Math.max(...randomStarts(kernel, T, 12, 1).map(([x, y]) => {
            const [ex, ey] = walk(kernel, points, x, y, times).slice(-2);
            let least = Infinity;
            for (let i = 0; i < points.length / 2; i++)
              least = Math.min(least, Math.hypot(ex - points[2 * i], ey - points[2 * i + 1]));
            return least;
          }));
        }"""
    )
    assert off < 1e-3


@pytest.mark.parametrize("kernel", ["gravity", "tanh"])
@pytest.mark.parametrize("at", [0, 60])
def test_the_density_is_seen(open_page, kernel, at):
    """Also that of a law which is infinite at its data points, and one that is narrow."""
    page = open_page(LIVE)
    walks(page, 96)
    page.locator("#kernel").select_option(kernel)
    page.locator("#count").fill("8")
    walks(page, 8)
    page.locator("#time").fill(str(at))
    shade = page.evaluate(
        """() => {
          const plane = document.getElementById("plane"), { width, height } = plane;
          const { data } = plane.getContext("2d").getImageData(0, 0, width, height);
          let seen = 0;
          for (let i = 3; i < data.length; i += 4) seen += data[i] >= 8;
          return seen / (data.length / 4);
        }"""
    )
    assert shade > (0.9 if at == 0 else 0.02)


def test_points_are_placed_by_mouse_and_keyboard_and_read_from_a_file(open_page, tmp_path):
    page = open_page(LIVE)
    walks(page, 96)
    plane = page.locator("#plane")
    box = plane.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.8)
    assert "point 4 at" in page.locator("#said").text_content()
    plane.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert "point 5 at" in page.locator("#said").text_content()
    page.keyboard.press("Delete")
    assert page.locator("#said").text_content() == "4 data points left"
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("x,y\n1,2\n3,4\n5,0\n")
    bad.write_text("1,2\nthree,4\n")
    page.locator("#csv").set_input_files(good)
    page.wait_for_function("document.getElementById('said').textContent == '3 data points'")
    page.locator("#csv").set_input_files(bad)
    page.wait_for_function("document.getElementById('said').textContent.includes('line 2')")


def test_a_dragged_point_follows_and_a_swipe_places_none(open_page):
    page = open_page(LIVE)
    walks(page, 96)
    shown = "document.getElementById('plane').toDataURL()"
    box = page.locator("#plane").bounding_box()
    at = [box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.1]
    page.mouse.click(*at)
    before = page.evaluate(shown)
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + 40, at[1])
    assert page.evaluate(shown) != before
    page.mouse.move(box["x"] - 300, at[1])  # no further than the picture
    page.mouse.up()
    page.mouse.move(box["x"] + box["width"] * 0.9, at[1])
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, at[1] + 60)
    page.mouse.up()
    assert "point 4 at" in page.locator("#said").text_content()


def test_a_tab_that_is_left_with_the_cursor_in_the_plane_draws_nothing(open_page):
    page = open_page(LIVE)
    walks(page, 96)
    page.route("**/models.json", lambda route: route.fulfill(body="[]"))
    page.locator("#plane").focus()
    page.evaluate(
        "document.getElementById('garments-tab').click()"
    )  # the focus stays until it hides
    page.wait_for_function("document.getElementById('field-panel').hidden")
    page.evaluate("document.getElementById('plane').dispatchEvent(new Event('blur'))")
    assert page.evaluate("document.querySelector('main [role=tablist]') !== null")


def test_a_phone_shows_all_without_scrolling_sideways(open_page):
    page = open_page(LIVE, viewport={"width": 375, "height": 740}, has_touch=True, is_mobile=True)
    walks(page, 96)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.locator("#plane").tap()
    assert "point 4 at" in page.locator("#said").text_content()


def test_without_models_the_second_tab_says_what_to_do(browser):
    # Not by open_page: the list that is not there is an error in the console.
    server, address = serve(LIVE)
    page = browser.new_page()
    page.goto(address + "#garments")
    page.wait_for_function(
        "document.getElementById('garment-said').textContent.includes('zoo space')"
    )
    page.close()
    server.shutdown()
    server.server_close()


def test_a_list_of_models_that_does_not_come_is_asked_for_again(browser):
    server, address = serve(LIVE)
    page = browser.new_page()
    page.route("**/models.json", lambda route: route.abort())
    page.goto(address + "#garments")
    said = "document.getElementById('garment-said').textContent"
    page.wait_for_function(f"{said}.includes('open this tab again')")
    page.unroute("**/models.json")
    page.route("**/models.json", lambda route: route.fulfill(body="<!doctype html>"))
    page.locator("#field-tab").click()
    page.locator("#garments-tab").click()
    page.wait_for_function(f"{said}.includes('zoo space')")
    page.close()
    server.shutdown()
    server.server_close()


FAKE_RUNTIME = """
export const env = { wasm: {} };
export class Tensor { constructor(type, data) { this.data = data; } }
const run = async ({ x }) => ({ denoised: { data: x.data } });
export const InferenceSession = { create: async () => ({ run }) };
"""


def test_images_that_are_not_square_are_shown_whole(open_page, tmp_path):
    from tiny_models import images

    from zoo.exporting.graphs import denoiser
    from zoo.exporting.manifest import manifest

    model = images(shape=(1, 16, 8))
    folder = tmp_path / "page"
    shutil.copytree(LIVE, folder)
    (folder / "runtime").mkdir()
    (folder / "runtime" / "ort.wasm.min.mjs").write_text(FAKE_RUNTIME)
    (folder / "models" / "tall").mkdir(parents=True)
    listed = [{"name": "tall", "title": "tall", "about": ""}]
    (folder / "models" / "models.json").write_text(json.dumps(listed))
    (folder / "models" / "tall" / "model.onnx").write_bytes(b"")
    said = manifest(model, denoiser(model), "denoiser", [])
    (folder / "models" / "tall" / "manifest.json").write_text(json.dumps(said))
    page = open_page(folder, "#garments")
    page.wait_for_function("Boolean(document.getElementById('garments').dataset.drawn)")
    box = page.locator("#garments").bounding_box()
    assert box["height"] == pytest.approx(2 * box["width"], rel=0.02)


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """A Space with one model; skipped where npm cannot fetch the runtime."""
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    from zoo.exporting.space import space

    try:
        return space(tmp_path_factory.mktemp("space") / "out", [MODEL])
    except zoo.ZooError as error:
        pytest.skip(str(error))


def test_a_garment_is_the_one_that_python_draws(open_page, space):
    model = zoo.load(MODEL)
    noise = model.prior.sample(16, model.shape, torch.Generator().manual_seed(5))

    class Given(KernelPrior):
        def sample(self, n, shape, generator=None):
            return noise

    expected = model.sample(4, seed=0, prior=Given(model.kernel)).flatten().numpy()
    page = open_page(space, "#garments")
    page.wait_for_function(
        "Boolean(document.getElementById('garments').dataset.drawn)", timeout=60_000
    )
    found = page.evaluate(
        "async (noise) => [...await fieldzoo.run(Float32Array.from(noise))]",
        noise[:4].flatten().tolist(),
    )
    assert np.abs(np.array(found) - expected).max() < 1e-2
    assert "4 images in" in page.locator("#garment-said").text_content()
    page.locator("#garment-step").fill("3")
    assert page.locator("#garment-now").text_content().startswith("step 3 of")


def test_the_space_is_one_of_the_hub(space):
    text = (space / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    import yaml

    front = yaml.safe_load(text.split("---\n")[1])
    assert front["sdk"] == "static"
    assert front["app_file"] == "index.html"
    assert len(front["short_description"]) <= 60
    assert (space / "runtime" / "LICENSE").is_file()
    names = {path.name for path in (space / "models" / MODEL).iterdir()}
    assert names == {"model.onnx", "manifest.json", "README.md"}
    sources = [*space.glob("*.html"), *space.glob("*.css"), *space.glob("js/*.js")]
    for source in sources:  # of which test_space.py says that they fetch nothing from elsewhere
        assert source.read_bytes() == (LIVE / source.relative_to(space)).read_bytes()
