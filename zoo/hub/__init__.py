"""Models on the Hugging Face Hub: fetched, checked, published.

huggingface_hub, slow to import, is behind this package; only zoo.loading and the commands that
need it import it, and they do so when they run.
"""

from __future__ import annotations

from zoo.hub.named import namespace, pull_named
from zoo.hub.pulling import pull, pull_repository, pull_weights
from zoo.hub.pushing import push

__all__ = ["namespace", "pull", "pull_named", "pull_repository", "pull_weights", "push"]
