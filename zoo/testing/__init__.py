"""Conformance checks: the laws that every component has to satisfy, of plugins and of the zoo.

    import pytest
    from zoo.testing import checks

    @pytest.mark.parametrize("check", checks("yukawa"))
    def test_yukawa(check):
        check()

A check is a plain function without arguments, named like "yukawa-divergence-d2"; it returns
nothing or raises CheckFailure, which says which law is broken, by how much, and where. `zoo check
PLUGIN` runs the same checks.
"""

from zoo.errors import CheckFailure
from zoo.testing.listing import Check, checks

__all__ = ["Check", "CheckFailure", "checks"]
