"""The U-Nets of score SDE, EDM, PFGM and PFGM++: DDPM++, NCSN++ and ADM."""

from collections.abc import Iterable

from zoo import Component, hookimpl

_SMALL = {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [4]}
_HEADS = {**_SMALL, "width": 32}  # of 64 channels each, at the resolution that attends


@hookimpl
def zoo_formats() -> Iterable[Component]:
    """Bring the files that hold these networks."""
    yield Component(
        "songunet", "zoo_songunet.format:SongUNetFormat", "files of EDM, PFGM++, PFGM, score SDE"
    )


@hookimpl
def zoo_networks() -> Iterable[Component]:
    """Bring the architectures, as EDM and PFGM++ train them, as score SDE and PFGM did."""
    yield Component("ddpmpp", "zoo_songunet.component:ddpmpp", "DDPM++ U-Net, images", _SMALL)
    yield Component("ncsnpp", "zoo_songunet.component:ncsnpp", "NCSN++ U-Net, images", _SMALL)
    yield Component("adm", "zoo_songunet.component:adm", "ADM U-Net, images", _HEADS)
    yield Component("ddpmpp-vp", "zoo_songunet.score:vp", "DDPM++ of score SDE, epsilon", _SMALL)
    yield Component("ncsnpp-ve", "zoo_songunet.score:ve", "NCSN++ of score SDE, score", _SMALL)
    yield Component("ddpmpp-pfgm", "zoo_songunet.score:pfgm", "DDPM++ of PFGM, field", _SMALL)
