"""The U-Nets of score SDE, EDM and PFGM++: DDPM++ and NCSN++."""

from collections.abc import Iterable

from zoo import Component, hookimpl

_SMALL = {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [4]}


@hookimpl
def zoo_networks() -> Iterable[Component]:
    """Bring both architectures, as EDM and PFGM++ train them and as score SDE did."""
    yield Component("ddpmpp", "zoo_songunet.component:ddpmpp", "DDPM++ U-Net, images", _SMALL)
    yield Component("ncsnpp", "zoo_songunet.component:ncsnpp", "NCSN++ U-Net, images", _SMALL)
    yield Component("ddpmpp-vp", "zoo_songunet.score:vp", "DDPM++ of score SDE, epsilon", _SMALL)
    yield Component("ncsnpp-ve", "zoo_songunet.score:ve", "NCSN++ of score SDE, score", _SMALL)
