"""Fields of requests that say how tokens are drawn: OpenAI's, and llama-server's beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.validation import Many
from ggmlkit.engine.sampler_names import LLAMA_CPP_NAMES, SAMPLERS
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.errors import ArgumentError

if TYPE_CHECKING:
    from ggmlkit.text.tokenizer import Tokenizer

MOST_STOPS: Final = 64
_LONGEST_STOPS: Final = 4096  # characters, of all together
_MOST_BIASES: Final = 4096
_MOST_LOGPROBS: Final = 20
_LEAST_SHARE: Final = 1e-6  # of top_p, for which 0 takes the likeliest token alone
# Letters by which llama.cpp names samplers.
_LETTERS: Final = {
    "d": "dry", "e": "penalties", "k": "top_k", "m": "min_p", "p": "top_p", "s": "top_n_sigma",
    "t": "temperature", "x": "xtc", "y": "typical_p",
}  # fmt: skip


def _few(value: object) -> object:
    """The value, unless it is a mapping with more than are looked at."""
    if isinstance(value, dict) and len(value) > _MOST_BIASES:
        raise ValueError(f"may have {_MOST_BIASES} tokens")
    return value


_Biases = Annotated[dict[str, float | bool], BeforeValidator(_few)]


class SamplingFields(BaseModel):
    """How tokens are drawn. A field that is missing or null leaves the server's own value."""

    model_config = ConfigDict(strict=True, extra="ignore")

    temperature: float | None = Field(None, ge=0, le=1e6)
    top_p: float | None = Field(None, ge=0, le=1)
    frequency_penalty: float | None = Field(None, ge=-100, le=100)
    presence_penalty: float | None = Field(None, ge=-100, le=100)
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    stop: str | Many[str] | None = None
    logit_bias: _Biases | Many[Many[int | str | float | bool]] | None = None
    top_k: int | None = None
    min_p: float | None = Field(None, ge=0, le=1)
    typical_p: float | None = Field(None, ge=0, le=1)
    top_n_sigma: float | None = None
    min_keep: int | None = Field(None, ge=0)
    repeat_penalty: float | None = Field(None, gt=0)
    repeat_last_n: int | None = Field(None, ge=-1)
    dry_multiplier: float | None = Field(None, ge=0)
    dry_base: float | None = None
    dry_allowed_length: int | None = Field(None, ge=0)
    dry_penalty_last_n: int | None = Field(None, ge=-1)
    dry_sequence_breakers: Many[str] | None = Field(None, max_length=MOST_STOPS)
    xtc_probability: float | None = Field(None, ge=0, le=1)
    xtc_threshold: float | None = Field(None, ge=0, le=1)
    mirostat: int | None = Field(None, ge=0, le=2)
    mirostat_tau: float | None = Field(None, gt=0)
    mirostat_eta: float | None = Field(None, gt=0)
    dynatemp_range: float | None = Field(None, ge=0)
    dynatemp_exponent: float | None = Field(None, ge=0)
    samplers: str | Many[str] | None = Field(None, max_length=64)
    ignore_eos: bool | None = None
    grammar: str | None = None
    json_schema: dict[str, Any] | str | None = None
    regex: str | None = None
    n_probs: int | None = Field(None, ge=0, le=_MOST_LOGPROBS)
    context_shift: bool | None = Field(
        None, description="Go on where the context is full, without the older half of the text."
    )
    n_keep: int | None = Field(
        None, ge=-1, lt=2**31, description="Tokens of the prompt that stay then; -1: all."
    )
    cache_prompt: bool | None = Field(
        None, description="With false, the prompt is computed even where the cache knows it."
    )

    @property
    def uses_cache(self) -> bool:
        """Whether the prompt is taken from the cache, as far as it is there."""
        return self.cache_prompt is not False


def _same(value: Any) -> Any:
    return value


def _from_0(value: float) -> float:
    """llama.cpp's -1 is "off" for settings that 0 turns off here."""
    return max(type(value)(0), value)


