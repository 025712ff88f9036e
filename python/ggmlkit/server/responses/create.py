"""``POST /v1/responses``: makes a response."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.server.chat_jobs import conversation_job, tools_of
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.errors import bad_request
from ggmlkit.server.keys import owner_of
from ggmlkit.server.prompts import Conversation, Tools
from ggmlkit.server.responses.answers import Answer
from ggmlkit.server.responses.head import Head, head_of
from ggmlkit.server.responses.items import messages_of, plain_items
from ggmlkit.server.responses.keeping import Keeper, items_before
from ggmlkit.server.responses.shapes import AllowedTools, NamedTool, ResponseBody, ResponseShape
from ggmlkit.server.sampling_fields import settings_of
from ggmlkit.server.serving import Serving, serving_of
from ggmlkit.server.sse import EventStream, as_json
from ggmlkit.server.turns import joined

if TYPE_CHECKING:
    from ggmlkit.server.generating import Job
    from ggmlkit.server.loading import ServedModel

_LOGPROBS: Final = "message.output_text.logprobs"  # in `include`


@dataclass(frozen=True)
class _Prepared:
    """What a response takes.

    Attributes:
        job: what is to be generated.
        head: what the response says of the request.
        items: its input, as JSON.
    """

    job: Job
    head: Head
    items: str


async def create(request: Request) -> Response:
    """Make a response."""
    serving = serving_of(request)
    body = await serving.body(request, ResponseBody)
    owner = owner_of(request)
    before = await items_before(serving, body.previous_response_id, owner)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving.admitted(request, body.model))
        made = await serving.in_thread(
            partial(_prepared, serving, served, body, before, serving.client(request))
        )
        generation = await stack.enter_async_context(serving.generation(request, served, made.job))
        keeper = Keeper(serving, made.head.id, owner, body.previous_response_id, made.items)
        keep = None if body.store is False else keeper.keep
        answer = Answer(made.head, served, generation, keep, _wants_logprobs(body))
        if body.stream:
            return EventStream(answer.events(), stack.pop_all(), answer.failed)
        text = await unless_gone(request.receive, answer.whole())
        return Response(text.encode(), media_type="application/json")


def _prepared(
    serving: Serving,
    served: ServedModel,
    body: ResponseBody,
    before: list[dict[str, Any]],
    client: str,
) -> _Prepared:
    """What a body asks for, after the items before; takes a moment.

    Raises:
        RequestError: there is no input, a field has no meaning, or the template refuses the
            messages.
    """
    items = plain_items(body.input)
    if not items and not before:
        raise bad_request("there is no input", "input", "missing_required_parameter")
    messages = messages_of([*before, *items])
    if body.instructions:
        messages.insert(0, {"role": "system", "content": body.instructions})
    own = settings_of(body, served.tokenizer)
    if _wants_logprobs(body):
        own |= {"logprobs": True, "top_logprobs": body.top_logprobs or 0}
    asked = Conversation(joined(messages), _tools(body), _schema(body), _variables(body, serving))
    job = conversation_job(
        serving, served, asked, own, most_tokens=body.max_output_tokens, client=client
    )
    return _Prepared(job, head_of(body, served.name, job.params), as_json(items))


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


def _variables(body: ResponseBody, serving: Serving) -> dict[str, Any]:
    """For the chat template."""
    found = dict(serving.settings.template_variables)
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
