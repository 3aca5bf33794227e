"""Lists and look-ups of access codes, as the routes of managed and of unmanaged ones share them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec

from heliograph.access_codes import surroundings
from heliograph.access_codes.model import CodeFilter
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.surroundings import Found
from heliograph.dialects.seam.answers import done, missing
from heliograph.dialects.seam.code_bodies import CodeRenderer
from heliograph.dialects.seam.gathering import as_json, gather
from heliograph.dialects.seam.pages import Paged, uid_after, uid_page
from heliograph.dialects.seam.parameters import Id, Parameters, invalid_parameters, read_parameters
from heliograph.dialects.seam.workspace import scope_of
from heliograph.errors import Denied, Fault
from heliograph.http.access_codes import READ, READ_PIN
from heliograph.http.messages import Request, Response
from heliograph.tenancy.model import Scope

LARGEST_LIMIT = 300_000
"""Codes of one page, three times as many as a lock can report."""

Limit = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_LIMIT)]
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
        self.scope = scope
        self.pins = Pins(request.services.sealer, scope)
        self._request = request
        self._shows_pins = shows_pins

    async def list_page(self, given: Paged, wanted: CodeFilter, limit: int) -> Response:
        """Answer with a page of the codes that pass a filter.

        Raises:
            SeamError: when there is no such device as one that the filter names.
        """
        after = uid_after(self._request, self.scope, given)
        step = partial(surroundings.list_around, scope=self.scope, wanted=self._searching(wanted))
        with missing("device"):
            items, last = await gather(self._request.services, step, self.render, after, limit)
        return uid_page(self._request, self.scope, given, "access_codes", items, last)

    def render(self, found: Found) -> list[msgspec.Raw]:
        """Render codes."""
        codes, beside = found
        render = CodeRenderer(self.scope.tenant_uid, beside, self._pin_of)
        return [as_json(render(code)) for code in codes]

    def _searching(self, wanted: CodeFilter) -> CodeFilter:
        """Let a search find whole PINs too, for those who may read them: others could guess them so."""
        if wanted.search is None or not self._shows_pins:
            return wanted
        indexes = tuple(self.pins.index(uid, wanted.search) for uid in wanted.device_uids)
        return msgspec.structs.replace(wanted, pin_indexes=indexes)

    def _pin_of(self, uid: bytes, sealed: bytes | None) -> str | None:
        if not self._shows_pins:
            return None
        pin = self.pins.open(uid, sealed)
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


async def get_code(request: Request, *, managed: bool) -> Response:
    """Answer with one code.

    Raises:
        SeamError: when there is no such code, or it is not of the kind that the route is about.
        Denied: when it is asked for by its PIN by somebody who may not read PINs.
        Invalid: when it is named in no way, or in two.
    """
    codes = await codes_for(request)
    given = read_parameters(request, CodeQuery)
    if given.access_code_id is not None:
        if given.code is not None:
            words = "Specify either access_code_id or code."
            raise invalid_parameters([Fault("/code", "contradiction", words)])
        step = partial(surroundings.show, uid=given.access_code_id, device_uid=given.device_id)
    elif given.device_id is not None and given.code is not None:
        # Whoever could ask so without the right to see PINs would find them by trying.
        await scope_of(request, READ_PIN)
        index = codes.pins.index(given.device_id, given.code)
        step = partial(surroundings.show_with_pin, device_uid=given.device_id, pin_index=index)
    else:
        words = "Specify access_code_id, or device_id and code."
        raise invalid_parameters([Fault("/access_code_id", "required", words)])
    with missing("access_code"):
        found = await request.services.read(partial(step, scope=codes.scope, managed=managed))
    return done(access_code=codes.render(found)[0])
