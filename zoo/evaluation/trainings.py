"""Several trainings of one recipe: the mean of their figures, and of differences of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple, TypeVar

from msgspec import Struct, field, structs

from zoo.errors import ZooError, brief
from zoo.evaluation.intervals import Estimate, from_seeds
from zoo.evaluation.metrics import METRICS
from zoo.evaluation.report import Report, Setting
from zoo.host.build import solver as build_solver

BY_SEED, IN_ORDER = "training seed", "order"
LEAST = 2
T = TypeVar("T")
_Row = tuple[Setting | None, dict[str, Estimate]]


class Facts(NamedTuple):
    """What figures depend on beside the model; equal where figures may be compared."""

    data: str
    split: str
    images: int
    features: str
    samples: int
    seeds: tuple[int, ...]


class PooledSetting(Struct, frozen=True):
    """The figures under one setting, `values` of an estimate one per training.

    Attributes:
        setting: how samples are drawn; None where only figures of the models were measured.
        metrics: mean over the trainings and its 95 % interval.
        against_setting: of the trainings that they are compared with.
        against: their figures.
        difference: mean of (training - its pair) and its 95 % interval.
    """

    setting: Setting | None
    metrics: dict[str, Estimate]
    against_setting: Setting | None = None
    against: dict[str, Estimate] = field(default_factory=dict)
    difference: dict[str, Estimate] = field(default_factory=dict)


class Pooled(Struct, frozen=True):
    """The figures of several trainings.

    Attributes:
        facts: what they all are measured on.
        trainings: the reports, in the order of `values`.
        against: those that they are compared with, each the pair of the training at its place.
        pairs: "training seed", "order", or "" where nothing is compared.
        outcomes: one per setting.
    """

    format: Literal[1]
    facts: Facts
    trainings: tuple[Report, ...]
    against: tuple[Report, ...]
    pairs: str
    outcomes: tuple[PooledSetting, ...]


def facts_of(report: Report) -> Facts:
    """Return what a report's figures were measured on."""
    data = report.data
    return Facts(
        str(data["ref"]),
        str(data["split"]),
        int(data["images"]),
        report.features["name"],
        report.samples,
        report.seeds,
    )


def check_numbers(trainings: Sequence[str], against: Sequence[str]) -> None:
    """Check how many trainings there are; ZooError where they are too few or have no pairs."""
    if len(trainings) < LEAST:
        raise ZooError(
            f"{len(trainings)} training{'s' * (len(trainings) != 1)}: an interval over trainings "
            f"takes at least {LEAST}"
        )
    if against and len(against) != len(trainings):
        raise ZooError(
            f"{len(trainings)} trainings against {len(against)}: pairs take equally many of both"
        )


def check_alike(reports: Sequence[Report], against: Sequence[Report] = ()) -> None:
    """Check that figures may be pooled, or will be: reports may be planned ones, without figures.

    Raises:
        ZooError: too few, unequal numbers, other data, features, samples, kernels or settings, or
            the same weights twice; tells the first two that differ, and in what.
    """
    check_numbers([r.model for r in reports], [r.model for r in against])
    first, *others = *reports, *against
    for other in others:
        for key, a, b in zip(Facts._fields, facts_of(first), facts_of(other), strict=True):
            if a != b:
                raise ZooError(
                    f"{_both(first, other)}: {key} {brief(a)} and {brief(b)}; evaluate them alike"
                )
    for group in (reports, against):
        _check_one_kind(group)
    if against:
        _same_number(_rows(reports[0]), _rows(against[0]))


def _both(one: Report, other: Report) -> str:
    return f"{brief(one.model)} and {brief(other.model)} cannot be pooled"


def _check_one_kind(reports: Sequence[Report]) -> None:
    for a, b in combinations(reports, 2):
        if a.weights and a.weights == b.weights:
            raise ZooError(
                f"{brief(a.model)} and {brief(b.model)} have the same weights: they are one "
                "training, not two"
            )
    for other in reports[1:]:
        first, where = reports[0], _both(reports[0], other)
        for key in ("kernel", "classes"):
            a, b = getattr(first, key), getattr(other, key)
            if a != b:
                raise ZooError(f"{where}: {key} {brief(a)} and {brief(b)}; compare with --against")
        for (s, _), (t, _) in _same_number(_rows(other), _rows(first)):
            if s != t and not _alike(s, t):
                raise ZooError(f"{where}: drawn by {_told(t)} and {_told(s)}; give both one solver")


