"""Cards that are there already: their prose kept, their facts written anew."""

from __future__ import annotations

import re

from zoo.config.model import Config
from zoo.folder.card import END, FACTS, LICENCE, NO_LICENCE, write_card
from zoo.folder.read import PICTURE

_HAND_KEPT = {"tags", "language", "base_model", "thumbnail", "widget"}


def refresh(card: str, fresh: str, *, figures: bool = True) -> str:
    """Return `card` with the facts of `fresh`: front matter by key, and the block of facts.

    Prose stays as it is, and so do keys that `fresh` does not have, but for the figures of other
    weights, or all of them if not `figures`. A card without the block gets it at its end.
    """
    matter, body = _split(card)
    new_matter, new_body = _split(fresh)
    before, old, after = cut(body)
    facts = cut(new_body)[1]
    keys = _by_key(matter)
    if not figures or (_hashes(old) and _hashes(old) != _hashes(facts)):
        keys.pop("model-index", None)
    for key, lines in _by_key(new_matter).items():
        given = key in keys and (key in _HAND_KEPT or lines == [NO_LICENCE])
        if not given:
            keys[key] = lines
    if not old:
        before, after = (before.rstrip() + "\n\n").lstrip("\n"), "\n"
    text = "\n".join(line for lines in keys.values() for line in lines)
    return f"---\n{text}\n---\n{before}{facts}{after}"


def rewrite_facts(card: str, config: Config, parameters: int = 0) -> str:
    """Return `card` with the facts of `config`, and without results that are no longer in it.

    Prose and the model's name stay; arguments are as for `write_card`.
    """
    fresh = write_card(
        name_in(card) or "model", config, parameters=parameters, licence=licence_of(card)
    )
    return refresh(card, fresh, figures=False)


def name_in(card: str) -> str:
    """Return what a card calls its model, "" if it does not say."""
    (line, *_) = _by_key(_split(card)[0]).get("model_name", [""])
    return line.partition(":")[2].strip().strip("\"'")


def replace_facts(card: str, fresh: str) -> str:
    """Return `card` with the block of facts of `fresh`, and nothing else; as it is without one."""
    before, old, after = cut(card)
    return f"{before}{cut(fresh)[1]}{after}" if old else card


def cut(card: str) -> tuple[str, str, str]:
    """Return what is before the block of facts, the block with its two marks, and what is after.

    Without both marks there is no block: all is before, and a mark that lost its other one is gone.
    """
    before, found, rest = card.partition(FACTS)
    facts, ended, after = rest.partition(END)
    if found and ended:
        return before, f"{FACTS}{facts}{END}", after
    return card.replace(FACTS, "").replace(END, ""), "", ""


def without_picture(card: str) -> str:
    """Return the card without the lines that show PICTURE, which is not beside it."""
    return re.sub(rf"^!\[[^\]\n]*\]\({re.escape(PICTURE)}\)\n\n?", "", card, flags=re.MULTILINE)


def _hashes(facts: str) -> set[str]:
    """Return the sha256 of the weight files in a block of facts."""
    return {*re.findall(r"`([0-9a-f]{64})`", facts)}


def licence_of(card: str) -> str:
    """Return the licence that a card's front matter names in one word, "" if it does not."""
    (line, *_) = _by_key(_split(card)[0]).get("license", [""])
    told = line.removeprefix("license:").strip()
    return told if LICENCE.fullmatch(told) else ""


def _split(card: str) -> tuple[str, str]:
    """Return front matter without its fences, and the text below it."""
    if not card.startswith("---\n"):
        return "", card
    matter, found, body = card[4:].partition("\n---\n")
    return (matter, body) if found else ("", card)


def _by_key(matter: str) -> dict[str, list[str]]:
    """Return the lines of each top-level key, the key's own first; comments stay in place."""
    keys: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in matter.splitlines():
        if line[:1].strip() and line[0] not in "-#" and ":" in line:
            lines = keys.setdefault(line.partition(":")[0].strip("\"' "), [])
        elif not keys:
            lines = keys.setdefault("", [])
        lines.append(line)
    return keys
