"""`zoo pull --set`: options of another library's format."""

from pathlib import Path

import pytest
from diffusers_repositories import files, unet

import zoo

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]


@pytest.fixture
def bare(hub, tmp_path):
    """A network without a scheduler, and its average over training."""
    unet().save_pretrained(tmp_path / "unet")
    averaged = unet()
    averaged.conv_in.bias.data += 1
    averaged.save_pretrained(tmp_path / "unet_ema")
    hub.store.add("ada/bare", files(tmp_path))
    return hub


def test_what_files_do_not_say_is_said(bare, command):
    words = ["pull", "ada/bare", "--set", "scheduler=ddpm", "--set", "prediction_type=v_prediction"]
    status, out, err = command(*words)
    assert (status, err) == (0, "")
    model = zoo.load(out.strip())
    saved = model.config.network.options["scheduler"]
    assert saved["prediction_type"] == "v_prediction"
    status, averaged, _ = command(*words, "--set", "ema=true")
    assert status == 0
    assert averaged != out
    biases = [zoo.load(path.strip()).network.unet.conv_in.bias for path in (out, averaged)]
    assert not biases[0].equal(biases[1])
    bare.requests.clear()
    options = {"scheduler": "ddpm", "prediction_type": "v_prediction"}
    assert zoo.pull("ada/bare", format_options=options) == Path(out.strip())
    assert not bare.asked("GET", "safetensors")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--set scheduler=ddpm"),
        (["--set", "scheduler=nothing"], "nothing"),
        (["--set", "scheduler=ddpm", "--set", "ema=3"], "ema = 3; expected true or false"),
        (["--set", "scheduler=ddpm", "--set", "shceduler=ddpm"], "shceduler"),
        (["--set", "scheduler"], "KEY=VALUE"),
    ],
)
def test_a_mistake_is_one_line(bare, command, words, said):
    status, out, err = command("pull", "ada/bare", *words)
    assert status != 0
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert not bare.asked("GET", "safetensors")


def test_a_model_of_the_zoo_has_no_options(hub, saved, command):
    zoo.push(saved, "ada/tiny", token="hf_ada")
    status, _, err = command("pull", "ada/tiny", "--set", "scheduler=ddpm")
    assert (status, err.count("\n")) == (1, 1)
