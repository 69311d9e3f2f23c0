"""The card of converted weights: whose they are, under which licence, and what they became."""

from __future__ import annotations

from zoo.config.model import Config
from zoo.folder.card import END, FACTS, scalar

_NON_COMMERCIAL = "cc-by-nc-sa-4.0"


def converted_card(name: str, file: str, config: Config, licence: str) -> str:
    """Return the card of a folder made from `file`.

    Args:
        name: of the model.
        file: the user's own file, its name alone.
        config: of the folder.
        licence: of the weights, an identifier of the Hub, "unknown" where the file does not tell.
    """
    shape = "x".join(map(str, config.data.shape))
    terms = "For non-commercial use only; the authors' own terms apply, and changes are shared "
    terms += "under the same licence. fieldzoo ships no such weights."
    lines = [
        "---",
        f"license: {licence}",
        "library_name: fieldzoo",
        "pipeline_tag: unconditional-image-generation",
        "tags:",
        *(f"- {tag}" for tag in ("field-diffusion", "ode", config.kernel.use)),
        f"model_name: {scalar(name)}",
        "---",
        "",
        f"# {name}",
        "",
        f"Converted from `{file}` with `zoo convert`: the network and its weights are those of the "
        "file, trained by its authors and not by fieldzoo. Data of shape "
        f"{shape}, kernel `{config.kernel.use}`, network `{config.network.use}`.",
        "",
        FACTS,
        "",
        "## Licence",
        "",
        f"Weights: {licence}.",
        *([terms] if licence == _NON_COMMERCIAL else []),
        "",
        END,
    ]
    return "\n".join(lines) + "\n"