# The fields whose value goes to the setting of the same name, and what becomes of it.
_FIELDS: Final[dict[str, Callable[[Any], Any]]] = {
    "temperature": _same,
    "top_p": lambda value: max(_LEAST_SHARE, value),
    "frequency_penalty": _same,
    "presence_penalty": _same,
    "seed": lambda value: None if value == -1 else value,
    "top_k": _from_0,
    "min_p": _same,
    "typical_p": lambda value: max(_LEAST_SHARE, value),
    "top_n_sigma": _from_0,
    "min_keep": _same,
    "repeat_penalty": _same,
    "repeat_last_n": _same,
    "dry_multiplier": _same,
    "dry_base": lambda value: max(1.0, value),
    "dry_allowed_length": _same,
    "dry_penalty_last_n": _same,
    "dry_sequence_breakers": _same,
    "xtc_probability": _same,
    "xtc_threshold": lambda value: max(_LEAST_SHARE, value),
    "mirostat": _same,
    "mirostat_tau": _same,
    "mirostat_eta": _same,
    "dynatemp_range": _same,
    "dynatemp_exponent": _same,
    "ignore_eos": bool,
    "context_shift": _same,
    "grammar": lambda value: value or None,
    "json_schema": _same,
    "regex": _same,
}


def settings_of(fields: SamplingFields, tokenizer: Tokenizer) -> dict[str, Any]:
    """The settings that a request's fields say, for :func:`sampling_params`.

    Raises:
        RequestError: there are too many stop strings or biases, or one has no meaning.
    """
    found = {
        name: convert(value)
        for name, convert in _FIELDS.items()
        if (value := getattr(fields, name)) is not None
    }
    if fields.stop is not None:
        found["stop"] = stops_of(fields.stop)
    if fields.logit_bias:
        found["logit_bias"] = logit_biases(fields.logit_bias, tokenizer)
    if fields.n_keep is not None:
        found["keep"] = fields.n_keep
    if fields.samplers is not None:
        found["samplers"] = samplers_of(fields.samplers)
    if fields.n_probs:
        found |= {"logprobs": True, "top_logprobs": fields.n_probs}
    return found


def sampling_params(settings: Mapping[str, Any]) -> SamplingParams:
    """The params of some settings.

    Raises:
        RequestError: one is out of range; it names the field.
    """
    try:
        return SamplingParams(**settings)
    except ArgumentError as error:
        name = str(error).partition(" ")[0].rstrip(":")
        raise bad_request(str(error), name if name in settings else None) from None


def stops_of(stop: str | Iterable[str] | None, name: str = "stop") -> tuple[str, ...]:
    """The strings that an answer ends before; empty ones are left out.

    Args:
        name: of the field, for errors.
    """
    given = (stop,) if isinstance(stop, str) else tuple(stop or ())
    found = tuple(text for text in given if text)
    if len(found) > MOST_STOPS or sum(map(len, found)) > _LONGEST_STOPS:
        raise bad_request(
            f"{name} may have {MOST_STOPS} strings, of {_LONGEST_STOPS} characters together", name
        )
    return found


def logit_biases(given: Mapping[str, Any] | list[Any], tokenizer: Tokenizer) -> dict[int, float]:
    """What is added to the logits of tokens, by id.

    Args:
        given: by id, ``{"15": -100}``; or llama-server's pairs, ``[[15, -1.5], ["text", false]]``,
            where a text stands for each of its tokens, and false for "never".
    """
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    if len(pairs) > _MOST_BIASES:
        raise bad_request(f"logit_bias may have {_MOST_BIASES} tokens", "logit_bias")
    found: dict[int, float] = {}
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise bad_request("logit_bias must be pairs of a token and a number", "logit_bias")
        for id in _biased_ids(pair[0], tokenizer):
            found[id] = _bias(pair[1])
        if len(found) > _MOST_BIASES:
            raise bad_request(f"logit_bias may have {_MOST_BIASES} tokens", "logit_bias")
    return found


def _biased_ids(token: Any, tokenizer: Tokenizer) -> list[int]:
    if isinstance(token, str) and not (token.isascii() and token.isdecimal()):
        return tokenizer.encode(token, add_special=False)
    if isinstance(token, str) and len(token) < 10:
        token = int(token)
    if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < 2**31:
        raise bad_request("a token of logit_bias must be an id or a text", "logit_bias")
    return [token]


def _bias(value: Any) -> float:
    if value is False:
        return -inf
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e9:
        raise bad_request("a bias of logit_bias must be a number, or false", "logit_bias")
    return float(value)


def samplers_of(given: str | list[str]) -> list[str]:
    """Names of samplers in their order, of llama-server's names or letters.

    As llama-server does, it leaves out those that it doesn't know, and those named before.
    """
    names = [_LETTERS.get(letter, "") for letter in given] if isinstance(given, str) else given
    known = [LLAMA_CPP_NAMES.get(name, name) for name in names]
    return list(dict.fromkeys(name for name in known if name in SAMPLERS))
