"""``POST /v1/responses``: makes a response."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.jobs import Job, Terms, conversation_job, tools_of
from ggmlkit.chat.json_text import as_json
from ggmlkit.chat.prompts import Conversation, Tools
from ggmlkit.chat.sampling_fields import settings_of
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.keys import owner_of
from ggmlkit.server.responses.answers import Answer
from ggmlkit.server.responses.head import head_of
from ggmlkit.server.responses.items import messages_of, plain_items
from ggmlkit.server.responses.keeping import Keeper, items_before
from ggmlkit.server.responses.shapes import AllowedTools, NamedTool, ResponseBody, ResponseShape
from ggmlkit.server.serving import serving_of
from ggmlkit.server.sse import EventStream
from ggmlkit.server.turns import joined

if TYPE_CHECKING:
    from ggmlkit.chat.jobs import Job
    from ggmlkit.server.loading import ServedModel

_LOGPROBS: Final = "message.output_text.logprobs"  # in `include`


async def create(request: Request) -> Response:
    """Make a response."""
    serving = serving_of(request)
    body = await serving.body(request, ResponseBody)
    owner = owner_of(request)
    before = await items_before(serving, body.previous_response_id, owner)
    items = await serving.in_thread(partial(plain_items, body.input))
    if not items and not before:
        raise bad_request("there is no input", "input", "missing_required_parameter")
    async with AsyncExitStack() as stack:
        job_of = partial(_job, body=body, items=[*before, *items])
        generation = await stack.enter_async_context(
            serving.generation(request, body.model, job_of)
        )
        params = generation.job.params
        head = await serving.in_thread(partial(head_of, body, generation.model, params))
        text = await serving.in_thread(partial(as_json, items))
        keeper = Keeper(serving, head.id, owner, body.previous_response_id, text)
        keep = None if body.store is False else keeper.keep
        answer = Answer(head, generation.served, generation, keep, _wants_logprobs(body))
        if body.stream:
            return EventStream(answer.events(), stack.pop_all(), answer.failed)
        text = await unless_gone(request.receive, answer.whole())
        return Response(text.encode(), media_type="application/json")


def _job(terms: Terms, served: ServedModel, body: ResponseBody, items: list[dict[str, Any]]) -> Job:
    """What is to be generated after some items; takes a moment.

    Raises:
        RequestError: a field has no meaning, or the template refuses the messages.
    """
    messages = messages_of(items)
    if body.instructions:
        messages.insert(0, {"role": "system", "content": body.instructions})
    own = settings_of(body, served.tokenizer)
    if _wants_logprobs(body):
        own |= {"logprobs": True, "top_logprobs": body.top_logprobs or 0}
    variables = _variables(body, terms.variables)
    asked = Conversation(joined(messages), _tools(body), _schema(body), variables)
    return conversation_job(
        terms, served, asked, own, most_tokens=body.max_output_tokens, uses_cache=body.uses_cache
    )


def _tools(body: ResponseBody) -> Tools:
    described: list[dict[str, Any]] = []
    for tool in body.tools or ():
        function = tool.model_dump(exclude_none=True, exclude={"type", "strict"})
        described.append({"type": "function", "function": function})
    asked = body.tool_choice
    choice = "auto"
    if isinstance(asked, NamedTool):
        choice = asked.name
    elif isinstance(asked, AllowedTools):
        names = {tool.name for tool in asked.tools}
        described = [each for each in described if each["function"]["name"] in names]
        choice = asked.mode
    elif asked is not None:
        choice = asked
    return tools_of(described, choice, parallel=body.parallel_tool_calls is not False)


def _schema(body: ResponseBody) -> Mapping[str, Any] | None:
    """JSON Schema of the answer."""
    wanted = body.text.format if body.text else None
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object"}
    if wanted.schema_ is None:
        raise bad_request("text.format wants a JSON schema, but has none", "text.format.schema")
    return wanted.schema_


def _variables(body: ResponseBody, common: Mapping[str, Any]) -> dict[str, Any]:
    """For the chat template."""
    found = dict(common)
    effort = body.reasoning and body.reasoning.effort
    if effort:
        found |= {"enable_thinking": effort != "none", "reasoning_effort": effort}
    return found


def _wants_logprobs(body: ResponseBody) -> bool:
    return bool(body.top_logprobs) or _LOGPROBS in (body.include or ())


ENDPOINTS = tuple(
    Endpoint(
        "POST",
        path,
        create,
        "Make a response, as OpenAI's API does.",
        ResponseBody,
        ResponseShape,
        streams=True,
    )
    for path in ("/v1/responses", "/responses")  # the latter is llama-server's too
)
