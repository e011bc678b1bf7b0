"""One control route: a JSON object in (or the query), JSON out, in a thread of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Body = dict[str, Any]


def control_route(name: str, handler: Callable[[Body], Any], method: str) -> Route:
    """``/control/<name>``; what the handler raises as a mistake of the caller is answered with 400."""

    async def answer(request: Request) -> Response:
        text = await request.body()
        try:
            body = {**request.query_params, **json.loads(text or b"{}")}
            return JSONResponse(await anyio.to_thread.run_sync(handler, body))
        except (ValueError, KeyError) as error:
            return JSONResponse({"message": f"control/{name}: {error}"}, status_code=400)

    return Route(f"/control/{name}", answer, methods=[method])
