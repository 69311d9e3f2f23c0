"""Data sets of the Hugging Face Hub, through the package datasets: hf:OWNER/NAME.

    hf:uoft-cs/cifar10
    hf:ylecun/mnist?train=train&test=test&image=image&label=label
    hf:./folder-of-parquet-files

After a question mark: config, the splits to take for train and test, the columns of images and
of labels. Left out, they are found where there is no doubt. No code of a data set is ever run.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch

from zoo.data.decode import decode_all
from zoo.data.images import Images, check_labels
from zoo.data.request import Request
from zoo.errors import ZooError, did_you_mean, one_line, shown, there_are
from zoo.hub.client import connect
from zoo.hub.errors import (
    Unreachable,
    bars_on_terminals_only,
    confidential,
    connection_failed,
)

OPTIONS = ("config", "image", "label", "test", "train")
PIP = "pip install 'fieldzoo[data]'"


def _options(request: Request, text: str) -> dict[str, str]:
    try:
        options = dict(parse_qsl(text, strict_parsing=bool(text), keep_blank_values=True))
    except ValueError as error:
        raise ZooError(f"{request.ref}: {text!r} is not like image=img&label=label") from error
    for name, value in options.items():
        if name not in OPTIONS:
            raise ZooError(f"{request.ref}: no option {name!r}; {did_you_mean(name, OPTIONS)}")
        if not value:
            raise ZooError(f"{request.ref}: {name} is empty; leave it out, or name one")
    return options


def _column(request: Request, table: Any, kind: str, asked: str | None, fits: list[str]) -> str:
    """Return the column asked for, or the only one that fits."""
    if asked is not None and asked not in table.column_names:
        raise ZooError(f"{request.ref}: no column {asked!r}; {did_you_mean(asked, table.features)}")
    if asked is None and len(fits) != 1:
        raise ZooError(
            f"{request.ref}: {len(fits)} columns look like {kind}s; "
            f"{there_are(table.column_names)}; name one with ?{kind}=..."
        )
    return asked or fits[0]


def load_hub(request: Request) -> Images:
    """Return a data set of images, with labels if it has one column of classes.

    Raises:
        ZooError: the package datasets is not installed, the data set or a split or a column is not
            there, or an image is unreadable.
    """
    if find_spec("datasets") is None:
        raise ZooError(f"{request.ref} needs the package datasets: {PIP}")
    path, _, query = request.argument.partition("?")
    name = path.rstrip("/").rpartition("/")[2]
    options = _options(request, query)
    split = options.get(request.split, request.split)
    try:
        table = _fetch(path, options.get("config"), split)
    except Unreachable as error:
        raise ZooError(f"{request.ref}: {error}") from error
    except Exception as error:  # a hundred ways: no such name, split or network, a broken file
        raise ZooError(
            f"{request.ref}, split {split!r}: cannot be loaded: "
            f"{shown(one_line(error), 300, confidential())}"
        ) from error
    return _images(request, table, options, name)


def _fetch(path: str, config: str | None, split: str) -> Any:
    """Return a `datasets.Dataset`; of the Hub's, as on this disk if it is.

    A Hub that does not answer one question is not asked another: by itself, the client asks six
    times over half a minute, and writes a line about each. Raises whatever `datasets` raises.
    """
    import datasets

    with bars_on_terminals_only(), bars_on_terminals_only(datasets):
        if not Path(path).exists() and (reason := _connection_failure(path)):
            return _cached(path, config, split, reason)
        return datasets.load_dataset(path, config, split=split)


def _connection_failure(path: str) -> str:
    """Return why the Hub does not answer; "" where it does, be it with an error."""
    try:
        connect().dataset_info(path, timeout=10)
    except Exception as error:
        return type(error).__name__ if connection_failed(error) else ""
    return ""


def _cached(path: str, config: str | None, split: str, reason: str) -> Any:
    """Return a split as `datasets` kept it on this disk when it was last fetched."""
    from datasets.load import CachedDatasetModuleFactory
    from datasets.packaged_modules.cache.cache import Cache

    try:
        CachedDatasetModuleFactory(path).get_module()
    except FileNotFoundError as error:
        raise Unreachable(
            f"it is not on this disk and the Hub cannot be asked ({reason})", reason
        ) from error
    name = path.rpartition("/")[2]
    kept = Cache(repo_id=path, dataset_name=name, config_name=config, version="auto", hash="auto")
    return kept.as_dataset(split=split)


def _images(request: Request, table: Any, options: dict[str, str], name: str) -> Images:
    import datasets

    pictures = [n for n, f in table.features.items() if isinstance(f, datasets.Image)]
    classes = [n for n, f in table.features.items() if isinstance(f, datasets.ClassLabel)]
    image = _column(request, table, "image", options.get("image"), pictures)
    if not isinstance(table.features[image], datasets.Image):
        raise ZooError(f"{request.ref}: the column {image!r} holds no images")
    if not len(table):
        raise ZooError(f"{request.ref}: holds no samples")
    cells = table.cast_column(image, datasets.Image(decode=False))[image]
    files = [(f"{request.ref}, number {i}", _source(cell or {})) for i, cell in enumerate(cells)]
    labels, count, known = None, 0, ()
    if options.get("label") or classes:
        label = _column(request, table, "label", options.get("label"), classes)
        labels, count = _labels(request, table, label)
        known = tuple(getattr(table.features[label], "names", None) or ())
    license = str(getattr(table.info, "license", "") or "") or "not stated by the data set"
    return Images(
        decode_all(files, request.size),
        labels,
        count,
        name,
        license,
        class_names=known if len(known) == count and all(map(str.isprintable, known)) else (),
    )


def _source(cell: dict[str, Any]) -> bytes | Path:
    """Return the bytes of an image, or where it lies; no bytes for one that is missing."""
    path: str | None = cell.get("path")
    found: bytes | None = cell.get("bytes")
    return Path(path) if found is None and path else found or b""


def _labels(request: Request, table: Any, column: str) -> tuple[torch.Tensor | None, int]:
    """Return the class numbers in a column and the number of classes.

    Test splits whose labels are kept secret have -1 throughout; that is none.
    """
    values = list(table[column])
    if not all(isinstance(value, int) for value in values):
        raise ZooError(f"{request.ref}: the column {column!r} holds no class numbers")
    labels = torch.tensor(values)
    if bool((labels == -1).all()):
        return None, 0
    found = check_labels(labels, len(values), f"{request.ref}, {column!r}")
    return labels, max(found, int(getattr(table.features[column], "num_classes", None) or 0))
