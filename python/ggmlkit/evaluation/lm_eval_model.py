"""ggmlkit as a model of lm-eval, EleutherAI's harness (extra ``eval``).

Importing this registers the model ``ggmlkit``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from ggmlkit.engine.llama import Llama
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.errors import ArgumentError
from ggmlkit.evaluation.continuations import Pair, continuations, pair_of, prefix_id
from ggmlkit.text.messages import chat_text

_MOST_TOKENS = 256  # that are generated, where a task does not say
# What a task asks of generation, by our names.
_SETTINGS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
    "seed": "seed",
}
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


@register_model("ggmlkit")
class GgmlkitLM(LM):  # type: ignore[misc]  # lm-eval has no types
    """A model file in this process.

    Args:
        model: the file; ``pretrained``, as other models call it, is the same.
        context: tokens of a text at most; ``max_length`` is the same.
        settings: more of :class:`ggmlkit.Model`, such as ``activation_bits`` or ``kv_type``. The
            batch size and the device that lm-eval gives to all models have no effect.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        pretrained: str | os.PathLike[str] | None = None,
        context: int | None = None,
        max_length: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        path = model if pretrained is None else pretrained
        if path is None:
            raise ArgumentError("name the model file: --model_args model=FILE")
        for name in ("batch_size", "max_batch_size", "device"):
            settings.pop(name, None)
        self._llama = Llama(
            path, context=max_length if context is None else context, sequences=4, **settings
        )
        self._is_chat = False

    @property
    def tokenizer_name(self) -> str:
        """What tells caches of requests apart."""
        return str(self._llama.model.file.path).replace(os.sep, "__")

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The file's template, if one is asked for."""
        if not chat_template:
            return None
        return self._llama.tokenizer.chat_template or ""

    def apply_chat_template(
        self, chat_history: Sequence[Mapping[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The text of a conversation, with the model's special tokens."""
        self._is_chat = True
        return chat_text(
            chat_history,
            self._llama.tokenizer,
            None,
            tools=None,
            add_generation_prompt=add_generation_prompt,
            variables={},
        )

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """For each request's context and continuation the log-probability, and whether greedy
        generation would give it."""
        pairs = [self._pair(*request.args) for request in requests]
        order = sorted(range(len(pairs)), key=lambda place: pairs[place].context)
        found: list[tuple[float, bool]] = [(0.0, True)] * len(pairs)
        answers = continuations(self._llama.model, [pairs[place] for place in order])
        for place, answer in zip(_shown(order, "loglikelihood"), answers, strict=True):
            found[place] = (answer.logprob, answer.is_greedy)
            self.cache_hook.add_partial("loglikelihood", requests[place].args, found[place])
        return found

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """For each request's text its log-probability, however long it is."""
        found = []
        for request in _shown(requests, "loglikelihood_rolling"):
            tokenizer = self._llama.tokenizer
            ids = tokenizer.encode(request.args[0], add_special=False)
            windows = rolling(ids, prefix_id(tokenizer), self._llama.context)
            total = sum(each.logprob for each in continuations(self._llama.model, windows))
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
            found.append(total)
        return found

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """What the model says after each request's context, before its stop texts."""
        prompts, params = [], []
        for request in requests:
            context, asked = request.args
            settings = _sampling(asked)
            prompts.append(self._fitting(self._encoded(context), settings.max_tokens or 1))
            params.append(settings)
        results = self._llama.generate_batch(prompts, params)
        texts = [result.text for result in results]
        for request, text in zip(requests, texts, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, text)
        return texts

    def _pair(self, context: str, continuation: str) -> Pair:
        if not self._is_chat:
            return pair_of(self._llama.tokenizer, context, continuation)
        before = self._encoded(context)
        after = self._llama.tokenizer.encode(continuation, add_special=False)
        return Pair(tuple(before), tuple(after))

    def _encoded(self, context: str) -> list[int]:
        tokenizer = self._llama.tokenizer
        if self._is_chat:
            return tokenizer.encode(context, add_special=False, parse_special=True)
        return tokenizer.encode(context) or [prefix_id(tokenizer)]

    def _fitting(self, ids: list[int], generated: int) -> list[int]:
        room = max(1, self._llama.context - generated)
        return ids[-room:]


def rolling(ids: Sequence[int], prefix: int, most: int) -> list[Pair]:
    """A text cut so that each token is predicted once, with as much before it as fits.

    Args:
        ids: of the text.
        prefix: the token that stands before it.
        most: tokens that fit a context.
    """
    pairs = []
    whole = [prefix, *ids]
    for begin in range(1, len(whole), most):
        end = min(begin + most, len(whole))
        start = max(0, end - most - 1)  # the last token needs no room
        pairs.append(Pair(tuple(whole[start:begin]), tuple(whole[begin:end])))
    return pairs


def _sampling(asked: Mapping[str, Any]) -> SamplingParams:
    """Settings for what a task asks of generation; greedy unless it wants to draw."""
    until = asked.get("until") or []
    length = next((asked[name] for name in _LENGTHS if name in asked), _MOST_TOKENS)
    settings = {ours: asked[theirs] for theirs, ours in _SETTINGS.items() if theirs in asked}
    if not asked.get("do_sample", settings.get("temperature", 0) > 0):
        settings["temperature"] = 0.0
    return SamplingParams(
        max_tokens=int(length), stop=[until] if isinstance(until, str) else list(until), **settings
    )


def _shown(values: Iterable[Any], title: str) -> Iterable[Any]:
    """The values, with the bar that lm-eval's own models show."""
    from tqdm import tqdm

    shown: Iterable[Any] = tqdm(values, desc=title)
    return shown
