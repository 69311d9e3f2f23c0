"""Saving: a model folder that loads to the same model, or nothing at all."""

import errno
import math

import pytest
import torch
from fake_distributions import brings, install
from safetensors import SafetensorError
from tiny_models import images, points
from torch import nn

import zoo
from zoo.errors import ZooError
from zoo.folder import write as saving
from zoo.folder.read import read_config
from zoo.formats.tensors import read_weights
from zoo.models.exact.gaussians import GaussianMixture


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def same(one, other, **options):
    options = {"n": 4, "seed": 0, "steps": 3, **options}
    return torch.equal(one.sample(**options), other.sample(**options))


@pytest.mark.parametrize("make", [images, points])
@pytest.mark.parametrize("solver", ["heun", "dopri5"])
def test_a_model_put_together_by_hand_survives_saving(tmp_path, make, solver):
    model = make(labels=3, solver=solver)
    folder = model.save_pretrained(tmp_path / "m")
    assert folder == tmp_path / "m"
    assert files(folder) == ["README.md", "config.json", "model.safetensors"]
    assert same(zoo.load(folder), model, labels=1, guidance=1.5)


def test_options_are_written(tmp_path):
    kernel = zoo.kernel("gravity", dim=2, t_max=33.0)
    network = zoo.network("mlp", shape=(2,), kernel=kernel, width=8, sigma_data=0.3)
    prior, solver = (
        zoo.prior("gravity", kernel),
        zoo.solver("heun", grid={"use": "edm", "rho": 5.0}),
    )
    folder = zoo.FieldModel(kernel, prior, network, solver, (2,)).save_pretrained(tmp_path / "m")
    config = read_config(folder)
    assert config.kernel.encode() == {"use": "gravity", "t_max": 33.0}
    assert config.network.encode() == {"use": "mlp", "width": 8, "sigma_data": 0.3}
    assert config.solver.encode() == {"use": "heun", "grid": {"use": "edm", "rho": 5.0}}
    assert config.requires == (f"fieldzoo>={zoo.__version__}",)
    loaded = zoo.load(folder)
    assert (loaded.kernel.t_max, loaded.network.sigma_data) == (33.0, 0.3)


def test_a_card_shows_no_picture_that_is_not_beside_it(tmp_path):
    line = "![samples](samples.png)"
    drawn = images().write(tmp_path / "drawn", samples=torch.zeros(1, 1, 8, 8))
    assert line in (drawn / "README.md").read_text()
    again = zoo.load(drawn).save_pretrained(tmp_path / "again")
    assert files(again) == ["README.md", "config.json", "model.safetensors"]
    expected = (drawn / "README.md").read_text().replace(f"{line}\n\n", "")
    assert (again / "README.md").read_text() == expected
    zoo.load(drawn).save_pretrained(drawn)
    assert line in (drawn / "README.md").read_text()


def test_vectors_have_no_range_and_images_do(tmp_path):
    assert read_config(points().save_pretrained(tmp_path / "p")).data.range is None
    assert read_config(images().save_pretrained(tmp_path / "i")).data.range == (-1.0, 1.0)


def test_the_distributions_of_all_parts_are_required(tmp_path, site):
    source = brings("zoo_field_kernels", "wave", "zoo_gravity.kernel:GravityKernel")
    install(site, "zoo-sea", "0.4.dev1+local", source=source)
    kernel = zoo.kernel("wave", dim=2)
    network = zoo.network("mlp", shape=(2,), kernel=kernel, width=8, blocks=1)
    model = zoo.FieldModel(kernel, zoo.prior("gravity", kernel), network, zoo.solver("heun"), (2,))
    folder = model.save_pretrained(tmp_path / "m")
    assert read_config(folder).requires == (f"fieldzoo>={zoo.__version__}", "zoo-sea>=0.4.dev1")
    assert same(zoo.load(folder), model)