def _alike(one: Setting | None, other: Setting | None) -> bool:
    """Return whether two settings differ in evaluations that their solver itself chose."""
    if one is None or other is None or structs.replace(one, nfe=other.nfe) != other:
        return False
    try:
        build_solver(one.solver).evaluations(1)
    except ZooError:  # they are not fixed
        return True
    return False


def pool(reports: Sequence[Report], against: Sequence[Report] = ()) -> Pooled:
    """Pool the reports of S >= 2 independent trainings; the 95 % intervals are over trainings.

        mean m +- t s / sqrt(S),   m, s: mean and standard deviation of the S figures

    t is Student's with S - 1 degrees. A training's figure is its mean over the seeds of its
    samples. The difference is that of pairs, one figure d_i = a_i - b_i per pair: what both share,
    such as the order of the data, is not in its interval. Pairs have equal seeds of training where
    each of `reports` has one of its own and `against` has the same ones; else they go in order.

    Args:
        reports: of `zoo.evaluation.run.evaluate`, or read from the files of `zoo eval -o`.
        against: of S other trainings, measured alike; () compares with nothing.

    Raises:
        ZooError: fewer than two, unequal numbers, other data, features, samples or settings, or
            the same weights twice.
    """
    check_alike(reports, against)
    own = _pooled(reports)
    pairs = ""
    if not against:
        outcomes = tuple(PooledSetting(setting, _means(rows)) for setting, rows in own)
    else:
        against, pairs = _paired(reports, against)
        outcomes = tuple(
            _compared(one, other) for one, other in _same_number(own, _pooled(against))
        )
    return Pooled(1, facts_of(reports[0]), tuple(reports), tuple(against), pairs, outcomes)


_Figures = tuple[Setting | None, list[dict[str, Estimate]]]


def _rows(report: Report) -> list[_Row]:
    """Return (setting, figures); those of the model itself stand with the first setting."""
    rows: list[_Row] = [(o.setting, o.metrics) for o in report.outcomes]
    setting, figures = rows[0] if rows else (None, {})
    return [(setting, figures | report.model_metrics), *rows[1:]]


def _pooled(reports: Sequence[Report]) -> list[_Figures]:
    """Return per setting the figures of each training.

    Raises:
        ZooError: only one has some figure, or there is none.
    """
    first = reports[0]
    for other in reports[1:]:
        for (_, found), (_, expected) in _same_number(_rows(other), _rows(first)):
            _check_names(_both(first, other), expected, found)
    rows = [_rows(report) for report in reports]
    return [(each[0][0], [figures for _, figures in each]) for each in zip(*rows, strict=True)]


def _same_number(one: Sequence[T], other: Sequence[T]) -> list[tuple[T, T]]:
    if len(one) != len(other):
        raise ZooError(f"{len(one)} and {len(other)} settings; evaluate all under the same ones")
    return list(zip(one, other, strict=True))


def _check_names(where: str, one: dict[str, Estimate], other: dict[str, Estimate]) -> None:
    if different := sorted(one.keys() ^ other.keys()):
        known = ", ".join(METRICS)
        raise ZooError(
            f"{where}: only one has {brief(different[0])}; give both the same --metrics of {known}"
        )
    if not one:
        raise ZooError(f"{where}: no figures were measured")


def _told(setting: Setting | None) -> str:
    return "nothing" if setting is None else f"{brief(setting.solver)}, {setting.nfe} evaluations"


def _paired(reports: Sequence[Report], against: Sequence[Report]) -> tuple[tuple[Report, ...], str]:
    """Return `against` in the order of the trainings that they are pairs of, and by what."""
    seeds = [r.training_seed for r in reports]
    by_seed = {r.training_seed: r for r in against}
    own = None not in seeds and len({*seeds}) == len(seeds)
    if own and by_seed.keys() == {*seeds}:
        return tuple(by_seed[seed] for seed in seeds), BY_SEED
    return tuple(against), IN_ORDER


def _means(figures: Sequence[dict[str, Estimate]]) -> dict[str, Estimate]:
    return {name: from_seeds([f[name].value for f in figures]) for name in figures[0]}


def _compared(one: _Figures, other: _Figures) -> PooledSetting:
    (s, own), (t, others) = one, other
    if s is not None and t is not None and (s.noise, s.bits) != (t.noise, t.bits):
        raise ZooError("the samples compared have other noise or bits; evaluate them alike")
    _check_names("the trainings cannot be compared", own[0], others[0])
    difference = {
        name: from_seeds([a[name].value - b[name].value for a, b in zip(own, others, strict=True)])
        for name in own[0]
    }
    return PooledSetting(s, _means(own), t, _means(others), difference)
