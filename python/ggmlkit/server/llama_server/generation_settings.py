"""Settings of an answer under llama-server's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.engine.sampling_checks import strings

if TYPE_CHECKING:
    from ggmlkit.server.llama_server.shapes import AnswerFields

_RANDOM_SEED: Final = 2**32 - 1
_OFF: Final = -1  # of top_n_sigma
_ALIKE: Final = (
    "temperature", "dynatemp_range", "dynatemp_exponent", "top_k", "top_p", "min_p",
    "xtc_probability", "xtc_threshold", "typical_p", "repeat_last_n", "repeat_penalty",
    "presence_penalty", "frequency_penalty", "dry_multiplier", "dry_base", "dry_allowed_length",
    "dry_penalty_last_n", "mirostat", "mirostat_tau", "mirostat_eta", "ignore_eos", "min_keep",
)  # fmt: skip
_SAMPLER_NAMES: Final = {"typical_p": "typ_p"}


def sampling_settings(params: SamplingParams) -> dict[str, Any]:
    """How tokens are drawn, without anything that a client wrote as text."""
    most = -1 if params.max_tokens is None else params.max_tokens
    return {
        "seed": _RANDOM_SEED if params.seed is None else params.seed,
        **{name: getattr(params, name) for name in _ALIKE},
        "top_n_sigma": params.top_n_sigma or _OFF,
        "max_tokens": most,
        "n_predict": most,
        "n_keep": params.keep,
        "n_discard": 0,
        "n_probs": params.top_logprobs,
        "samplers": [_SAMPLER_NAMES.get(name, name) for name in params.samplers],
        "timings_per_token": False,
        "post_sampling_probs": False,
        "lora": [],
    }


def generation_settings(params: SamplingParams, body: AnswerFields) -> dict[str, Any]:
    """The settings of an answer to a body."""
    most = body.most_tokens
    asked = {} if most is None else {"max_tokens": most, "n_predict": most}
    biases: Mapping[int, float] = params.logit_bias
    schema = params.json_schema is not None
    return {
        **sampling_settings(params),
        **asked,
        "dry_sequence_breakers": list(
            strings(params.dry_sequence_breakers, "dry_sequence_breakers")
        ),
        "stop": list(strings(params.stop, "stop")),
        "stream": bool(body.stream),
        "logit_bias": [
            {"token": id, "bias": bias if bias > -1e38 else None} for id, bias in biases.items()
        ],
        "grammar": params.grammar or "",
        **({"json_schema": params.json_schema} if schema else {}),
        "timings_per_token": bool(body.timings_per_token),
        "lora": [{"id": each.id, "scale": each.scale} for each in body.lora or ()],
    }
