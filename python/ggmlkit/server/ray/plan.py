"""What is deployed on a cluster, and how many of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ggmlkit.arguments import did_you_mean, shown
from ggmlkit.errors import ArgumentError
from ggmlkit.server.keys import keys_in
from ggmlkit.server.settings import EngineSettings, Limits, ModelSource, ServerSettings

_NAMES: Final = (
    "model", "name", "replicas", "threads", "context", "parallel", "kv_tokens", "max_waiting",
    "api_key_file",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is deployed.

    Attributes:
        settings: of the server that each replica is; its threads are the cores that it gets.
        fewest: replicas.
        most: replicas; more than ``fewest``: as many as the requests need.
    """

    settings: ServerSettings
    fewest: int = 1
    most: int = 1

    @property
    def cores(self) -> int:
        """Of a replica."""
        return self.settings.engine.threads or 1


def replicas_of(text: str) -> tuple[int, int]:
    """The fewest and the most replicas that a text says, "4" or "1-8".

    Raises:
        ArgumentError: it says no such numbers.
    """
    few, dash, many = text.partition("-")
    numbers = [few, many if dash else few]
    if not all(number.isascii() and number.isdigit() and len(number) < 7 for number in numbers):
        raise ArgumentError(f"replicas must be a number or a range such as 1-8, not {shown(text)}")
    fewest, most = map(int, numbers)
    if not 1 <= fewest <= most:
        raise ArgumentError(f"replicas must be at least 1, the fewest first, not {shown(text)}")
    return fewest, most


def plan_of(args: Mapping[str, Any]) -> Plan:
    """The plan that the words behind ``serve run`` say.

    Raises:
        ArgumentError: one is unknown, missing, or not a number where there must be one.
        OSError: the file of the keys can't be read.
    """
    if wrong := next((name for name in args if name not in _NAMES), None):
        raise ArgumentError(f"there is no argument {wrong!r}{did_you_mean(wrong, _NAMES)}")
    if "model" not in args:
        raise ArgumentError("model is missing: model=FILE, a path that all nodes can read")
    path = str(args["model"])
    engine = EngineSettings(
        context=_number(args, "context"),
        cache_tokens=_number(args, "kv_tokens"),
        parallel=_number(args, "parallel") or EngineSettings.parallel,
        threads=_number(args, "threads") or 1,
    )
    limits = Limits()
    if (waiting := _number(args, "max_waiting", least=0)) is not None:
        limits = replace(limits, waiting=waiting)
    fewest, most = replicas_of(str(args.get("replicas", 1)))
    models = (ModelSource(str(args.get("name", Path(path).stem)), path),)
    keys = _keys(args.get("api_key_file"))
    settings = ServerSettings(
        models=models,
        allowed_hosts=("*",),  # where Ray Serve listens is not known here
        keys=keys,
        engine=engine,
        limits=limits,
    )
    return Plan(settings, fewest, most)


def _number(args: Mapping[str, Any], name: str, least: int = 1) -> int | None:
    if name not in args:
        return None
    text = str(args[name])
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) >= least):
        raise ArgumentError(f"{name} must be a whole number of at least {least}, not {shown(text)}")
    return int(text)


def _keys(file: object) -> tuple[str, ...]:
    if file is None:
        return ()
    found = keys_in(Path(str(file)).read_text("utf-8"))
    if not found:
        raise ArgumentError(f"{file} has no API key")
    return found
