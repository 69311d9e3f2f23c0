"""Trainings pooled: means, intervals and paired differences as scipy's t tests have them."""

from itertools import permutations

import pytest
from msgspec.structs import replace
from scipy import stats

from zoo.errors import ZooError
from zoo.evaluation.intervals import Estimate
from zoo.evaluation.report import Outcome, Report, Setting
from zoo.evaluation.trainings import check_numbers, pool

A, B = (3.1, 2.4, 2.9, 3.6), (4.0, 3.2, 3.3, 5.1)
HEUN = Setting("heun", 18, 35)


def report(value, model, *, seed=None, setting=HEUN, names=("frechet",), **options):
    metrics = {name: Estimate(value, value - 9, value + 9, (value,)) for name in names}
    facts = {
        "data": {"ref": "digits", "name": "digits", "split": "test", "images": 299},
        "features": {"name": "pixels", "title": "pixels"},
        "samples": 100,
        "seeds": (0, 1),
        "kernel": "gravity",
        "weights": {"model.safetensors": model},
    }
    return Report(
        format=1,
        model=model,
        intervals="",
        outcomes=(Outcome(setting, metrics, 1.0),) if names else (),
        training_seed=seed,
        **{**facts, **options},
    )


def several(values, prefix, seeds=(None,) * 4, **options):
    return [
        report(v, f"{prefix}{k}", seed=s, **options)
        for k, (v, s) in enumerate(zip(values, seeds, strict=True))
    ]


def interval_of(estimate):
    return (estimate.low, estimate.high)


def test_the_interval_is_students_over_trainings():
    (outcome,) = pool(several(A, "a")).outcomes
    estimate = outcome.metrics["frechet"]
    assert estimate.values == A
    assert estimate.value == pytest.approx(sum(A) / 4)
    assert interval_of(estimate) == pytest.approx(stats.ttest_1samp(A, 0).confidence_interval(0.95))
    assert (outcome.against, outcome.difference) == ({}, {})


def test_the_difference_is_that_of_scipys_paired_test():
    found = pool(several(A, "a"), several(B, "b", kernel="gaussian"))
    (outcome,) = found.outcomes
    assert found.pairs == "order"
    expected = stats.ttest_rel(A, B).confidence_interval(0.95)
    assert interval_of(outcome.difference["frechet"]) == pytest.approx(expected)
    assert outcome.against["frechet"].values == B


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_pairs_have_one_seed_of_training_in_whatever_order_they_are_named(order):
    against = several(B, "b", seeds=(0, 1, 2, 3))
    found = pool(several(A, "a", seeds=(0, 1, 2, 3)), [against[k] for k in order])
    (outcome,) = found.outcomes
    assert found.pairs == "training seed"
    assert [r.training_seed for r in found.against] == [0, 1, 2, 3]
    expected = stats.ttest_rel(A, B).confidence_interval(0.95)
    assert interval_of(outcome.difference["frechet"]) == pytest.approx(expected)


@pytest.mark.parametrize("seeds", [(0, 0, 2, 3), (0, 1, 2, 9), (None, 1, 2, 3)])
def test_without_the_same_seeds_pairs_go_in_order(seeds):
    found = pool(several(A, "a", seeds=(3, 2, 1, 0)), several(B, "b", seeds=seeds))
    assert found.pairs == "order"
    assert [r.model for r in found.against] == ["b0", "b1", "b2", "b3"]


def test_figures_of_the_models_are_pooled_with_or_without_samples():
    bits = [{"bits_per_dim": Estimate(v, v, v, (v,))} for v in A]
    with_samples = [replace(r, model_metrics=b) for r, b in zip(several(A, "a"), bits, strict=True)]
    (outcome,) = pool(with_samples).outcomes
    assert outcome.metrics.keys() == {"frechet", "bits_per_dim"}
    alone = [replace(r, outcomes=()) for r in with_samples]
    (outcome,) = pool(alone).outcomes
    assert (outcome.setting, outcome.metrics["bits_per_dim"].values) == (None, A)


EULER = Setting("euler", 9, 9)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"samples": 50}, "samples 100 and 50"),
        ({"seeds": (0,)}, "seeds (0, 1) and (0,)"),
        ({"features": {"name": "garments", "title": ""}}, "features 'pixels' and 'garments'"),
        (
            {"data": {"ref": "toy", "name": "toy", "split": "test", "images": 299}},
            "data 'digits' and 'toy'",
        ),
        ({"kernel": "gaussian"}, "kernel 'gravity' and 'gaussian'; compare with --against"),
        ({"weights": {"model.safetensors": "a0"}}, "the same weights"),
        ({"setting": EULER}, "'euler', 9 evaluations"),
        ({"names": ("frechet", "kid")}, "only one has 'kid'"),
        ({"names": ()}, "drawn by"),
    ],
)
def test_what_was_not_measured_alike_is_not_pooled(changed, said):
    with pytest.raises(ZooError) as refused:
        pool([report(1.0, "a0"), report(2.0, "a1", **changed)])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_trainings_by_a_solver_that_chooses_its_steps_are_pooled_whatever_it_took():
    some = [
        report(v, f"a{v}", setting=Setting("exp-adaptive", 18, nfe))
        for v, nfe in ((1, 29), (2, 31))
    ]
    (outcome,) = pool(some).outcomes
    assert outcome.metrics["frechet"].value == 1.5
    with pytest.raises(ZooError, match="'heun', 35 evaluations and 'heun', 36"):
        pool([report(1.0, "a0"), report(2.0, "a1", setting=Setting("heun", 18, 36))])
    with pytest.raises(ZooError, match="drawn by"):
        pool([some[0], report(2, "a2", setting=Setting("exp-adaptive", 9, 29))])


def test_pairs_are_measured_alike_but_for_kernel_and_solver():
    one = several(A, "a")
    pool(one, several(B, "b", kernel="gaussian", setting=EULER))
    for changed, said in (
        ({"samples": 50}, "cannot be pooled: samples"),
        ({"setting": Setting("heun", 18, 35, noise=0.1)}, "other noise or bits"),
        ({"names": ("kid",)}, "only one has"),
    ):
        with pytest.raises(ZooError, match=said):
            pool(one, several(B, "b", **changed))


@pytest.mark.parametrize(
    ("trainings", "against", "said"),
    [([], [], "0 trainings"), (["a"], [], "1 training:"), (["a", "b"], ["c"], "2 trainings again")],
)
def test_too_few_trainings_and_unequal_numbers(trainings, against, said):
    with pytest.raises(ZooError, match=said):
        check_numbers(trainings, against)
