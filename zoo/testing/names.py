"""Names of components, which everybody shares."""

from __future__ import annotations

from zoo.errors import CheckFailure
from zoo.host.plugins import OWN, PluginRecord, plugins


def names(record: PluginRecord) -> None:
    """No other plugin brings a component of the same kind and name; the zoo's own came first."""
    if record.distribution == OWN:
        return
    for other in plugins():
        for kind, found in other.components.items() if other.name != record.name else ():
            mine = {component.name for component in record.components.get(kind, ())}
            if taken := sorted(mine & {component.name for component in found}):
                raise CheckFailure(
                    f"{kind[:-1]} {taken[0]!r} is also in the plugin {other.name!r} "
                    f"({other.origin}), and who asks for a name that is in two gets an error: "
                    "choose another name"
                )
