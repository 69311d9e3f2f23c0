"""The figures of a model as the Hub's leaderboards read them: `.eval_results/*.yaml`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from zoo.config.training import TrainingRecord, facts

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

EVAL_RESULTS = ".eval_results/fieldzoo.yaml"
# What has to be known of a figure before it is compared with another; JSON, in the notes.
_NOTED = ("split", "features", "samples", "classes", "seeds", "solver", "steps", "nfe")


def eval_entries(training: TrainingRecord) -> list[EvalResultEntry]:
    """Return a figure each, with task "metric/features" and, in the notes, its conditions as JSON.

    Args:
        training: of config.json.
    """
    from huggingface_hub import EvalResultEntry

    found = []
    for entry in training.evaluation:
        known = facts(entry)
        noted = {key: known[key] for key in _NOTED if key in known}
        for metric, (value, low, high) in entry.metrics.items():
            notes = json.dumps(noted | {"interval_95": [low, high]})
            task = f"{metric}/{entry.features}"
            found.append(EvalResultEntry(entry.data, task, value, notes=notes))
    return found


def eval_yaml(training: TrainingRecord) -> bytes:
    """Return the file's content, b"" where nothing was measured."""
    from huggingface_hub import eval_result_entries_to_yaml

    entries = eval_result_entries_to_yaml(eval_entries(training))
    return yaml.safe_dump(entries, sort_keys=False).encode() if entries else b""
