"""Fashion-MNIST: 60,000 training and 10,000 test images of garments, 28x28 grey, 10 classes.

Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_dir

from zoo.data.idx import FILES, find, read_split
from zoo.data.images import Images
from zoo.data.request import Request
from zoo.errors import ZooError

NAME = "fashion-mnist"
LICENCE = "MIT (Zalando SE, Fashion-MNIST)"
VARIABLE = "ZOO_DATA"


def _folders() -> list[Path]:
    """Return where to look: $ZOO_DATA/fashion-mnist, then the user's cache."""
    chosen = os.environ.get(VARIABLE)
    roots = [Path(chosen).expanduser()] if chosen else []
    return [root / NAME for root in (*roots, Path(user_cache_dir("zoo")) / "data")]


def load_fashion_mnist(request: Request) -> Images:
    """Return a split of Fashion-MNIST, (1, 28, 28), from its four idx files on this machine.

    Raises:
        ZooError: they are not there (says which files to put where), or cannot be read.
    """
    folders = _folders()
    for folder in folders:
        if all(find(folder, file) for file in FILES[request.split]):
            return read_split(folder, request.split, name=NAME, licence=LICENCE)
    names = ", ".join(f"{name}.gz" for pair in FILES.values() for name in pair)
    raise ZooError(
        f"{NAME}: not found in {' or '.join(map(str, folders))}; put {names} (with or without "
        f".gz) into {folders[0]}, or set {VARIABLE} to the folder that holds {NAME}/"
    )
