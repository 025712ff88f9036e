"""What a server is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_BODY_BYTES = 8 << 20
STORE_BYTES = 256 << 20


@dataclass(frozen=True)
class ModelSource:
    """A model that is served.

    Attributes:
        name: what requests call it.
        path: of its file, or ``hf:OWNER/NAME:FILE``.
        aliases: other names of it.
    """

    name: str
    path: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineSettings:
    """How each model is computed.

    Attributes:
        context: tokens that one request may have, prompt and answer together; None for what the
            model was trained for, at most 4096.
        cache_tokens: that all requests of a model share. None, with ``cache_bytes`` None too: for
            ``parallel`` contexts, less where that is more than a quarter of the free memory.
        cache_bytes: the same in bytes.
        parallel: answers that are generated at a time for a model; the others wait.
        threads: at most this many; None for all.
        kv_type: how keys and values are cached.
        activation_bits: 8 or 16.
        repack: see :class:`ggmlkit.Model`.
        mlock: see :class:`ggmlkit.Model`.
        lora: adapters of the first model, each a path and a scale.
        draft: file of a smaller model that guesses for the first one.
        lookup: whether tokens are guessed from where the last ones occurred before.
    """

    context: int | None = None
    cache_tokens: int | None = None
    cache_bytes: int | None = None
    parallel: int = 8
    threads: int | None = None
    kv_type: str = "f16"
    activation_bits: int = 8
    repack: bool = True
    mlock: bool = False
    lora: tuple[tuple[str, float], ...] = ()
    draft: str | None = None
    lookup: bool = True


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them, may take.

    Attributes:
        max_tokens: of an answer at most; None for the rest of the context.
        seconds: that an answer may take. It then ends as if it had all its tokens.
        waiting: answers that may wait for their turn; more are refused with 429.
        body_bytes: of a request.
        body_seconds: for a body to come in.
        drain_seconds: that running answers get after SIGTERM.
        idle_seconds: after which a model that nobody uses is unloaded; None: never.
    """

    max_tokens: int | None = None
    seconds: float = 600.0
    waiting: int = 64
    body_bytes: int = MAX_BODY_BYTES
    body_seconds: float = 60.0
    drain_seconds: float = 30.0
    idle_seconds: float | None = None


@dataclass(frozen=True)
class StoreSettings:
    """Where responses are kept for later requests. Where there are more, the oldest goes first.

    Attributes:
        path: of a file of SQLite; None for memory.
        count: responses at most.
        size: bytes of them all at most.
    """

    path: str | None = None
    count: int = 100_000
    size: int = STORE_BYTES


@dataclass(frozen=True)
class ServerSettings:
    """What a server serves, to whom, and how much of it.

    Attributes:
        models: the first is loaded at the start, the others when they are asked for.
        host: address to listen on.
        port: 0 for any that is free.
        keys: API keys; one of them must come with each request. None: everyone is served.
        allowed_hosts: names by which requests may call the server, beside localhost and ``host``;
            ``*`` for all. Without any, names are checked where it listens on this machine alone and
            wants no key.
        context_shift: whether answers go on where the context is full, without the older half of
            the text; a request's own ``context_shift`` comes before it.
        cors_origins: web pages of these origins may use the server; ``*`` for all.
        chat_template: jinja2; None for the model's own.
        template_stops: texts that end an answer with this template.
        template_variables: for the chat template; a request's own come before them.
        traces: whether a span of OpenTelemetry is sent for each request.
        pooling: how an embedding is made of a text's tokens.
        page: whether ``/`` has a page for chats.
        engine: how models are computed.
        limits: what requests may take.
        store: where responses are kept.
    """

    models: tuple[ModelSource, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    keys: tuple[str, ...] = field(default=(), repr=False)
    allowed_hosts: tuple[str, ...] = ()
    context_shift: bool = False
    cors_origins: tuple[str, ...] = ()
    chat_template: str | None = None
    template_stops: tuple[str, ...] = ()
    template_variables: Mapping[str, Any] = field(default_factory=dict)
    traces: bool = False
    pooling: Literal["mean", "last"] = "mean"
    page: bool = True
    engine: EngineSettings = field(default_factory=EngineSettings)
    limits: Limits = field(default_factory=Limits)
    store: StoreSettings = field(default_factory=StoreSettings)
