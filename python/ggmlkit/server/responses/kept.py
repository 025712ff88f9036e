"""``/v1/responses/{id}``: responses that are kept."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.validation import validated
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.keys import owner_of
from ggmlkit.server.responses.keeping import found, input_in, missing, response_in
from ggmlkit.server.responses.shapes import Deleted, ItemList, ItemsQuery, ResponseShape
from ggmlkit.server.serving import serving_of
from ggmlkit.server.sse import json_response

_PATH = "/v1/responses/{response_id}"


async def response(request: Request) -> Response:
    """Give a response again."""
    if request.query_params.get("stream", "").lower() == "true":
        raise bad_request("a kept response can't be streamed again", "stream")
    record = await found(serving_of(request), request.path_params["response_id"], owner_of(request))
    return Response(response_in(record), media_type="application/json")


async def delete(request: Request) -> Response:
    """Forget a response."""
    id = request.path_params["response_id"]
    if not await serving_of(request).responses.delete(id, owner_of(request)):
        raise missing(id)
    return json_response({"id": id, "object": "response", "deleted": True})


async def input_items(request: Request) -> Response:
    """List the input of a response, some items at a time."""
    query = validated(ItemsQuery, dict(request.query_params))
    serving = serving_of(request)
    record = await found(serving, request.path_params["response_id"], owner_of(request))
    items = await input_in(serving, record)
    if query.order == "desc":
        items.reverse()
    if query.after is not None:
        place = next((at for at, each in enumerate(items) if each["id"] == query.after), None)
        if place is None:
            raise bad_request("the response has no item with this id", "after")
        items = items[place + 1 :]
    page = items[: query.limit]
    return json_response(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(items) > len(page),
        }
    )


ENDPOINTS = (
    Endpoint("GET", _PATH, response, "Give a response that is kept.", answer=ResponseShape),
    Endpoint("DELETE", _PATH, delete, "Forget a response.", answer=Deleted),
    Endpoint(
        "GET",
        f"{_PATH}/input_items",
        input_items,
        "List the items that a response was made of.",
        answer=ItemList,
        query=ItemsQuery,
    ),
)
