"""`zoo eval --trainings A,B [--against C,D]`: models or results, their table and JSON."""

import json

import pytest
import torch
from evaluation_data import write_npz
from scipy import stats
from tiny_models import images

import zoo

DRAWN = ("-n", 20, "--steps", 3, "--metrics", "frechet")


@pytest.fixture
def trained(command, tmp_path):
    """Run `zoo eval ARGS` beside four tiny models a, b (gravity), c, d (gaussian)."""
    for number, name in enumerate("abcd"):
        model = images(kernel="gravity" if name in "ab" else "gaussian")
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.mul_(1 + 0.1 * number)
        model.save_pretrained(name)
    data = write_npz(tmp_path / "patterns.npz", n=60)

    def run(*args, data=data):
        return command("eval", *args, "--data", data)

    return run


def test_models_and_results_are_pooled_to_the_same_figures(trained, tmp_path):
    pairs = ("--trainings", "./a,./b", "--against", "./c,./d")
    status, out, err = trained(*pairs, *DRAWN, "--json", "-o", "pooled.json")
    assert status == 0
    found = json.loads(out)
    assert found == json.loads((tmp_path / "work" / "pooled.json").read_text())
    (outcome,) = found["outcomes"]
    one, other = (outcome[k]["frechet"]["values"] for k in ("metrics", "against"))
    alone = json.loads(trained("./b", *DRAWN, "--json", "-o", "b.json")[1])
    assert alone["outcomes"][0]["metrics"]["frechet"]["value"] == one[1]
    low, high = stats.ttest_rel(one, other).confidence_interval(0.95)
    difference = outcome["difference"]["frechet"]
    assert (difference["low"], difference["high"]) == pytest.approx((low, high))
    assert "./a: 1 x 20 samples by heun" in err
    # one of them from its file
    status, out, _ = trained("--trainings", "./a,b.json", "--against", "./c,./d", *DRAWN)
    lines = out.splitlines()
    assert (status, lines[1]) == (
        0,
        "the difference is that of pairs by order, first minus second",
    )
    assert [line.split()[0] for line in lines[6:]] == [
        *("./a", "./b", "mean", "./c", "./d", "mean", "difference"),
    ]
    assert float(lines[7].split()[1]) == pytest.approx(one[1], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ((), 2, "Missing argument 'NAME'"),
        (("./a", "--trainings", "./a,./b"), 2, "neither NAME nor --write-card"),
        (("--trainings", "./a,./b", "--write-card"), 2, "neither NAME nor --write-card"),
        (("./a", "--against", "./a,./b"), 2, "--against compares with --trainings"),
        (("--trainings", "./a"), 1, "1 training: an interval"),
        (("--trainings", "./a,"), 1, "between two commas"),
        (("--trainings", "./a,./b", "--against", "./c"), 1, "2 trainings against 1"),
        (("--trainings", "./a,./c", *DRAWN), 1, "kernel 'gravity' and 'gaussian'"),
        (("--trainings", "./a,absent.json"), 1, "absent.json is not a results file"),
    ],
)
def test_refusals_are_one_line(trained, options, status, said):
    code, out, err = trained(*options)
    told = [line for line in err.splitlines() if line.startswith("zoo: ")]
    assert (code, out) == (status, "")
    assert len(told) == 1
    assert said in told[0]


def test_what_differs_is_refused_before_anything_is_drawn(trained, command, monkeypatch):
    assert trained("./b", "-n", 30, *DRAWN[2:], "-o", "b.json")[0] == 0
    assert trained("./b", *DRAWN, "--solver", "euler", "-o", "euler.json")[0] == 0
    monkeypatch.setattr(zoo.FieldModel, "sample", None)
    for refs, said in (
        ("./a,b.json", "samples 20 and 30"),
        ("./a,./c", "kernel 'gravity' and 'gaussian'; compare with --against"),
        ("./a,./a", "the same weights"),
        ("./a,euler.json", "drawn by 'heun', 5 evaluations and 'euler', 3 evaluations"),
    ):
        code, _, err = trained("--trainings", refs, *DRAWN)
        assert (code, err.count("\n")) == (1, 1)
        assert said in err
    for option in ("-n", "--seeds", "--steps"):
        code, _, err = command("eval", "--trainings", "b.json,euler.json", option, 7)
        assert code == 2
        assert f"{option} does nothing" in err