def test_what_was_loaded_is_saved_with_its_card_and_training(tmp_path):
    folder = images().save_pretrained(tmp_path / "first")
    card = (folder / "README.md").read_text() + "\nWritten by hand.\n"
    (folder / "README.md").write_text(card)
    again = zoo.load(folder).save_pretrained(tmp_path / "second")
    assert (again / "README.md").read_text() == card
    assert (again / "config.json").read_bytes() == (folder / "config.json").read_bytes()
    assert (again / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_saving_again_replaces_the_models_files_and_leaves_others(tmp_path):
    folder = points().save_pretrained(tmp_path / "m")
    (folder / "notes.txt").write_text("mine")
    other = points(width=8)
    other.save_pretrained(folder)
    assert files(folder) == ["README.md", "config.json", "model.safetensors", "notes.txt"]
    assert same(zoo.load(folder), other)


def test_samples_become_the_cards_picture(tmp_path):
    model = images()
    folder = model.write(tmp_path / "m", name="gravity-x", samples=model.sample(4, steps=2))
    assert (folder / "samples.png").read_bytes().startswith(b"\x89PNG")
    card = (folder / "README.md").read_text()
    assert "![samples](samples.png)" in card
    assert "# gravity-x\n" in card
    assert 'zoo.load(".")' in card


def test_a_card_shows_no_picture_that_is_not_there(tmp_path):
    model = images()
    first = model.write(tmp_path / "a", samples=model.sample(4, steps=2))
    loaded = zoo.load(first)
    again = loaded.save_pretrained(first)
    assert "](samples.png)" in (again / "README.md").read_text()
    elsewhere = loaded.save_pretrained(tmp_path / "b")
    card = (first / "README.md").read_text()
    assert (elsewhere / "README.md").read_text() == card.replace("![samples](samples.png)\n\n", "")


def test_parts_without_a_name_are_told(tmp_path):
    model = points()
    model.prior.part = None
    with pytest.raises(
        zoo.ZooError, match=r"the prior has no name to save; build it with zoo\.pri"
    ):
        model.save_pretrained(tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("value", [math.inf, math.nan, math.tanh, torch.tensor(1.0)])
def test_options_that_are_no_json_are_told(tmp_path, value):
    model = points()
    model.kernel.part.options["t_max"] = value
    with pytest.raises(zoo.ZooError, match="the kernel's options are not JSON") as error:
        model.save_pretrained(tmp_path / "m")
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("what", ["save_weights", "dump_config", "write_card"])
@pytest.mark.parametrize(
    "failure",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("Error: no space\nleft")],
    ids=["disk", "safetensors"],
)
def test_a_disk_that_refuses_leaves_the_old_folder_as_it_was(tmp_path, monkeypatch, what, failure):
    model = points()
    folder = model.save_pretrained(tmp_path / "m")

    def fail(*args, **options):
        raise failure

    monkeypatch.setattr(saving, what, fail)
    with pytest.raises(zoo.ZooError, match=r"cannot write .*/m: .*[Nn]o space left") as error:
        points(width=8).save_pretrained(folder)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(zoo.ZooError, match="cannot write"):
        model.save_pretrained(tmp_path / "new")
    assert files(tmp_path) == ["m"]
    assert same(zoo.load(folder), model)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(zoo.ZooError, match="holds other files and no model"):
        points().save_pretrained(tmp_path)
    assert files(tmp_path) == ["thesis.tex"]


def test_parts_replaced_after_loading_are_saved(tmp_path):
    model = zoo.load(points(labels=3).save_pretrained(tmp_path / "m"))
    before = model.config.solver.encode()
    model.save_pretrained(tmp_path / "same")
    assert read_config(tmp_path / "same").solver.encode() == before
    model.solver = zoo.solver("euler", rho=5.0)
    model.prior = zoo.prior("gravity", model.kernel, largest_level=40.0)
    folder = model.save_pretrained(tmp_path / "n")
    config = read_config(folder)
    assert config.solver.encode() == {
        **{k: v for k, v in before.items() if k == "steps"},
        "use": "euler",
        "grid": {"use": "edm", "rho": 5.0},
    }
    assert config.prior.encode() == {"use": "gravity", "largest_level": 40.0}
    assert same(zoo.load(folder), model, labels=1)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool])
