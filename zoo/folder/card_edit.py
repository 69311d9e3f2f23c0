"""Cards that are there already: their prose kept, their facts written anew."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from zoo.config.model import Config
from zoo.files import is_path
from zoo.folder.card import END, FACTS, LICENSE, UNKNOWN, write_card
from zoo.folder.read import PICTURE

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

# What a card calls the model in its own folder; whoever shows or publishes it knows a longer name.
HERE = "."
# Where a card's facts name its model in commands.
_LOADED = re.compile(r'(?<=zoo\.load\(")[^"]*(?="\))')
_SAMPLED = re.compile(r"(?<=`zoo (?:sample|export) )(?:'[^'\n]*'|\S+)")
_REPEATED = re.compile(r"(?<=`zoo train )[^`\n]*config\.json\W?(?=`)")
_KEPT_BY_HAND = {"tags", "language", "base_model", "thumbnail", "widget"}


def refresh(card: str, fresh: str, *, figures: bool = True) -> str:
    """Return `card` with the facts of `fresh`: front matter by key, and the block of facts.

    Prose stays as it is, and so do keys that `fresh` does not have, but for the figures of other
    weights, or all of them if not `figures`. A card without the block gets it at its end. The
    front matter stays as it is where the Hub's client cannot read it or that of `fresh`, or where
    one has YAML aliases.
    """
    matter, body = _split_front_matter(card)
    before, old, after = split_facts(body)
    facts = split_facts(fresh)[1]
    found, new = _front_matter(card), _front_matter(fresh)
    if found and new:
        if not figures or (_hashes(old) and _hashes(old) != _hashes(facts)):
            found.data["eval_results"] = None
        for key, value in vars(new.data).items():
            there = getattr(found.data, key, None) is not None
            chosen = key in _KEPT_BY_HAND or (key, value) == ("license", UNKNOWN)
            if value is not None and not (there and chosen):
                found.data[key] = value
        matter = str(found)
    if not old:
        before, after = (before.rstrip() + "\n\n").lstrip("\n"), "\n"
    return f"{matter}{before}{facts}{after}"


def rewrite_facts(card: str, config: Config, parameters: int = 0) -> str:
    """Return `card` with the facts of `config`, and without results that are no longer in it.

    Prose and the model's name stay; arguments are as for `write_card`.
    """
    fresh = write_card(
        name_in(card) or "model", config, parameters=parameters, license=license_of(card)
    )
    return refresh(card, loaded_as(fresh, reference_in(card) or HERE), figures=False)


def replace_facts(card: str, fresh: str) -> str:
    """Return `card` with the block of facts of `fresh`, and nothing else; as it is without one."""
    before, old, after = split_facts(card)
    return f"{before}{split_facts(fresh)[1]}{after}" if old else card


def loaded_as(card: str, ref: str) -> str:
    """Return the card with `ref` in the commands of its facts; those of its prose stay."""
    before, facts, after = split_facts(card)
    word = shlex.quote(ref)
    local = is_path(ref) or ref.startswith("path:")
    config = f"{ref.removeprefix('path:')}/config.json"
    trained = shlex.quote(config) if local else f'"$(zoo pull {word})/config.json"'
    facts = _LOADED.sub(lambda _: ref.replace("\\", "\\\\"), facts)
    facts = _SAMPLED.sub(lambda _: word, facts)
    return f"{before}{_REPEATED.sub(lambda _: trained, facts)}{after}"


def reference_in(card: str) -> str:
    """Return how a card's facts call the model in `zoo.load`, "" where they do not."""
    found = _LOADED.search(split_facts(card)[1])
    return found[0] if found else ""


def split_facts(card: str) -> tuple[str, str, str]:
    """Return the text before the block of facts, the block with its two marks, the text after it.

    Without both marks there is no block: all is before, and a mark that lost its other one is gone.
    """
    before, found, rest = card.partition(FACTS)
    facts, ended, after = rest.partition(END)
    if found and ended:
        return before, f"{FACTS}{facts}{END}", after
    return card.replace(FACTS, "").replace(END, ""), "", ""


def with_picture(card: str, caption: str) -> str:
    """Return the card with the picture above its facts, captioned; as it is if it shows one."""
    shown = f"![{caption}]({PICTURE})"
    if f"]({PICTURE})" in card or FACTS not in card:
        return card.replace(f"![samples]({PICTURE})", shown)
    return card.replace(FACTS, f"{shown}\n\n{FACTS}", 1)


def without_picture(card: str) -> str:
    """Return the card without the lines that show PICTURE, a file that the folder lacks."""
    return re.sub(rf"^!\[[^\]\n]*\]\({re.escape(PICTURE)}\)\n\n?", "", card, flags=re.MULTILINE)


def name_in(card: str) -> str:
    """Return the name that a card gives its model, "" if it gives none."""
    return _text(card, "model_name")


def license_of(card: str) -> str:
    """Return the license that a card's front matter names in one word, "" if it does not."""
    license = _text(card, "license")
    return license if LICENSE.fullmatch(license) else ""


def _text(card: str, key: str) -> str:
    found = _front_matter(card)
    value = getattr(found.data, key) if found else None
    return value if isinstance(value, str) else ""


def _hashes(facts: str) -> set[str]:
    """Return the sha256 of the weight files in a block of facts."""
    return {*re.findall(r"`([0-9a-f]{64})`", facts)}


def _split_front_matter(card: str) -> tuple[str, str]:
    """Return the front matter with its fences, empty if there is none, and the text below it."""
    matter, found, body = card.removeprefix("---\n").partition("\n---\n")
    if found and card.startswith("---\n"):
        return f"---\n{matter}\n---\n", body
    return "---\n\n---\n", card


def _front_matter(card: str) -> ModelCard | None:
    """Return the front matter as the Hub's client reads it, None where it cannot."""
    import yaml
    from huggingface_hub import ModelCard  # slow to import, and reading a card needs none

    matter = _split_front_matter(card)[0]
    try:
        # A few lines of aliases can stand for gigabytes.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(matter)):
            return None
        found = ModelCard(matter, ignore_metadata_errors=True)
        str(found)  # a key such as "to_yaml" hides a method of the client's
    except Exception:  # broken YAML raises nearly anything
        return None
    return found
