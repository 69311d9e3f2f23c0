"""`zoo list --hub --format`: models that a format recognises, none of their weights fetched."""

import json

import pytest
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers_repositories import files, unet
from fake_hub.replies import TROUBLES, in_trouble

import zoo
from zoo.errors import ZooError
from zoo.interfaces import Format

pytestmark = [
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
CARD = b"---\nlibrary_name: diffusers\ntags: [unconditional-image-generation]\n---\n# A model\n"
TEXT = {"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIP"]}
DENOISER = "unet/diffusion_pytorch_model.safetensors"


def repository(folder, scheduler, **options):
    unet().save_pretrained(folder / "unet", **options)
    scheduler.save_pretrained(folder / "scheduler")
    return {**files(folder), "README.md": CARD}


def files_of(hub, repo):
    return {name: file.content for name, file in hub.store.repositories[repo].files.items()}


@pytest.fixture
def published(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    hub.store.add("ada/ddpm", repository(tmp_path / "a", DDPMScheduler()))
    hub.store.add("bob/flow", repository(tmp_path / "b", FlowMatchEulerDiscreteScheduler()))
    hub.store.add("eve/text", {"README.md": CARD, "model_index.json": json.dumps(TEXT).encode()})
    hub.store.add("eve/empty", {"README.md": CARD})
    hub.store.add("eve/other", {"README.md": b"---\nlibrary_name: diffusers\n---\n"})
    hub.downloads["bob/flow"] = 7
    return hub


def test_what_the_format_recognises_is_listed_with_its_facts(published, command):
    status, out, err = command("list", "--hub", "--format", "diffusers")
    assert status == 0
    rows = [line.split() for line in out.splitlines()[1:]]
    assert [row[:3] for row in rows] == [
        ["bob/flow", "flow", "3x8x8"],
        ["ada/ddpm", "gaussian", "3x8x8"],
    ]
    assert rows[0][-1] == "7"
    assert err == "zoo: 2 not read; --json says why\n"
    assert not published.asked("GET", "safetensors")
    assert published.asked("GET", "model_index.json")
    told = {
        m["repo"]: m
        for m in json.loads(command("list", "--hub", "--format", "diffusers", "--json")[1])
    }
    size = len(published.store.repositories["ada/ddpm"].files[DENOISER].content)
    assert told["ada/ddpm"]["size"] == size
    assert "text_encoder" in told["eve/text"]["error"]
    assert "in no format that is known" in told["eve/empty"]["error"]
    assert "eve/other" not in told


def test_what_is_listed_loads_and_is_known_offline(published, monkeypatch):
    listed = zoo.list_models(hub=True, format="diffusers")
    assert listed == ["bob/flow", "ada/ddpm"]
    assert zoo.list_models(hub=True) == []  # which are tagged fieldzoo
    assert zoo.load(listed[1]).sample(1, seed=0, steps=2).shape == (1, 3, 8, 8)
    published.requests.clear()
    assert zoo.list_models("*flow*", hub=True, format="diffusers:diffusers") == ["bob/flow"]
    asked = [path for _, path, _ in published.requests]
    assert asked == 3 * ["/api/models"], "one for each choice of tags"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert zoo.list_models(hub=True, format="diffusers") == listed


def test_shards_are_counted_together(published, tmp_path):
    found = repository(tmp_path / "c", DDPMScheduler(), max_shard_size="20KB")
    published.store.add("cat/shards", found)
    sizes = [len(content) for name, content in found.items() if name.endswith(".safetensors")]
    assert len(sizes) > 2
    from zoo.hub.catalogue import catalogue

    (model,) = catalogue("cat/*", format="diffusers").models
    assert model.size == sum(sizes)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_may_pass_is_asked_again(published, command, trouble):
    with in_trouble(published, "ada/ddpm", "unet/config.json", trouble):
        status, out, err = command("list", "--hub", "ada/*", "--format", "diffusers")
    assert (status, err.count("\n")) == (0, 1)
    assert "ada/ddpm" not in out
    assert "not read" in err or "not looked into yet" in err
    assert zoo.list_models("ada/*", hub=True, format="diffusers") == ["ada/ddpm"]


@pytest.mark.parametrize("name", [DENOISER, "README.md"])
def test_a_format_that_wants_weights_or_many_files_gets_neither(published, monkeypatch, name):
    monkeypatch.setattr("zoo.hub.foreign.MAX_CONFIG_BYTES", 10_000)

    def greedy(self, files):
        for _ in range(100):
            files.path(name)

    monkeypatch.setattr("zoo_diffusers.format.DiffusersFormat.read", greedy)
    from zoo.hub.catalogue import catalogue

    (model,) = catalogue("ada/*", format="diffusers").models
    assert ("at most 10000 are" if name == DENOISER else "more than 10 files") in model.error
    assert len(published.asked("GET", "/ada/ddpm/resolve/")) == (name != DENOISER)


def test_a_repository_with_another_tag_of_a_choice_is_listed_once(published):
    both = CARD.replace(b"generation]", b"generation, 'diffusers:DiTPipeline']")
    other = CARD.replace(b"unconditional-image-generation", b"'diffusers:DiTPipeline'")
    for repo, card in (("ada/ddpm", both), ("bob/flow", other)):
        published.store.add(repo, {**files_of(published, repo), "README.md": card})
    found = zoo.list_models(hub=True, format="diffusers")
    assert found == ["bob/flow", "ada/ddpm"], "the most downloaded first, over all choices"


def test_tags_that_take_many_searches_are_told(hub, monkeypatch):
    tags = (("a", "b", "c"), ("d", "e", "f"))
    monkeypatch.setattr("zoo_diffusers.format.DiffusersFormat.hub_tags", tags)
    with pytest.raises(ZooError, match="hub_tags takes more than 8 searches"):
        zoo.list_models(hub=True, format="diffusers")


@pytest.mark.parametrize("tags", ["diffusers", ("diffusers", 3), ("diffusers", ()), None])
def test_tags_that_are_none_are_told(hub, monkeypatch, tags):
    monkeypatch.setattr("zoo_diffusers.format.DiffusersFormat.hub_tags", tags)
    with pytest.raises(ZooError, match="hub_tags is no tuple of names"):
        zoo.list_models(hub=True, format="diffusers")


def test_mistakes_are_one_line(hub, command):
    assert Format.hub_tags == ()
    for words, said in (
        (["--hub", "--format", "diffuser"], "did you mean 'diffusers'"),
        (["--hub", "--format", "songunet"], "names no tags of the Hub"),
        (["--format", "diffusers"], "zoo list --hub --format NAME"),
        (["--hub", "--format", "diffusers"], "no model on the Hub matches '*'\n"),
        (["--hub", "x*", "--format", "diffusers"], "`zoo list --hub --format diffusers` has all"),
    ):
        status, out, err = command("list", *words)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert said in err
    for options in ({"format": "diffusers"}, {"format": 3, "hub": True}):
        with pytest.raises(ZooError, match="format ="):
            zoo.list_models(**options)
