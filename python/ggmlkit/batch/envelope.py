"""What is around the requests and answers of OpenAI's batch API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ggmlkit.chat.errors import RequestError, openai_shape

ID_PREFIX = "batch_req_"


def is_openai(line: Mapping[str, Any]) -> bool:
    """Whether a line is in OpenAI's form."""
    return "custom_id" in line or ("body" in line and "url" in line)


def openai_line(
    fingerprint: str, custom_id: object, status: int, body: Mapping[str, Any]
) -> dict[str, Any]:
    """A line of output: the response to a request.

    Args:
        fingerprint: of the line of input.
        status: of HTTP.
        body: of the response.
    """
    response = {"status_code": status, "request_id": f"req_{fingerprint}", "body": body}
    id = f"{ID_PREFIX}{fingerprint}"
    return {"id": id, "custom_id": custom_id, "response": response, "error": None}


def openai_failure(fingerprint: str, custom_id: object, error: RequestError) -> dict[str, Any]:
    """The line of output of a request that can't be answered."""
    return openai_line(fingerprint, custom_id, error.status, openai_shape(error))
