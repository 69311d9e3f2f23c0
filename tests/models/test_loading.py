"""zoo.load: from a folder to a model that samples as the one that was saved."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from fake_distributions import install
from tiny_models import images, points

import zoo
from zoo.folder import read as folders
from zoo.models.load import load_folder


@pytest.fixture
def folder(saved_images, tmp_path):
    """A copy of a sound model folder, to be changed."""
    return Path(shutil.copytree(saved_images, tmp_path / "gravity-tiny"))


def change(folder, **parts):
    """Change options of parts in config.json; None drops the option."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for part, options in parts.items():
        if isinstance(options, dict):
            options = {**config.get(part, {}), **options}
            options = {k: v for k, v in options.items() if v is not None}
        config[part] = options
    path.write_text(json.dumps(config))
    return folder


def samples(model, n=3):
    return model.sample(n, seed=0, steps=3)


def test_a_loaded_model_samples_as_the_saved_one_did(folder):
    model = zoo.load(folder)
    assert torch.equal(samples(model), samples(images()))
    assert not model.training
    assert model.dtype == torch.float32
    assert model.shape == (1, 8, 8)
    assert model.card == (folder / "README.md").read_text()
    assert model.config == folders.read_config(folder)


def test_half_precision_weights_become_single_precision(tmp_path):
    whole = images()
    half = whole.save_pretrained(tmp_path / "half", dtype=torch.float16)
    full = whole.save_pretrained(tmp_path / "full")
    size = (full / "model.safetensors").stat().st_size
    assert (half / "model.safetensors").stat().st_size < 0.7 * size
    model = zoo.load(half)
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, whole.network.state_dict()[name].half().float())
    assert zoo.load(half, dtype=torch.float64).dtype == torch.float64


def test_a_path_and_every_spelling_of_it_load(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for ref in (folder, str(folder), Path("gravity-tiny"), "./gravity-tiny", "path:gravity-tiny"):
        assert zoo.load(ref).shape == (1, 8, 8)
    with pytest.raises(zoo.ZooError, match="no model 'gravity-tiny'"):
        zoo.load("gravity-tiny", local_files_only=True)


def test_the_hash_is_computed_once(folder, monkeypatch):
    hashed = []
    describe = folders.describe
    monkeypatch.setattr(folders, "describe", lambda path: hashed.append(path) or describe(path))
    for _ in range(3):
        zoo.load(folder)
    assert hashed == [folder / "model.safetensors"]


def test_changed_weights_of_the_same_size_are_caught(folder):
    zoo.load(folder)
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(zoo.ZooError, match="changed or damaged"):
        zoo.load(folder)


def test_a_solver_can_be_exchanged_and_the_steps_stay(folder):
    change(folder, solver={"use": "heun", "steps": 5, "rho": 3.0})
    own, other = zoo.load(folder), zoo.load(folder, solver="euler")
    assert (own.steps, other.steps) == (5, 5)
    assert type(other.solver).__name__ == "Euler"
    assert other.config.solver.encode() == {"use": "euler", "steps": 5}
    assert torch.equal(samples(other), own.sample(3, seed=0, steps=3, solver="euler"))


def test_the_models_own_solver_keeps_its_options_when_it_is_asked_for_by_name(folder):
    change(folder, solver={"use": "heun", "steps": 5, "rho": 3.0})
    own, named = zoo.load(folder), zoo.load(folder, solver="heun")
    assert named.config.solver.encode() == {"use": "heun", "steps": 5, "rho": 3.0}
    assert own.solver_called("heun") is own.solver
    expected = samples(own)
    assert torch.equal(samples(named), expected)
    assert torch.equal(own.sample(3, seed=0, steps=3, solver="heun"), expected)
    assert not torch.equal(own.sample(3, seed=0, steps=3, solver=zoo.solver("heun")), expected)


def test_the_kernel_is_the_one_that_was_learned(folder):
    for name in ("gravity", "gravity:gravity"):
        assert torch.equal(samples(zoo.load(folder, kernel=name)), samples(zoo.load(folder)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "gravty"}, "no kernel 'gravty'; did you mean 'gravity'"),
        ({"solver": "heum"}, "no solver 'heum'; did you mean 'heun'"),
        ({"solver": "a solver!"}, "no solver 'a solver!'"),
        ({"device": "gpu"}, "device 'gpu' is not available here"),
        ({"device": "meta"}, "device 'meta' is not available here"),
        ({"revision": "main"}, "has no revision 'main'"),
    ],
)
def test_wrong_arguments_are_told(folder, options, message):
    with pytest.raises(zoo.ZooError, match=message) as error:
        zoo.load(folder, **options)
    assert len(str(error.value).splitlines()) == 1
    assert "config.json" not in str(error.value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"kernel": {"use": "gravty"}}, "no kernel 'gravty'; did you mean"),
        ({"kernel": {"t_mx": 1.0}}, "kernel 'gravity' has no option 't_mx'; did you mean 't_max'"),
        ({"kernel": {"t_max": -1.0}}, r"expected 0 < t_min < t_max"),
        ({"kernel": {"t_max": "far"}}, "t_max = 'far'; expected a finite number"),
        ({"kernel": {"dim": 3}}, "'gravity' has no option 'dim'; zoo fills that in itself"),
        ({"kernel": {"name": "x"}}, "'gravity' has no option 'name'"),
        ({"prior": {"kernel": "x"}}, "'gravity' has no option 'kernel'"),
        ({"prior": {"use": "gaussian:gravity"}}, "plugin 'gaussian' has no prior 'gravity'"),
        ({"network": {"shape": [1]}}, "'unet' has no option 'shape'"),
        ({"network": {"width": 16}}, "has shape .*, the network needs"),
        ({"network": {"width": None}}, "has shape .*, the network needs|is missing"),
        ({"network": {"blocks": 2}}, "is missing|has shape|not one of"),
        ({"network": {"use": "mlp"}}, "has no option"),
        ({"solver": {"use": "nosuch:heun"}}, "no plugin 'nosuch'"),
        ({"solver": {"rho": 0}}, "rho = 0; expected a positive number"),
        ({"data": {"shape": [64]}}, "unet takes images"),
        ({"requires": ["zoo-yukawa>=9"]}, "gravity-tiny needs zoo-yukawa>=9: pip install 'zoo-yuk"),
        ({"weights": {"files": {}}}, "missing|no weights"),
    ],
)
def test_each_mistake_in_a_config_is_one_line_that_names_it(folder, parts, message):
    change(folder, **parts)
    with pytest.raises(zoo.ZooError, match=message) as error:
        zoo.load(folder)
    assert len(str(error.value).splitlines()) == 1
    assert folder.name in str(error.value).partition(": ")[0]


