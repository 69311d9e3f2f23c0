"""Whether the target of a component exists, by its source code: nothing is imported.

So `zoo plugins` can name a target that does not exist without importing torch.
"""

from __future__ import annotations

import symtable
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec

from zoo.host.plugins import PluginRecord, describe_error


def missing_targets(record: PluginRecord) -> list[str]:
    """Return, for every component of a plugin whose target is not there, one line that says so."""
    return [
        f"{kind[:-1]} {component.name!r} is {component.target}, but {fault}"
        for kind, components in record.components.items()
        for component in components
        if (fault := _fault(component.target))
    ]


def _fault(target: str) -> str:
    """Return why "package.module:Name" cannot be imported, "" if nothing speaks against it."""
    module, _, name = target.partition(":")
    spec = _find(module)
    if spec is None:
        return f"there is no module {module}"
    try:
        names = _names(spec)
    except Exception as error:  # a file that cannot be read or compiled cannot be imported either
        return describe_error(error)
    if names is None or name in names:
        return ""
    return f"that module has no {name}"


def _find(module: str) -> ModuleSpec | None:
    """Return where a module is; unlike importlib.util.find_spec this imports no parent package."""
    parent, _, _ = module.rpartition(".")
    path: Sequence[str] | None = None
    if parent:
        package = _find(parent)
        if package is None or package.submodule_search_locations is None:
            return None
        path = package.submodule_search_locations
    found = (finder.find_spec(module, path) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def _names(spec: ModuleSpec) -> set[str] | None:
    """Return the names that a module binds, None if its source does not determine them."""
    read = getattr(spec.loader, "get_source", None)
    source = read(spec.name) if read else None
    if source is None or "import *" in source or "globals()" in source:
        return None
    table = symtable.symtable(source, spec.origin or spec.name, "exec")
    names = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
    return None if "__getattr__" in names else names
