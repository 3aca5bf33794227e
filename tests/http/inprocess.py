"""The platform in this process: the ASGI application on a loop of its own, called as a server would call it.

Every answer is held against what the API promises of all of them (see `promises`), whatever a test wants of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote

from heliograph.app import Platform
from heliograph.ids import Secret
from heliograph.settings import Settings
from tests.http.promises import check_promises

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, MutableMapping, Sequence

    from heliograph.http.edge import Edge
    from heliograph.storage.engine import Transaction
    from tests.conftest import StoreUrl

    Message = MutableMapping[str, Any]

T = TypeVar("T")

MASTER_KEY = "5d" * 32
SAFETY_SECONDS = 30.0
"""A request that takes this long has failed."""

SINCE = "from=2020-01-01T00:00:00Z"
"""The query that lists a whole log."""


class Answer(NamedTuple):
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def faults(self) -> list[tuple[str, str]]:
        """Return place and rule of each fault that a problem document names."""
        return [(fault["pointer"], fault["rule"]) for fault in self.json()["errors"]]


class Raw(NamedTuple):
    """One response as its ASGI messages."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def settings_for(store_url: StoreUrl, **changed: Any) -> Settings:
    """Return settings for tests: no syncing to disk, and no limit that a test does not ask for."""
    values: dict[str, Any] = {"synchronous": "NORMAL", "readers": 2, "wrong_keys_per_minute": 1_000_000}
    if store_url.database_url is not None:
        values |= {"database_url": Secret(store_url.database_url), "master_key": Secret(MASTER_KEY)}
    return Settings(data=store_url.data, **(values | changed))


