"""Several processes that share the drawing of `zoo eval`: the figures are those of one."""

import json

import torch
from fashion_data import write_fashion_mnist
from forked import run, zoo_command
from tiny_models import images

OPTIONS = (
    *("-n", 34, "--steps", 2, "--seed", 3, "--noise", 0.1, "--bits", 8),
    *("--metrics", "frechet,classes", "--features", "garments"),
)


def report_in(path):
    """A results file but for how long it took."""
    report = json.loads(path.read_text())
    for outcome in report["outcomes"]:
        del outcome["seconds"]
    return report


def test_figures_do_not_depend_on_how_many_processes_share_the_drawing(
    command, tmp_path, monkeypatch
):
    """34 samples are three groups: of two processes one draws 16, the other 18."""
    folder = images(shape=(1, 28, 28), labels=10).save_pretrained(tmp_path / "m")
    monkeypatch.setenv("ZOO_DATA", str(write_fashion_mnist(tmp_path / "data")))
    eval_ = ["eval", folder, "--data", "fashion-mnist", *OPTIONS, "-o"]
    status, told, _ = command(*eval_, tmp_path / "one.json")
    assert (status, torch.get_num_threads()) == (0, 1)
    done = run(zoo_command, *eval_, tmp_path / "two.json", processes=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout == told
    assert done.stderr.count("3 evaluations, weights of 8 bits") == 1
    one, two = report_in(tmp_path / "one.json"), report_in(tmp_path / "two.json")
    assert one == two
    assert [len(outcome["metrics"]) for outcome in one["outcomes"]] == [3, 3, 3]
