"""Lists and look-ups of access codes, as the routes of managed and of unmanaged ones share them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec

from heliograph.access_codes import actions
from heliograph.access_codes.model import AccessCode, CodeFilter
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.surroundings import CodeSurroundings, list_around
from heliograph.devices import actions as devices
from heliograph.dialects.seam.answers import done, missing, no_such
from heliograph.dialects.seam.code_bodies import CodeRenderer
from heliograph.dialects.seam.gathering import as_json, gather
from heliograph.dialects.seam.pages import Paged, uid_after, uid_page
from heliograph.dialects.seam.parameters import Id, Parameters, invalid_parameters
from heliograph.dialects.seam.workspace import scope_of
from heliograph.errors import Denied, Fault
from heliograph.http.access_codes import READ, READ_PIN
from heliograph.http.messages import Request, Response
from heliograph.tenancy.model import Scope

Search = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class CodeQuery(Parameters, frozen=True, kw_only=True):
    """Which code to show: by its id, or by its lock and its PIN."""

    access_code_id: Id | None = None
    device_id: Id | None = None
    code: str | None = None

    def __repr__(self) -> str:
        return "CodeQuery(...)"


class Codes:
    """The codes of a workspace as one caller sees them: with their PINs only where they may read these."""

    def __init__(self, request: Request, scope: Scope, *, shows_pins: bool) -> None:
        self._services = request.services
        self.scope = scope
        self._pins = Pins(request.services.sealer, scope)
        self._shows_pins = shows_pins

    async def list_page(self, request: Request, given: Paged, wanted: CodeFilter, limit: int) -> Response:
        """Answer with a page of the codes that pass a filter."""
        after = uid_after(request, self.scope, given)
        items, last = await self._gather(self._searching(wanted), after, limit)
        return uid_page(request, self.scope, given, "access_codes", items, last)

    async def show(self, wanted: CodeFilter) -> Response:
        """Answer with the first code that passes a filter.

        Raises:
            SeamError: when there is none.
        """
        items, _ = await self._gather(wanted, b"", 1)
        if not items:
            raise no_such("access_code")
        return done(access_code=items[0])

    async def require_lock(self, device_uid: bytes) -> None:
        """Make sure that the workspace has a device.

        Raises:
            SeamError: when it has not.
        """
        with missing("device"):
            device = await self._services.read(partial(devices.get, scope=self.scope, uid=device_uid))
        if device.state != "enrolled":
            raise no_such("device")

    async def uid_by_pin(self, device_uid: bytes, pin: str, *, managed: bool) -> bytes:
        """Return which code of a lock has a PIN.

        Raises:
            SeamError: when none has.
        """
        index = self._pins.index(device_uid, pin)
        step = partial(actions.find_by_pin, scope=self.scope, device_uid=device_uid, pin_index=index, managed=managed)
        with missing("access_code"):
            return (await self._services.read(step)).uid

    def _searching(self, wanted: CodeFilter) -> CodeFilter:
        """Let a search find whole PINs too, for those who may read them: others could guess them so."""
        if wanted.search is None or not self._shows_pins:
            return wanted
        indexes = tuple(self._pins.index(uid, wanted.search) for uid in wanted.device_uids)
        return msgspec.structs.replace(wanted, pin_indexes=indexes)

    async def _gather(self, wanted: CodeFilter, after: bytes, limit: int) -> tuple[list[msgspec.Raw], bytes | None]:
        step = partial(list_around, scope=self.scope, wanted=wanted)
        return await gather(self._services, step, self._render, after, limit)

    def _render(self, found: tuple[list[AccessCode], CodeSurroundings]) -> list[msgspec.Raw]:
        codes, beside = found
        render = CodeRenderer(self.scope.tenant_uid, beside, self._pin_of)
        return [as_json(render(code)) for code in codes]

    def _pin_of(self, uid: bytes, sealed: bytes | None) -> str | None:
        if not self._shows_pins:
            return None
        pin = self._pins.open(uid, sealed)
        return None if pin is None else pin.reveal()


async def codes_for(request: Request, permission: str = READ) -> Codes:
    """Return the codes that a request may read, or change.

    Raises:
        SeamError, Denied, Invalid: as `scope_of`.
    """
    scope = await scope_of(request, permission)
    try:
        await scope_of(request, READ_PIN)
    except Denied:
        return Codes(request, scope, shows_pins=False)
    return Codes(request, scope, shows_pins=True)


async def get_code(request: Request, given: CodeQuery, *, managed: bool) -> Response:
    """Answer with one code.

    Raises:
        SeamError: when there is no such code, or it is not of the kind that the route is about.
        Denied: when it is asked for by its PIN by somebody who may not read PINs.
        Invalid: when it is named in no way, or in two.
    """
    if given.access_code_id is None and (given.device_id is None or given.code is None):
        words = "Specify access_code_id, or device_id and code."
        raise invalid_parameters([Fault("/access_code_id", "required", words)])
    if given.access_code_id is not None and given.code is not None:
        words = "Specify either access_code_id or code."
        raise invalid_parameters([Fault("/code", "contradiction", words)])
    codes = await codes_for(request)
    uid: bytes | None = given.access_code_id
    if given.device_id is not None and given.code is not None:
        # Whoever could ask so without the right to see PINs would find them by trying.
        await scope_of(request, READ_PIN)
        await codes.require_lock(given.device_id)
        uid = await codes.uid_by_pin(given.device_id, given.code, managed=managed)
    assert uid is not None
    on = () if given.device_id is None else (given.device_id,)
    return await codes.show(CodeFilter(uids=(uid,), device_uids=on, managed=managed))
