"""A model that is loaded for the server: its engine, its scheduler, its chat template."""

from __future__ import annotations

import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ggmlkit import _core
from ggmlkit.arch.gguf_keys import from_gguf_keys
from ggmlkit.chat.form import ChatForm, chat_form
from ggmlkit.chat.model import ChatModel
from ggmlkit.closing import Closing
from ggmlkit.engine.breakers import breaker_tokens
from ggmlkit.engine.constraint import constraint_of
from ggmlkit.engine.kv_types import KvTypes
from ggmlkit.engine.loading import gguf_view, naming
from ggmlkit.engine.model import DEFAULT_CONTEXT, Model
from ggmlkit.engine.portions import Portions
from ggmlkit.engine.sampling import DRY_SEQUENCE_BREAKERS, SamplingParams
from ggmlkit.engine.scheduler import Scheduler
from ggmlkit.io import open as open_file
from ggmlkit.server.memory import available_bytes

if TYPE_CHECKING:
    from ggmlkit.arch.hparams import Hparams
    from ggmlkit.engine.sequence import Adapter
    from ggmlkit.engine.speculation.choice import Speculation
    from ggmlkit.io.base import ModelFile
    from ggmlkit.server.settings import EngineSettings, ModelSource, ServerSettings

# Bytes of 32 cached numbers.
_BYTES_OF_32: Final = {"f16": 64, "q8_0": 34, "q4_0": 18}
_CACHE_SHARE: Final = 4  # of the free memory, the part that a cache of no given size may take


class ServedModel(ChatModel, Closing):
    """A model in memory, and what answers its requests.

    Attributes:
        loaded_at: seconds since 1970.
    """

    def __init__(
        self,
        source: ModelSource,
        model: Model,
        adapter: Adapter | None,
        draft: Model | None,
        settings: EngineSettings,
        chat: ChatForm | None,
    ) -> None:
        super().__init__(source.name, model, adapter, chat)
        self.loaded_at = int(time.time())
        self._parallel, self._draft = settings.parallel, draft
        self._guesses: Speculation = draft or ("lookup" if settings.lookup else None)
        self.portions = Portions(lambda: self.running > 0)
        self._lock = threading.Lock()
        self._scheduler = self._new_scheduler()

    @property
    def scheduler(self) -> Scheduler:
        """What generates; another one after one that failed."""
        with self._lock:
            if not self._scheduler.is_working:
                self.model.check_open()
                self._scheduler = self._new_scheduler()
            return self._scheduler

    def _new_scheduler(self) -> Scheduler:
        return Scheduler(self.model, max_sequences=self._parallel, speculation=self._guesses)

    @property
    def running(self) -> int:
        """Answers that are generated now."""
        return self._scheduler.running

    def close(self) -> None:
        """End its answers, and free its memory. Twice is no error."""
        with self._lock:
            self._scheduler.close()
            self.model.close()
            self.model.file.close()
            if self._draft is not None:
                self._draft.close()

    def warm(self) -> None:
        """Make what the first request with a grammar, or with DRY, would wait for."""
        breaker_tokens(self.tokenizer, DRY_SEQUENCE_BREAKERS)
        if find_spec("llguidance") is not None:
            constraint_of(SamplingParams(regex="a"), self.tokenizer, self.model.config.vocab)

    def described(self) -> str:
        """What was loaded, in a line for people."""
        config, model = self.model.config, self.model
        is_small = model.cache_tokens < model.context
        return (
            f"{self.name}: {config.architecture}, {config.layers} layers, context of "
            f"{model.context} tokens, cache of {model.cache_tokens}"
            + (f" (so no request may have more than {self.most_tokens})" if is_small else "")
        )


def loaded(source: ModelSource, settings: ServerSettings, *, is_first: bool) -> ServedModel:
    """A model, read from its file; takes seconds.

    Args:
        is_first: of the models, which the adapters are for.

    Raises:
        FormatError: the file is damaged.
        ModelError: it is not a model that the decoder can run, or memory does not suffice.
        OSError: the file can't be read.
        ArgumentError: a setting is out of range.
    """
    engine = settings.engine
    file = open_file(source.path)
    try:
        model = _model(file, engine)
        adapter = draft = None
        if engine.lora and is_first:
            adapter = model.load_adapter([(Path(path), scale) for path, scale in engine.lora])
        if engine.draft is not None and is_first:
            draft = Model(engine.draft, context=engine.context, threads=engine.threads)
        with naming(file):
            chat = chat_form(model.tokenizer, settings.chat_template, settings.template_stops)
        return ServedModel(source, model, adapter, draft, engine, chat)
    except BaseException:
        file.close()
        raise


def _model(file: ModelFile, engine: EngineSettings) -> Model:
    tokens = engine.cache_tokens
    if tokens is None and engine.cache_bytes is None:
        metadata, tensors = gguf_view(file)
        with naming(file):
            tokens = _cache_tokens(from_gguf_keys(metadata, tensors), engine)
    return Model(
        file,
        context=engine.context,
        cache_tokens=tokens,
        cache_bytes=engine.cache_bytes,
        threads=engine.threads,
        kv_type=engine.kv_type,
        activation_bits=engine.activation_bits,
        repack=engine.repack,
        mlock=engine.mlock,
    )


def _cache_tokens(config: Hparams, engine: EngineSettings) -> int:
    """Tokens of the cache where nobody says how many: for every answer, or what memory allows."""
    context = engine.context or min(config.context, DEFAULT_CONTEXT)
    page = _core.KV_PAGE
    one = -(-context // page) * page
    free = available_bytes()
    if free is None:
        return one * engine.parallel
    types = KvTypes.named(engine.kv_type)
    bytes_of_32 = _BYTES_OF_32[types.keys] + _BYTES_OF_32[types.values]
    token = config.layers * config.kv_heads * config.head_dim * bytes_of_32 // 32
    most = free // _CACHE_SHARE // max(1, token) // page * page
    return max(one, min(one * engine.parallel, most))
