"""Bodies of completions as llama-server takes them, and its answers; other fields are ignored."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, RootModel

from ggmlkit.chat.sampling_fields import SamplingFields
from ggmlkit.chat.validation import Many
from ggmlkit.server.llama_server.mixed_prompts import Mixed, Prompts

MOST_CHOICES: Final = 128
MOST_PROBABILITIES: Final = 128
_MOST_FIELDS: Final = 256
_LONGEST_FIELD: Final = 256
_LONGEST_NAME: Final = 4096
_Milliseconds = Annotated[int, Field(lt=2**31)]


class LoraScale(BaseModel):
    """How much of an adapter is added."""

    model_config = ConfigDict(strict=True, extra="ignore")

    id: int
    scale: float


class AnswerFields(SamplingFields):
    """What completions and infills have in common."""

    model: str | None = Field(None, max_length=1000)
    stream: bool | None = None
    n_predict: int | None = Field(None, ge=-1, lt=2**31)
    max_tokens: int | None = Field(None, ge=-1, lt=2**31)
    n_cmpl: int | None = Field(None, ge=1, le=MOST_CHOICES)
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    n_probs: int | None = Field(None, ge=0, le=MOST_PROBABILITIES)
    post_sampling_probs: bool | None = None
    n_indent: int | None = Field(None, ge=0, lt=2**31)
    t_max_predict_ms: _Milliseconds | None = None
    return_tokens: bool | None = None
    timings_per_token: bool | None = None
    response_fields: Many[Annotated[str, Field(max_length=_LONGEST_FIELD)]] | None = Field(
        None, max_length=_MOST_FIELDS
    )
    id_slot: int | None = Field(None, description="Accepted; every answer finds what is cached.")
    lora: list[LoraScale] | None = Field(None, max_length=64)

    @property
    def most_tokens(self) -> int | None:
        """Of the answer; None for any number."""
        asked = self.max_tokens if self.n_predict is None else self.n_predict
        return None if asked == -1 else asked

    @property
    def choices(self) -> int:
        """Answers to each prompt."""
        return self.n_cmpl or self.n or 1


class NativeCompletionBody(AnswerFields):
    """A request for the continuation of prompts."""

    prompt: Prompts


class ExtraFile(BaseModel):
    """A text that helps to fill a gap."""

    model_config = ConfigDict(strict=True, extra="ignore")

    text: str
    filename: str | None = Field(None, max_length=_LONGEST_NAME)


class InfillBody(AnswerFields):
    """A request for the text between two others."""

    input_prefix: Mixed
    input_suffix: Mixed
    input_extra: list[ExtraFile] | None = Field(None, max_length=1024)
    prompt: str | None = Field(None, description="The beginning of the text in between.")


class NativeCompletion(BaseModel):
    """A continuation; with ``response_fields``, only those fields."""

    model_config = ConfigDict(extra="allow")

    index: int | None = None
    content: str | None = None
    tokens: list[int] | None = None
    id_slot: int | None = None
    stop: bool | None = None
    model: str | None = None
    tokens_predicted: int | None = None
    tokens_evaluated: int | None = None
    tokens_cached: int | None = None
    generation_settings: dict[str, Any] | None = None
    prompt: str | None = None
    has_new_line: bool | None = None
    truncated: bool | None = None
    stop_type: str | None = None
    stopping_word: str | None = None
    timings: dict[str, float] | None = None
    completion_probabilities: list[dict[str, Any]] | None = None


class NativeCompletions(RootModel[NativeCompletion | list[NativeCompletion]]):
    """A continuation, or those of several prompts."""
