"""What `zoo new-plugin` writes: a package that passes its own tests before its author begins.

template/ is a package itself, a plugin called "changeme" that brings one part of every kind;
licenses/ holds the texts to choose from. See zoo.scaffold.write.
"""

from zoo.scaffold.write import LICENSES, PARTS, write_plugin

__all__ = ["LICENSES", "PARTS", "write_plugin"]