def test_weights_are_not_rounded_to_whole_numbers(tmp_path, dtype):
    model = points()
    folder = model.save_pretrained(tmp_path / "m")
    with pytest.raises(ZooError, match=r"dtype = torch\..*; expected one of float16, bfloat16"):
        model.save_pretrained(folder, dtype=dtype)
    assert same(zoo.load(folder), model)


# What would not load again


WRAPPERS = {
    "compile": lambda network: torch.compile(network, backend="eager"),
    "DataParallel": nn.DataParallel,
    "both": lambda network: nn.DataParallel(torch.compile(network, backend="eager")),
}


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_wrapped_network_is_saved_without_what_wraps_it(tmp_path, wrap):
    model, wrapped = points("gaussian", labels=2), points("gaussian", labels=2)
    wrapped.network = WRAPPERS[wrap](wrapped.network)
    assert same(zoo.load(wrapped.save_pretrained(tmp_path / "m")), model, labels=1)
    assert same(wrapped, model, labels=1, guidance=1.5)
    assert wrapped.network is not model.network


def test_a_loaded_one_is_too(tmp_path, saved_images):
    model = zoo.load(saved_images)
    model.network = nn.DataParallel(model.network)
    model.save(tmp_path / "m")
    assert (tmp_path / "m/config.json").read_text() == (saved_images / "config.json").read_text()


def broken(change):
    model = points()
    change(model.network)
    return model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: setattr(n, "more", nn.Linear(2, 2)), "'more.bias' is not one of the network's"),
        (lambda n: nn.utils.parametrizations.weight_norm(first_linear(n)), "is missing"),
        (lambda n: setattr(n, "backbone", nn.DataParallel(n.backbone)), "is missing"),
    ],
    ids=["a-layer-more", "weight-norm", "a-wrapped-layer"],
)
def test_a_changed_network_is_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(ZooError, match=f"cannot be saved as 'mlp': .*{message}"):
        broken(change).save_pretrained(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def first_linear(network):
    return next(module for module in network.modules() if isinstance(module, nn.Linear))


def test_another_network_in_a_loaded_model_is_saved_with_its_own_options(tmp_path):
    model = zoo.load(points(width=8).save_pretrained(tmp_path / "m"))
    model.network = points(width=24).network
    again = zoo.load(model.save_pretrained(tmp_path / "again"))
    assert again.config.network.options["width"] == 24
    assert same(again, points(width=24))


@pytest.mark.parametrize("kernel", ["gaussian", "gravity"])
@pytest.mark.parametrize("kind", ["points", "mixture"])
def test_an_exact_model_says_what_to_save_instead(tmp_path, kernel, kind):
    data = torch.randn(8, 2)
    if kind == "mixture":
        kernel, data = "vp", GaussianMixture(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1))
    with pytest.raises(ZooError, match=r"cannot be saved.*save the data, and call zoo\.exact\("):
        zoo.exact(kernel, data).save_pretrained(tmp_path / "exact")
    assert not (tmp_path / "exact").exists()


def test_one_without_a_name_is_refused(tmp_path):
    model = zoo.load(points(width=8).save_pretrained(tmp_path / "m"))
    model.network.part = None
    with pytest.raises(ZooError, match="the network has no name to save"):
        model.save_pretrained(tmp_path / "again")


def test_a_dtype_has_a_name(tmp_path):
    folder = points().save(tmp_path / "m", dtype="float16")
    assert {v.dtype for v in read_weights([folder / "model.safetensors"]).values()} == {
        torch.float16
    }
    assert zoo.load(folder, dtype="float64").dtype == torch.float64
