"""Conversations of a batch: prompts by the chat template, and what the answers consist of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ggmlkit.arguments import shown
from ggmlkit.engine.model import Model
from ggmlkit.engine.result import GenerationResult
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.engine.sampling_checks import strings
from ggmlkit.errors import ArgumentError, ArgumentTypeError
from ggmlkit.text.marked_text import marked_text
from ggmlkit.text.messages import RESERVED_VARIABLES
from ggmlkit.text.named_templates import NamedTemplate
from ggmlkit.text.reasoning import Tags, is_thinking, reasoning_tags, split_reasoning
from ggmlkit.text.tool_calls import ToolCall, parse_tool_calls
from ggmlkit.text.tool_forms import FORMS, form_name

_LAST_TOKENS = 16  # of a prompt, which hold the mark of begun thoughts


@dataclass(frozen=True)
class AnswerParts:
    """What an answer consists of.

    Attributes:
        content: what is said to the user.
        reasoning: thoughts before it; None without.
        calls: of tools; empty unless there are tools.
    """

    content: str
    reasoning: str | None = None
    calls: list[ToolCall] = field(default_factory=list)

    def calls_as_json(self, id_prefix: str) -> list[dict[str, Any]]:
        """The calls as OpenAI's API has them; ``id_prefix`` begins the ids that are missing."""
        return [
            {
                "id": call.id or f"{id_prefix}_{place}",
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for place, call in enumerate(self.calls)
        ]


@dataclass(frozen=True)
class ChatPrompt:
    """The prompt of a conversation, and how its answers are taken apart.

    Attributes:
        ids: token ids.
        model: that answers.
        tags: around thoughts; None without.
        is_thinking: the prompt ends within thoughts.
        form: of the calls of tools; None without tools.
    """

    ids: list[int]
    model: Model
    tags: Tags | None
    is_thinking: bool
    form: str | None

    def parts(self, result: GenerationResult, params: SamplingParams) -> AnswerParts:
        """What an answer to it consists of.

        One that the params keep to a form is content as a whole.
        """
        if params.wanted_grammar() is not None:
            return AnswerParts(result.text)
        tokenizer = self.model.tokenizer
        marks = [*(self.tags or ())]
        if self.form is not None:
            marks += [*FORMS[self.form].starts, *FORMS[self.form].ends]
        ids = [token.id for token in result.tokens if token.id not in tokenizer.eog_ids]
        content = marked_text(result.text, ids, tokenizer, marks)
        reasoning = None
        if self.tags is not None:
            split = split_reasoning(content, thinking=self.is_thinking, tags=self.tags)
            reasoning = split.reasoning.strip("\n") or None
            # Line breaks only set the two apart.
            content = split.content.lstrip("\n") if split.content != content else content
        if self.form is None:
            return AnswerParts(content, reasoning)
        found = parse_tool_calls(content, self.form)
        return AnswerParts(found.content, reasoning, found.calls)


class Conversations:
    """Makes prompts of conversations.

    Args:
        model: that answers.
        template: the chat template; None for the file's own.
        variables: more for the template, for all conversations.

    Attributes:
        stop: texts by which the model begins the next turn itself.
    """

    def __init__(
        self, model: Model, template: NamedTemplate | None, variables: Mapping[str, Any]
    ) -> None:
        self._model, self._variables = model, variables
        self._template = None if template is None else template.source
        self.stop = () if template is None else template.stop

    def params(self, params: SamplingParams) -> SamplingParams:
        """The params of a conversation: its answers end before the next turn."""
        if not self.stop:
            return params
        return replace(params, stop=(*strings(params.stop, "stop"), *self.stop))

    @property
    def source(self) -> str:
        """The template in jinja2; empty where there is none."""
        own = self._model.tokenizer.chat_template
        return (own if self._template is None else self._template) or ""

    def prompt(
        self,
        messages: Any,
        tools: Any,
        variables: Any,
    ) -> ChatPrompt:
        """The prompt of a conversation, as JSON has it.

        Args:
            messages: as for :meth:`ggmlkit.Model.chat_prompt`.
            tools: likewise; None for none.
            variables: more for the template, a mapping; None for none.

        Raises:
            ArgumentError: as :meth:`ggmlkit.Model.chat_prompt`.
            ModelError: likewise.
        """
        if variables is None:
            variables = {}
        if not isinstance(variables, dict):
            raise ArgumentTypeError(
                f"chat_template_kwargs must be an object, not {shown(variables)}"
            )
        for name in (*RESERVED_VARIABLES, "tools"):
            if name in variables:
                raise ArgumentError(f"chat_template_kwargs can't set {name!r}")
        ids = self._model.chat_prompt(
            messages, template=self._template, tools=tools, **{**self._variables, **variables}
        )
        source = self.source
        tags = reasoning_tags(source)
        end = self._model.tokenizer.decode(ids[-_LAST_TOKENS:], special=True)
        return ChatPrompt(
            ids,
            self._model,
            tags,
            tags is not None and is_thinking(end, tags),
            (form_name(source) or "hermes") if tools else None,
        )