class Api:
    """A running platform and what a test does with it; `root` is the key of the first start, an owner of all."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.platform: Platform
        self.edge: Edge
        self._names = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        """Open the platform; an empty database gets its first company, organization and key."""
        self.platform = Platform(self.settings)
        self.edge = self.platform.edge()
        self._thread.start()
        try:
            self._live("startup")
            first = self.platform.first_start
            assert first is not None
            self.root = first.token.reveal()
            self.main = first.organization.uid.hex()
            self.company = self.get(f"/v1/tenants/{self.main}", self.root).json()["parentUid"]
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """Close the platform and end its loop."""
        try:
            self._live("shutdown")
        finally:
            self._end()

    def _live(self, step: str) -> None:
        """Let the application live through one step of a server's life."""
        said: list[Message] = []

        async def receive() -> Message:
            if said:
                raise EOFError("no further step")
            return {"type": f"lifespan.{step}"}

        async def send(message: Message) -> None:
            said.append(message)

        with contextlib.suppress(EOFError):
            self._on_loop(self.edge({"type": "lifespan"}, receive, send))
        assert said == [{"type": f"lifespan.{step}.complete"}]

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SAFETY_SECONDS)

    def _end(self) -> None:
        self.platform.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- requests ---------------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        target: str,
        key: str | None = None,
        body: bytes | Sequence[bytes] = b"",
        headers: Sequence[tuple[str, str]] = (),
        client: str = "127.0.0.1",
    ) -> Answer:
        """Send a request and wait for its answer; `body` in several parts comes without a length."""
        return self._on_loop(self.call(method, target, key, body, headers, client))

    async def call(
        self,
        method: str,
        target: str,
        key: str | None = None,
        body: bytes | Sequence[bytes] = b"",
        headers: Sequence[tuple[str, str]] = (),
        client: str = "127.0.0.1",
    ) -> Answer:
        """Send a request from the platform's own loop, and check the promises of every answer."""
        sent = [(b"host", b"localhost"), *((name.lower().encode(), value.encode("latin-1")) for name, value in headers)]
        if key is not None:
            sent.append((b"authorization", f"Bearer {key}".encode()))
        if isinstance(body, bytes) and body:
            sent.append((b"content-length", str(len(body)).encode()))
        raw = await self._call(method, target, sent, [body] if isinstance(body, bytes) else [*body], client)
        names = [name for name, _ in raw.headers]
        assert len(set(names)) == len(names), "a header was sent twice"
        found = {name.decode(): value.decode("latin-1") for name, value in raw.headers}
        check_promises(method, target, raw.status, found, raw.body)
        return Answer(raw.status, found, raw.body)

    async def _call(
        self, method: str, target: str, headers: list[tuple[bytes, bytes]], parts: list[bytes], client: str
    ) -> Raw:
        path, _, query = target.partition("?")
        scope = {
            "type": "http", "method": method, "path": unquote(path), "raw_path": path.encode(),
            "query_string": query.encode(), "headers": headers, "client": (client, 1), "http_version": "1.1",
            "scheme": "http", "server": ("127.0.0.1", 80), "root_path": "",
        }  # fmt: skip
        waiting = list(reversed(parts))
        said: list[Message] = []

        async def receive() -> Message:
            if not waiting:
                return {"type": "http.disconnect"}
            part = waiting.pop()
            return {"type": "http.request", "body": part, "more_body": bool(waiting)}

        async def send(message: Message) -> None:
            said.append(message)

        await self.edge(scope, receive, send)
        start, *bodies = said
        return Raw(start["status"], list(start["headers"]), b"".join(message["body"] for message in bodies))

    def get(self, target: str, key: str | None = None, **more: Any) -> Answer:
        return self.request("GET", target, key, **more)

    def delete(self, target: str, key: str | None = None, **more: Any) -> Answer:
        return self.request("DELETE", target, key, **more)

    def send(self, method: str, target: str, key: str | None, value: Any, **more: Any) -> Answer:
        """Send a value as JSON."""
        headers = [("content-type", "application/json"), *more.pop("headers", ())]
        return self.request(method, target, key, json.dumps(value).encode(), headers, **more)

    def post(self, target: str, key: str | None, value: Any, **more: Any) -> Answer:
        return self.send("POST", target, key, value, **more)

    def patch(self, target: str, key: str | None, value: Any, **more: Any) -> Answer:
        return self.send("PATCH", target, key, value, **more)

    # -- tenants, accounts, keys ------------------------------------------------------------------------------------

    def short_name(self) -> str:
        """Return a short name that no tenant has yet."""
        return f"tenant-{next(self._names)}"

    def tenant(self, parent: str | None = None, kind: str = "organization") -> str:
        """Add a tenant, by default an organization of the first company, and return its uid."""
        short_name = self.short_name()
        body = {"kind": kind, "name": short_name, "shortName": short_name}
        return str(self.made(f"/v1/tenants?tenantUid={parent or self.company}", body)["uid"])

    def account(self, tenant: str, *grants: str, on: str | None = None) -> str:
        """Add an account at home in `tenant`, with grants there or on the tenant `on`; return its uid."""
        body = {"name": "somebody", "grants": [{"grant": grant, "tenantUid": on or tenant} for grant in grants]}
        return str(self.made(f"/v1/accounts?tenantUid={tenant}", body)["uid"])

    def key(self, tenant: str, *grants: str, on: str | None = None) -> str:
        """Make a key at home in `tenant` for an account that holds just the same grants; return its token."""
        account = self.account(tenant, *grants, on=on)
        return str(self.key_for(account, tenant, *grants, on=on)["token"])

    def key_for(self, account: str, tenant: str, *grants: str, on: str | None = None) -> Any:
        """Make a key at home in `tenant` for an account; return all that is answered."""
        wishes = [{"grant": grant, "tenantUid": on or tenant} for grant in grants]
        return self.made(f"/v1/keys?tenantUid={tenant}", {"name": "some key", "accountUid": account, "grants": wishes})

    def made(self, target: str, body: Any, key: str | None = None) -> Any:
        """Send what must be answered 201, by default as an owner of all; return the body."""
        answer = self.post(target, key or self.root, body)
        assert answer.status == 201, answer
        return answer.json()

    # -- the log ----------------------------------------------------------------------------------------------------

    def head(self, tenant: str) -> int:
        """Return how many events the tenant's log holds, internal ones included."""

        def read(tx: Transaction) -> int:
            row = tx.one(
                "select next_seq from head h join tenant t on t.id = h.tenant_id where t.uid = :uid",
                uid=bytes.fromhex(tenant),
            )
            assert row is not None
            return int(row[0])

        return self.platform.store.read(read)

    def log(self, tenant: str, query: str = "") -> list[Any]:
        """Return the records of a tenant's log, oldest first."""
        events: list[Any] = []
        cursor = ""
        while True:
            target = f"/v1/events?tenantUid={tenant}&{SINCE}&order=asc&limit=1000{query}{cursor}"
            answer = self.get(target, self.root).json()
            events += answer["data"]
            # Ascending, without an end, the cursor never runs out.
            if not answer["data"]:
                return events
            cursor = f"&cursor={answer['nextCursor']}"

    def run(self, function: Callable[[Transaction], Any]) -> Any:
        """Run a function in a transaction of the platform's own."""
        return self.platform.store.execute(function)
