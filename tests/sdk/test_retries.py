"""An SDK whose answer got lost asks again; what was done already must not look like a failure then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sdk.lossy import LossyWay

if TYPE_CHECKING:
    from tests.sdk.sdks import Sdk
    from tests.sdk.site import Site

DELETE_UNMANAGED = "DELETE /seam/access_codes/unmanaged/delete"
DELETE = "DELETE /seam/access_codes/delete"