def test_a_network_for_images_of_any_size_may_be_given_another(folder):
    change(folder, data={"shape": [1, 8, 9]})
    assert samples(zoo.load(folder)).shape == (3, 1, 8, 9)


def test_absent_weights_are_told(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(zoo.ZooError, match=r"model\.safetensors is missing; config\.json lists it"):
        zoo.load(folder)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    (tmp_path / "f.safetensors").touch()
    with pytest.raises(zoo.ZooError, match=r"f\.safetensors is a file; .*`zoo convert .* FOLDER`"):
        zoo.load(tmp_path / "f.safetensors")
    with pytest.raises(zoo.ZooError, match="there is no folder"):
        zoo.load(tmp_path / "nowhere")
    with pytest.raises(zoo.ZooError, match="is not a model folder"):
        zoo.load(tmp_path)


def test_a_model_whose_plugin_is_absent_says_what_to_install(folder, site):
    change(folder, kernel={"use": "sea:wave"}, requires=["zoo-sea>=1.0"])
    with pytest.raises(zoo.ZooError, match=r"pip install 'zoo-sea>=1\.0'"):
        zoo.load(folder)


MODULE = """
    import torch
    from zoo_networks.mlp import mlp
    FACTOR = torch.tensor(2.0)

    def net(shape, kernel, **options):
        assert FACTOR.item() == 2.0
        return mlp(shape, kernel, **options)
"""


def test_a_module_imported_by_loading_has_real_tensors_of_its_own(tmp_path, site):
    """Networks are built on the meta device, and their modules imported only then."""
    source = "@hookimpl\ndef zoo_networks():\n    yield Component('sea', 'zoo_sea.net:net')\n"
    install(site, "zoo-sea", source=source, files={"net.py": MODULE})
    target = points().save_pretrained(tmp_path / "m")
    change(target, network={"use": "sea"})
    assert torch.equal(samples(load_folder(target)), samples(points()))
