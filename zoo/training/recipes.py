"""Recipes found by name or path, and read."""

from __future__ import annotations

import os
import tomllib
from importlib.resources import files
from pathlib import Path

import msgspec

from zoo.config.recipe import SUFFIX, Recipe, bundled_recipes, from_dict
from zoo.errors import ZooError, did_you_mean, one_line
from zoo.files import as_path

MAX_RECIPE_BYTES = 1_000_000


def load_recipe(ref: str | Path) -> Recipe:
    """Return the recipe at a path (*.toml, *.json or with a slash), or the bundled one of a name.

    A .json is the config.json of a trained model, which holds its recipe.

    Raises:
        ZooError: there is none, it is not TOML or not such a config.json, or as in `from_dict`.
    """
    path = as_path(str(ref), f"recipe {str(ref)!r}")
    bundled = files("zoo") / "recipes" / f"{ref}{SUFFIX}"
    is_path = (
        isinstance(ref, Path) or path.suffix in (SUFFIX, ".json") or os.sep in ref or "/" in ref
    )
    source = path if is_path else bundled
    if not source.is_file():
        kind = "recipe file" if is_path else "bundled recipe"
        known = did_you_mean(path.name, bundled_recipes())
        raise ZooError(f"{ref}: no such {kind}; {known} (or give the path of a {SUFFIX} file)")
    where = str(path) if is_path else f"recipe {ref}"
    try:
        raw = source.read_bytes()
    except OSError as error:
        raise ZooError(f"{where}: cannot be read: {error.strerror}") from error
    return recipe_in(raw, where) if source.name.endswith(".json") else parse_recipe(raw, where)


def recipe_in(raw: bytes, where: str) -> Recipe:
    """Return the recipe in a trained model's config.json; `where` names it in errors.

    Raises:
        ZooError: not JSON, without a recipe, or as in `from_dict`.
    """
    try:
        config = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ZooError(f"{where}: not a JSON file: {error}") from error
    training = config.get("training") if isinstance(config, dict) else None
    recipe = training.get("recipe") if isinstance(training, dict) else None
    if not isinstance(recipe, dict):
        raise ZooError(
            f"{where}: holds no recipe (under training.recipe); a model's config.json does if the "
            f"model was trained by `zoo train`"
        )
    return from_dict(recipe, where)


def parse_recipe(raw: bytes, where: str) -> Recipe:
    """Return the recipe written as TOML in `raw`; `where` names it in errors.

    Raises:
        ZooError: too large, not TOML, or as in `from_dict`.
    """
    if len(raw) > MAX_RECIPE_BYTES:
        raise ZooError(f"{where}: {len(raw)} bytes; a recipe has at most {MAX_RECIPE_BYTES}")
    try:
        table = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{where}: not a TOML file: {one_line(error)}") from error
    return from_dict(table, where)
