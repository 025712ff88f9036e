"""The server on a Ray cluster: replicas of the engine behind an ingress that reads prompts.

``ggmlkit serve --ray ADDRESS`` deploys it, and so does
``serve run ggmlkit.server.ray:app_builder model=model.gguf``. It needs the extra ``ray``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def app_builder(args: Mapping[str, Any]) -> Any:
    """The application that ``serve run`` deploys; see :func:`ggmlkit.server.ray.builder.built`."""
    from ggmlkit.server.ray.builder import built  # Ray is heavy, and perhaps not there

    return built(args)
