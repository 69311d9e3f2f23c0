"""Targets that are not there are seen without importing anything."""

import sys

import pytest
from fake_distributions import brings, install

from zoo.host.plugins import plugins
from zoo.host.targets import missing_targets

MODULE = """
    import numpy as renamed
    from math import tau
    if True:
        try:
            class Conditional: pass
        except OSError:
            pass
    def make(): inner = 1
    constant = lambda: 3
    annotated: int = 4
    raise RuntimeError("never imported")
"""


def faults(site, target, **files):
    package = install(site, "zoo-bad", source=brings("zoo_solvers", "s", target), files=files)
    (record,) = [r for r in plugins() if r.value == package]
    return missing_targets(record)


@pytest.mark.parametrize("name", ["renamed", "tau", "Conditional", "make", "constant", "annotated"])
def test_whatever_a_module_binds_is_there(site, name):
    assert faults(site, f"zoo_bad.module:{name}", **{"module.py": MODULE}) == []
    assert "zoo_bad.module" not in sys.modules


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("zoo_bad.nowhere:Part", "there is no module zoo_bad.nowhere"),
        ("no_such_package:Part", "there is no module no_such_package"),
        ("no_such_package.module:Part", "there is no module no_such_package.module"),
        ("zoo_bad.module.deeper:Part", "there is no module zoo_bad.module.deeper"),
        ("zoo_bad.module:Mak", "that module has no Mak"),
        ("zoo_bad.module:inner", "that module has no inner"),
        ("zoo_bad.wrong:Part", "SyntaxError"),
    ],
)
def test_what_is_missing_is_told(site, target, fault):
    (line,) = faults(site, target, **{"module.py": MODULE, "wrong.py": "def (:"})
    assert line.startswith(f"solver 's' is {target}, but ")
    assert fault in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "source",
    ["from os.path import *", "globals()['x'] = 1", "def __getattr__(name): return name"],
)
def test_where_the_source_does_not_tell_nothing_is_claimed(site, source):
    assert faults(site, "zoo_bad.dynamic:Anything", **{"dynamic.py": source}) == []


def test_compiled_and_built_in_modules_are_not_accused(site):
    assert faults(site, "math:tau") == []


def test_no_first_party_target_is_missing():
    own = [r for r in plugins() if r.distribution == "fieldzoo"]
    assert own
    assert [missing_targets(r) for r in own] == [[] for _ in own]
