"""Prompts in the forms that llama-server takes: texts, token ids, both mixed, lists of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from ggmlkit.chat.errors import as_request_error, bad_request
from ggmlkit.chat.validation import Many
from ggmlkit.errors import GgmlkitError
from ggmlkit.server.llama_server.errors import TooLongError, unsupported

if TYPE_CHECKING:
    from ggmlkit.server.loading import ServedModel

MOST_PROMPTS: Final = 1024
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Mixed = str | Many[str | TokenId]


class PromptObject(BaseModel):
    """A prompt in an object."""

    model_config = ConfigDict(strict=True, extra="ignore")

    prompt_string: Mixed
    multimodal_data: list[Any] | None = None


OnePrompt = Mixed | PromptObject
Prompts = OnePrompt | Many[OnePrompt]


def each_prompt(given: Prompts, name: str) -> list[Mixed]:
    """Each prompt of a field with a name: a text, or a list of texts and token ids.

    As in llama-server, a list that has a token id is one prompt, other lists are several.
    """
    several = given if isinstance(given, list) and not any(map(_is_id, given)) else [given]
    found = [_mixed(each, name) for each in several]
    if not found or len(found) > MOST_PROMPTS:
        raise bad_request(f"{name} must have from 1 to {MOST_PROMPTS} prompts", name)
    return found


def _is_id(part: object) -> bool:
    return isinstance(part, int)


def _mixed(given: Any, name: str) -> Mixed:
    if not isinstance(given, PromptObject):
        found: Mixed = given
        return found
    if given.multimodal_data:
        raise unsupported(f"{name} has multimodal_data, but the model takes text alone")
    return given.prompt_string


def mixed_ids(
    served: ServedModel, given: Mixed, *, add_special: bool, parse_special: bool
) -> list[int]:
    """Token ids of texts and ids; what goes before a text goes before a text at the beginning."""
    parts = [given] if isinstance(given, str) else given
    ids: list[int] = []
    for place, part in enumerate(parts):
        if isinstance(part, int):
            ids.append(part)
        else:
            is_first = add_special and not place
            ids += served.tokenizer.encode(part, is_first, parse_special)
    return ids


def fitting_ids(served: ServedModel, given: Mixed, name: str) -> list[int]:
    """Token ids of a prompt that the model can take.

    Raises:
        RequestError: there are none, one is outside the vocabulary, or they do not fit the context.
    """
    ids = mixed_ids(served, given, add_special=True, parse_special=True)
    check_fits(served, ids, name)
    return ids


def check_fits(served: ServedModel, ids: list[int], name: str) -> None:
    """Raise RequestError unless the model can take some tokens."""
    if not ids:
        raise bad_request(f"{name} has no tokens", name)
    try:
        served.model.ids(ids)
    except GgmlkitError as error:
        raise as_request_error(error, served.path, served.name) from None
    if len(ids) > served.most_tokens:
        raise TooLongError(len(ids), served.most_tokens, name)
