"""`/v1/provisioning-recipes/import`: a file of recipes, kept as it comes in and imported by a job."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

import msgspec

from heliograph.errors import Denied, Invalid, UnsupportedMediaType
from heliograph.http.jobs import body_of
from heliograph.http.lists import TenantQuery
from heliograph.http.messages import Request, Response
from heliograph.http.services import request_identity
from heliograph.ids import new_uid
from heliograph.jobs import actions as jobs
from heliograph.provisioning.columns import Format, Layout, Options, read_mapping
from heliograph.provisioning.importing import CREATE, IMPORT, PART_BYTES, UPDATE, seal_part
from heliograph.provisioning.importrows import CONFIRM, OnExisting, Order
from heliograph.provisioning.spreadsheet import HEAD_BYTES, sniff
from heliograph.publish import once
from heliograph.storage.engine import Transaction
from heliograph.tenancy.access import require_organization
from heliograph.tenancy.model import Scope

FORMATS: dict[str, Format | None] = {
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/octet-stream": None,
}
"""Content types, and what they say about the file; the last leaves it to its first bytes."""

_encode = msgspec.json.Encoder().encode


class ImportQuery(TenantQuery, frozen=True, kw_only=True, rename="camel"):
    """How to read the file and what to do with its rows.

    `map` is repeated: `Column:field`, `Column:-` to ignore it. `dryRun` changes nothing and reports the same.
    `keepInvalid` keeps rows with faults as Invalid recipes, which wait only when each faulty field was set or given up.
    `existing` says what a row does to a recipe that is there already and differs.
    """

    dry_run: bool = False
    keep_invalid: bool = False
    existing: OnExisting = "keep"
    format: Format | None = None
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=10)] | None = None
    map: tuple[Annotated[str, msgspec.Meta(max_length=500)], ...] = ()


class _File:
    """The file while it comes in: kept part by part, and known by its digest."""

    def __init__(self, request: Request, scope: Scope, options: Options) -> None:
        self._request = request
        self._scope = scope
        self._options = options
        self._digest = hashlib.sha256()
        self._part = 0
        self.uid = new_uid()
        self.size = 0
        self.layout: Layout | None = None

    @property
    def digest(self) -> bytes:
        """The SHA-256 of all that came."""
        return self._digest.digest()

    async def receive(self, chunks: AsyncIterator[bytes]) -> Layout:
        """Keep all that comes, and find out how it is to be read as soon as enough is there.

        Raises:
            Invalid: when it has no header by which devices could be told apart.
        """
        waiting = bytearray()
        async for chunk in chunks:
            self._digest.update(chunk)
            self.size += len(chunk)
            waiting += chunk
            while len(waiting) >= PART_BYTES:
                await self._keep(bytes(waiting[:PART_BYTES]))
                del waiting[:PART_BYTES]
        if waiting or self.layout is None:
            await self._keep(bytes(waiting))
        assert self.layout is not None
        return self.layout

    async def _keep(self, part: bytes) -> None:
        if self.layout is None:
            self.layout = sniff(part[:HEAD_BYTES], self._options)
        sealed = seal_part(self._request.services.sealer, self.uid, self._part, part)
        step = partial(jobs.put_input, scope=self._scope, job_uid=self.uid, part=self._part, content=sealed)
        await self._request.services.write(step, [self._scope.tenant_id])
        self._part += 1

    async def drop(self) -> None:
        """Forget what was kept; what this leaves behind in an emergency is removed within a day."""
        # A request that is cut off while its job is being begun must not take the file from the job.
        step = partial(jobs.abandon_input, scope=self._scope, job_uid=self.uid)
        while await self._request.services.write(step, [self._scope.tenant_id]):
            pass


async def import_recipes(request: Request) -> Response:
    """Take a file of recipes and begin the job that imports it."""
    given = request.query(ImportQuery)
    services = request.services
    scope = await services.scope(request.known, CREATE, given.tenant_uid)
    require_organization(scope)
    if given.existing == "update":
        await services.scope(request.known, UPDATE, given.tenant_uid)
    options = Options(format=_format(request, given), delimiter=given.delimiter, mapping=read_mapping(given.map))
    file = _File(request, scope, options)
    try:
        layout = await file.receive(request.chunks(services.settings.import_bytes))
        order = Order(
            layout=layout, size=file.size, dry_run=given.dry_run, keep_invalid=given.keep_invalid,
            existing=given.existing, may_confirm=await _may_confirm(request, given.tenant_uid),
        )  # fmt: skip
        # What tells a repeat from another request is the body; here its digest stands for it.
        request.body = file.digest
        identity = request_identity(request)
        begin = partial(_begin, scope=scope, order=order, uid=file.uid)
        step = partial(once, scope=scope, identity=identity, act=begin)
        fresh, body = await services.write(step, [scope.tenant_id])
    except BaseException:
        await file.drop()
        raise
    if fresh:
        services.runner.notice()
    else:
        await file.drop()
    return Response(202, body)


def _begin(tx: Transaction, scope: Scope, order: Order, uid: bytes) -> tuple[bytes, bytes]:
    job = jobs.start(tx, scope, IMPORT, msgspec.to_builtins(order), total=order.size, uid=uid)
    body = _encode(body_of(job))
    return body, body


async def _may_confirm(request: Request, tenant_uid: str | None) -> bool:
    try:
        await request.services.scope(request.known, CONFIRM, tenant_uid)
    except Denied:
        return False
    return True


def _format(request: Request, given: ImportQuery) -> Format | None:
    if request.content_type not in FORMATS:
        words = f"Send the file as one of {', '.join(FORMATS)}."
        raise UnsupportedMediaType.at("header/content-type", "media-type", words)
    said = FORMATS[request.content_type]
    if given.format is not None and said is not None and given.format != said:
        words = f"The content type says {said}, the parameter {given.format}."
        raise Invalid.at("query/format", "contradiction", words)
    return given.format or said
