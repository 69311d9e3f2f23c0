"""The configuration of google/ddpm-cifar10-32 at full size, 35.7 M parameters, random weights."""

import dataclasses

import pytest
import torch
from click.testing import CliRunner
from diffusers import DDIMPipeline
from diffusers_repositories import CIFAR, LAYOUTS, ddim, ddpm, save, unet
from test_diffusers import CIFAR10, PINNED, ddim_loop, difference, euler

import zoo
from zoo.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture(scope="module")
def network():
    return unet(CIFAR)


@pytest.fixture(scope="module", params=LAYOUTS)
def repository(request, network, tmp_path_factory):
    """The folder and the files of one layout."""
    folder = tmp_path_factory.mktemp(request.param)
    return folder, save(folder, network, ddpm(), request.param)


def serve(hub, files):
    """Put the repository on the Hub at the commit that gravity-cifar10 names."""
    commit = hub.store.add(CIFAR10, files)
    hub.store.repositories[CIFAR10].commits[PINNED] = dataclasses.replace(commit, oid=PINNED)


def test_it_denoises_as_diffusers_does(hub, repository, network):
    assert sum(p.numel() for p in network.parameters()) == 35_746_307
    serve(hub, repository[1])
    model = zoo.load(f"{CIFAR10}@{PINNED}")
    steps = torch.tensor([0, 1, 2, 10, 100, 250, 500, 501, 750, 900, 998, 999])
    assert difference(model, network, ddim(), steps) < 1e-5


def test_gravity_cifar10_is_sampled_end_to_end(hub, repository, tmp_path):
    serve(hub, repository[1])
    out = tmp_path / "grid.png"
    args = ["sample", "gravity-cifar10", "-n", "4", "--steps", "4", "-o", str(out)]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 0, done.output
    assert out.read_bytes().startswith(b"\x89PNG")


def test_euler_is_its_ddim_pipeline(network, tmp_path):
    save(tmp_path / "it", network, ddpm(), "flat-bin")
    model = zoo.load(tmp_path / "it")
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    expected, steps = ddim_loop(network, ddim(), x, 10)
    with torch.no_grad():
        found = euler(model, x, steps)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5
    pipeline = DDIMPipeline(network, ddim())
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(1)
    images = pipeline(2, generator, eta=0.0, num_inference_steps=10, output_type="np").images
    ours = (found / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert float((ours - torch.from_numpy(images)).abs().max()) < 1e-4
