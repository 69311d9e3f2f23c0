"""Which kernels keep heavy tails? Trains each candidate on each data set, once per seed.

python benchmarks/heavy_tails.py            # runs what docs/heavy-tails.json lacks, writes the page
python benchmarks/heavy_tails.py --page     # writes docs/heavy-tails.md and .png from the JSON
python benchmarks/heavy_tails.py --seeds 1 --data student-2 --rows 50000 -o /tmp/trial.json

A seed is that of the training data, of the weights and of the noise. One core, hours.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import heavy_tails_page as page
import numpy as np
import torch
from heavy_tails_rivals import RIVALS, Array, Sampler, fitted

from zoo.data.heavy import alpha_stable, copula, student
from zoo.evaluation.tails import TAILS, tail_figures

DOCS = Path(__file__).parent.parent / "docs"
# Rows to train on, to draw, and to compare with; rows of training, repetitions counted.
TRAIN, DRAWN, TRUTH, BUDGET = 50_000, 20_000, 200_000, 200_000
QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
_TRUTH_SEED, _OTHER_SEED = 10_000, 20_000


def generated(law: Callable[..., Any], **options: Any) -> Callable[[int, int], Array]:
    def draw(n: int, seed: int) -> Array:
        found = law(n, torch.Generator().manual_seed(seed), **options)
        return np.asarray(found.numpy())

    return draw


LAWS = {
    "student-2": generated(student, d=2, nu=3),
    "student-20": generated(student, d=20, nu=3),
    "copula-10": generated(copula, d=10, nu=3),
    "stable-2": generated(alpha_stable, d=2, alpha=1.7),
}


def returns() -> Array:
    """Daily returns of S&P 500 and NASDAQ, 1999 to 2018, in percent, (5030, 2); package arch."""
    spec = find_spec("arch")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data `returns` are those of the package arch: pip install arch")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    prices = []
    for name in ("sp500", "nasdaq"):
        table = np.genfromtxt(folder / name / f"{name}.csv.gz", delimiter=",", skip_header=1)
        prices.append(table[:, 5])  # adjusted close; both have a row per day of trade
    length = {len(p) for p in prices}
    assert len(length) == 1, length
    return np.asarray(100 * np.diff(np.log(np.stack(prices, axis=1)), axis=0))


def split(name: str, seed: int) -> tuple[Array, Array, Array]:
    """Return rows to train on, other rows of the same law, and the truth."""
    if name in LAWS:
        draw = LAWS[name]
        truth = draw(TRUTH, _TRUTH_SEED)
        return draw(TRAIN, seed), draw(DRAWN, _OTHER_SEED + seed), truth
    x = returns()
    x = x[np.random.default_rng(seed).permutation(len(x))]
    half = len(x) // 2
    return x[:half], x[:half], x[half:]


def kernel(name: str, **options: Any) -> Callable[[Array, int, int], Sampler]:
    def fit(x: Array, seed: int, rows: int) -> Sampler:
        model = fitted(x, seed, rows, kernel=name, **options)
        part = model.kernel.part
        return Sampler(model.sample, {} if part is None else part.options)

    return fit


CANDIDATES: dict[str, Callable[[Array, int, int], Sampler]] = {
    "gaussian": kernel("gaussian"),
    "gaussian, columns": kernel("gaussian", columns=True),
    "flow": kernel("flow"),
    "flow, columns": kernel("flow", columns=True),
    "gravity": kernel("gravity"),
    "pfgmpp D = 3": kernel("pfgmpp", D=3),
    "pfgmpp D = 5": kernel("pfgmpp", D=5),
    "pfgmpp D = 10": kernel("pfgmpp", D=10),
    "pfgmpp D = auto": kernel("pfgmpp", D="auto"),
    **RIVALS,
}
ROWS = page.OTHER


def lengths(x: Array, truth: Array) -> Array:
    """Return the lengths of rows, each column over its interquartile range in the truth."""
    low, centre, high = np.quantile(truth, [0.25, 0.5, 0.75], axis=0)
    return np.asarray(np.sqrt((((x - centre) / (high - low)) ** 2).mean(axis=1)))


def judged(x: Array, truth: Array) -> dict[str, Any]:
    figures = tail_figures(torch.from_numpy(x), torch.from_numpy(truth)).tolist()
    quantiles = [np.quantile(lengths(v, truth), QUANTILES).tolist() for v in (x, truth)]
    found, wanted = ([float(f"{q:.5g}") for q in of] for of in quantiles)
    return {
        "figures": {n: float(f"{v:.5g}") for n, v in zip(TAILS, figures, strict=True)},
        "length_quantiles": found,
        "truth_quantiles": wanted,
    }


def one(data: str, name: str, seed: int, rows: int) -> dict[str, Any]:
    train, other, truth = split(data, seed)
    if name == ROWS:
        return judged(other, truth)
    since = time.process_time()
    sampler = CANDIDATES[name](train, seed, rows)
    trained = time.process_time()
    drawn = sampler.sample(DRAWN, seed=seed).double().numpy()
    seconds = {"fit": trained - since, "sample": time.process_time() - trained}
    return {
        "options": sampler.options,
        "cpu_seconds": {key: round(value, 1) for key, value in seconds.items()},
        **judged(drawn, truth),
    }


def run(file: Path, data: list[str], seeds: int, rows: int) -> None:
    """Run what the file lacks, and write it after every run; SystemExit if it has other rows."""
    found: dict[str, Any] = {"runs": []}
    if file.exists():
        found = json.loads(file.read_text())
    done = {(r["data"], r["candidate"], r["seed"]) for r in found["runs"]}
    others = {r.get("rows") for r in found["runs"]} - {rows}
    if others:
        raise SystemExit(f"{file} has runs of {others} rows of training, not {rows}; give --out")
    found["facts"] = page.facts(TRAIN, DRAWN, TRUTH, rows)
    for seed in range(seeds):
        for name in data:
            for candidate in (ROWS, *CANDIDATES):
                if (name, candidate, seed) in done:
                    continue
                record: dict[str, Any] = {"data": name, "candidate": candidate, "seed": seed}
                record |= {"rows": rows, "date": date.today().isoformat()}
                record |= one(name, candidate, seed, rows)
                found["runs"].append(record)
                temporary = file.with_suffix(".part")
                temporary.write_text(json.dumps(found, indent=1) + "\n")
                temporary.replace(file)
                error = record["figures"]["length_q99.9"]
                print(f"{name}, {candidate}, seed {seed}: {error:+.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--page", action="store_true", help="only write page and picture")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=BUDGET, help="of training, per run")
    parser.add_argument("--data", nargs="+", default=[*LAWS, "returns"])
    parser.add_argument("-o", "--out", type=Path, default=DOCS / "heavy-tails.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if not asked.page:
        run(asked.out, asked.data, asked.seeds, asked.rows)
    page.write(asked.out, QUANTILES)


if __name__ == "__main__":
    main()
