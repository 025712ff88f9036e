"""How a model writes conversations: its template, its thoughts, its calls of tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ggmlkit.text.named_templates import template_source
from ggmlkit.text.reasoning import Tags, reasoning_tags
from ggmlkit.text.tool_forms import FORMS, form_name

if TYPE_CHECKING:
    from ggmlkit.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ChatForm:
    """How a model's conversations are written.

    Attributes:
        template: jinja2.
        stops: texts that end an answer.
        takes_tools: the template has a place for tools.
        form: of the calls of tools, see :mod:`ggmlkit.text.tool_forms`.
        tags: around thoughts; None for a model without them.
        marks: texts of the control tokens that stand around calls and thoughts, by id: the text of
            an answer is without control tokens.
    """

    template: str
    stops: tuple[str, ...]
    takes_tools: bool
    form: str
    tags: Tags | None
    marks: Mapping[int, str]


def chat_form(
    tokenizer: Tokenizer, template: str | None, stops: tuple[str, ...] = ()
) -> ChatForm | None:
    """How a model's conversations are written; None without a template.

    Args:
        template: jinja2, or a name; None for the model's own.
        stops: texts that end an answer with this template.

    Raises:
        ArgumentError: no template has this name.
    """
    source = tokenizer.chat_template if template is None else template_source(template)
    if source is None:
        return None
    form, tags = form_name(source) or "json", reasoning_tags(source)
    texts = [*FORMS[form].starts, *FORMS[form].ends, *(tags or ())]
    marks = {
        id: text
        for text in texts
        if (id := tokenizer.token_id(text)) is not None and tokenizer.is_control(id)
    }
    return ChatForm(source, stops, "tools" in source, form, tags, marks)
