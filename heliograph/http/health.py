"""Is the process alive, is it ready, what does it count, and what does its API look like."""

from __future__ import annotations

from typing import Literal

import msgspec

from heliograph import __version__
from heliograph.errors import Unavailable
from heliograph.eventlog.upkeep import TOLERATED_LAG, clock_lag
from heliograph.http.messages import Request, Response, json_response
from heliograph.http.metrics import CONTENT_TYPE, exposition


class HealthBody(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]
    version: str


class ReadyBody(msgspec.Struct, frozen=True, rename="camel"):
    """Whether requests can be served, and what an operator should look at."""

    status: Literal["ready", "unavailable"]
    warnings: list[str]
    index_lag_events: int
    writes_waiting: int


async def health(request: Request) -> Response:
    """Tell that the process is alive, without asking the database."""
    del request
    return json_response(200, HealthBody("ok", __version__))


async def ready(request: Request) -> Response:
    """Tell whether the database answers, and what deserves attention."""
    store, follower = request.services.store, request.services.follower
    warnings = []
    try:
        behind = await request.services.read(clock_lag)
    except Unavailable as error:
        return json_response(503, ReadyBody("unavailable", [error.detail], follower.lag, store.waiting))
    if store.clock.ignored_jump:
        warnings.append(
            f"The clock jumped forward by {store.clock.ignored_jump // 1_000_000} s and is not followed;"
            " if it is right, send the process SIGHUP or start it again."
        )
    if behind > TOLERATED_LAG:
        warnings.append(f"The clock is {behind // 1_000_000} s behind the newest event; times go on rising from there.")
    return json_response(200, ReadyBody("ready", warnings, follower.lag, store.waiting))


async def metrics(request: Request) -> Response:
    """Count in the text format of Prometheus."""
    services = request.services
    text = exposition(services.metrics, services.store, services.follower, services.deliveries)
    return Response(200, text, CONTENT_TYPE)
