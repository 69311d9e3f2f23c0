"""The zoo's own model, pushed, and loaded by whatever names it where nothing of it is left."""

import pytest
import torch
from fake_hub.elsewhere import DRAW, NAME, draw_elsewhere

import zoo

# The client's own, of how it hands a body to its HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO, SECRET = f"ada/{NAME}", "ada/secret"


def test_the_samples_are_equal_bit_for_bit_by_main_branch_tag_commit_and_token(hub, tmp_path):
    expected = zoo.load(NAME).sample(2, **DRAW)
    zoo.push(NAME, REPO, token="hf_ada")
    zoo.push(NAME, REPO, revision="wip", token="hf_ada")
    zoo.push(NAME, SECRET, private=True, token="hf_ada")
    repository = hub.store.repositories[REPO]
    commit = repository.refs["main"]
    repository.refs["v1"] = commit
    open_to_all = [REPO, f"{REPO}@main", f"{REPO}@wip", f"{REPO}@v1", f"{REPO}@{commit}"]
    refs = [*((ref, None) for ref in open_to_all), (SECRET, "hf_ada")]
    closed = [(SECRET, None), (SECRET, "hf_bob")]
    found = draw_elsewhere(hub.url, [*refs, *closed], tmp_path)
    assert all(torch.equal(samples, expected) for samples in found[: len(refs)])
    for error in found[len(refs) :]:
        assert f"no repository {SECRET}" in error
        assert "or it is private" in error
        assert "\n" not in error
