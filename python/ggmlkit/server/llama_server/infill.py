"""``/infill``: the text between two others, as code models were trained to write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.llama_server.completion import answered
from ggmlkit.server.llama_server.errors import LlamaError, unsupported
from ggmlkit.server.llama_server.mixed_prompts import check_fits, mixed_ids
from ggmlkit.server.llama_server.shapes import InfillBody, NativeCompletions
from ggmlkit.server.serving import serving_of

if TYPE_CHECKING:
    from ggmlkit.server.loading import ServedModel

_NEEDED: Final = {"fim_pre": "prefix", "fim_suf": "suffix", "fim_mid": "middle"}
_MARKS: Final = 4  # tokens: three for the gap, and one that begins all texts
_MOST_AROUND: Final = 2048  # tokens of both texts, of which the one before has three quarters
# What llama-server writes where nobody says which project and files these are.
_PROJECT: Final = "myproject"
_THIS_FILE: Final = "filename"
_OTHER_FILE: Final = "tmp"
_BETWEEN_FILES: Final = "\n\n--- snippet ---\n\n"


async def infill(request: Request) -> Response:
    """Fill the gap between two texts."""
    body = await serving_of(request).body(request, InfillBody)

    def ids(served: ServedModel) -> list[list[int]]:
        return [infill_ids(served, body)]

    return await answered(request, body, 1, ids)


def infill_ids(served: ServedModel, body: InfillBody) -> list[int]:
    """The prompt of a gap: other files, what is before it, what is after it.

    Of texts that are too long, what is near the gap stays. The beginning of the text in the gap
    follows what is before it.

    Raises:
        RequestError: the vocabulary has no tokens for gaps (501), or the prompt does not fit.
    """
    fim = served.tokenizer.fim_ids
    if missing := [name for key, name in _NEEDED.items() if key not in fim]:
        raise unsupported(
            f"the model {served.name!r} can't fill gaps: its vocabulary has no "
            f"{' or '.join(missing)} token; serve a code model that has them"
        )
    begun = served.tokenizer.encode(body.prompt or "", False, True)
    most = served.most_tokens
    asked = most // 4 if body.most_tokens is None else body.most_tokens
    room = most - min(asked, most // 2)
    quarter = min(_MOST_AROUND, room - _MARKS) // 4
    before = mixed_ids(served, body.input_prefix, add_special=False, parse_special=False)
    after = mixed_ids(served, body.input_suffix, add_special=False, parse_special=False)
    before = before[max(0, len(before) - 3 * quarter) :]
    after = after[: max(0, quarter - 2 - len(begun))]
    gap = [fim["fim_pre"], *before, *begun, fim["fim_suf"], *after, fim["fim_mid"]]
    first = served.tokenizer.bos_id if served.tokenizer.add_bos else None
    beginning = [] if first is None else [first]
    others = _other_files(served, body)
    others = others[max(0, len(others) - max(0, room - len(gap) - len(beginning))) :]
    ids = [*beginning, *others, *gap]
    check_fits(served, ids, "the text around the gap")
    return ids


def _other_files(served: ServedModel, body: InfillBody) -> list[int]:
    """Tokens of the texts that help, the last of which is nearest to the gap."""
    fim, ids = served.tokenizer.fim_ids, []

    def encoded(text: str) -> list[int]:
        return served.tokenizer.encode(text, add_special=False)

    if "fim_rep" in fim:
        ids += [fim["fim_rep"], *encoded(f"{_PROJECT}\n")]
    for file in body.input_extra or ():
        if "fim_sep" in fim:
            ids += [fim["fim_sep"], *encoded(f"{file.filename or _OTHER_FILE}\n")]
        else:
            ids += encoded(_BETWEEN_FILES)
        ids += encoded(file.text)
    if "fim_sep" in fim:
        ids += [fim["fim_sep"], *encoded(f"{_THIS_FILE}\n")]
    return ids


ENDPOINTS = (
    Endpoint(
        "POST",
        "/infill",
        infill,
        "Fill the gap between two texts.",
        InfillBody,
        NativeCompletions,
        LlamaError,
        streams=True,
    ),
)
