"""Shards, variants and averages in repositories that diffusers wrote."""

import json

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers_repositories import files, unet

import zoo
from zoo import ZooError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
LIST = "unet/diffusion_pytorch_model.safetensors.index.json"


def saved(folder, network, part="unet", **options):
    network.save_pretrained(folder / part, **options)
    DDPMScheduler().save_pretrained(folder / "scheduler")
    return folder


def same(model, network):
    expected = network.state_dict()
    found = model.network.unet.state_dict()
    return all(torch.equal(value, found[name].to(value)) for name, value in expected.items())


def test_shards_under_an_index(tmp_path, hub):
    network = unet()
    saved(tmp_path, network, max_shard_size="20KB")
    shards = {*json.loads((tmp_path / LIST).read_bytes())["weight_map"].values()}
    assert len(shards) > 2
    assert same(zoo.load(tmp_path), network)
    hub.store.add("ada/shards", files(tmp_path))
    assert same(zoo.load("ada/shards"), network)
    assert same(zoo.load("ada/shards", local_files_only=True), network)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda shards: {}, "has no weight_map"),
        (lambda shards: [1], "has no weight_map"),
        (lambda shards: {**shards, "x": 3}, "more than names of files"),
        (lambda shards: {**shards, "x": "../../outside.safetensors"}, "not beside it"),
        (lambda shards: {**shards, "x": "/etc/passwd"}, "not beside it"),
        (lambda shards: {**shards, "x": "diffusion_pytorch_model-9.safetensors"}, "not beside it"),
        (lambda shards: {f"{i}": f"{i}.safetensors" for i in range(2000)}, "at most 1000"),
        (lambda shards: {**shards, "more": next(iter(shards.values()))}, "differ in 'more'"),
        (lambda shards: dict([*shards.items()][1:]), "differ in"),
    ],
)
def test_an_index_that_lies_is_told_in_one_line(tmp_path, change, told):
    saved(tmp_path, unet(), max_shard_size="20KB")
    index = json.loads((tmp_path / LIST).read_bytes())
    index["weight_map"] = change(index["weight_map"])
    (tmp_path / LIST).write_text(json.dumps(index))
    with pytest.raises(ZooError, match=told) as caught:
        zoo.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 500


def test_a_shard_that_is_a_link_out_of_the_folder_is_not_followed(tmp_path):
    folder = saved(tmp_path / "it", unet(), max_shard_size="20KB")
    shard = next((folder / "unet").glob("*-00002-of-*"))
    shard.rename(tmp_path / "outside")
    shard.symlink_to(tmp_path / "outside")
    with pytest.raises(ZooError, match="is a link out of its folder"):
        zoo.load(folder)


def test_variants(tmp_path):
    whole, half = unet(), unet().half()
    saved(tmp_path, half, variant="fp16")
    assert same(zoo.load(tmp_path), half)  # the only one
    whole.conv_in.bias.data += 1
    saved(tmp_path, whole)
    assert same(zoo.load(tmp_path), whole)
    assert same(zoo.load(tmp_path, format_options={"variant": "fp16"}), half)
    with pytest.raises(ZooError, match="no weights of the variant 'bf16'; it has none, fp16"):
        zoo.load(tmp_path, format_options={"variant": "bf16"})


def test_averages_are_taken_where_they_are_asked_for_or_alone(tmp_path):
    plain, averaged = unet(), unet()
    averaged.conv_in.bias.data += 1
    saved(tmp_path, averaged, "unet_ema")
    assert same(zoo.load(tmp_path), averaged)
    saved(tmp_path, plain)
    assert same(zoo.load(tmp_path), plain)
    assert same(zoo.load(tmp_path, format_options={"ema": True}), averaged)
