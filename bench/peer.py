"""The usual design, measured beside us: FastAPI, pydantic, aiosqlite, a commit for every request."""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

_SCHEMA = """
create table if not exists event (
    seq integer primary key, id text unique, type text, code integer, criticality integer,
    target_type text, target_id text, recorded_at text, payload text
);
create index if not exists event_type on event (type, seq);
create index if not exists event_code on event (code, seq);
create index if not exists event_target on event (target_id, seq);
"""


class NewEvent(BaseModel):
    """The same event as ours."""

    type: str
    eventCode: int = Field(ge=0)
    criticality: int = Field(ge=0, le=5)
    targetEntityType: str
    targetEntityId: str
    payload: dict[str, Any]


def make_app(path: str) -> FastAPI:
    """Make the application over one database file."""
    connections: list[aiosqlite.Connection] = []

    @asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        database = await aiosqlite.connect(path)
        await database.executescript("pragma journal_mode=wal; pragma synchronous=full;" + _SCHEMA)
        connections.append(database)
        yield
        await database.close()

    app = FastAPI(lifespan=live)

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/events", status_code=201)
    async def create(event: NewEvent) -> dict[str, Any]:
        database = connections[0]
        event_id = str(uuid.uuid4())
        cursor = await database.execute(
            "insert into event (id, type, code, criticality, target_type, target_id, recorded_at, payload)"
            " values (?, ?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%fZ'), ?)",
            (event_id, event.type, event.eventCode, event.criticality, event.targetEntityType, event.targetEntityId,
             json.dumps(event.payload)),
        )  # fmt: skip
        await database.commit()
        return {"id": event_id, "seq": cursor.lastrowid}

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    uvicorn.run(make_app(arguments.path), port=arguments.port, access_log=False, log_level="warning")
