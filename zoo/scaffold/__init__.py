"""What `zoo new-plugin` writes: a package that passes its own tests before its author begins.

template/ is a package itself, a plugin called "changeme" that brings one part of every kind;
licences/ holds the texts to choose from. See zoo.scaffold.write.
"""

from zoo.scaffold.write import LICENCES, PARTS, write_plugin

__all__ = ["LICENCES", "PARTS", "write_plugin"]
