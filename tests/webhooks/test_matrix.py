"""Every verifier, every family of headers, every situation: what was delivered is accepted, or cannot be for a reason.

Three things do not apply. A library reads the headers that it knows and no others: `standardwebhooks` those of Standard
Webhooks, the others `svix-*` too, none `X-SOS-*`, and the verifier of `X-SOS-*` no others. `X-SOS-*` has no asymmetric
signature. Seam's verifiers accept nothing but events of Seam's shape, so of the events of a tenant's own they see that
the signature is right, and then refuse the body.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.webhooks.scene import FAMILIES, LARGEST_PAYLOAD, SITUATIONS
from tests.webhooks.verifiers import NPM, VERIFIERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.webhooks.scene import Capture, Scene
    from tests.webhooks.verifiers import Verify

    Find = Callable[[str], Verify]

OTHER_SECRET = "whsec_" + "A" * 43 + "="
OTHER_PUBLIC = "whpk_O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="


def cells(*, applicable: bool) -> list[object]:
    """Return the cells of the matrix that apply, or those that do not."""
    return [
        pytest.param(name, family, situation, marks=[pytest.mark.node] if name in NPM else [])
        for name, family, situation in product(VERIFIERS, FAMILIES, SITUATIONS)
        if (family in VERIFIERS[name].families) is applicable
    ]


def keys_of(capture: Capture, name: str, family: str) -> tuple[str, ...]:
    """Return the keys with each of which a capture is to be accepted; of `X-SOS-*` that is the newest alone."""
    keys = capture.publics if VERIFIERS[name].public else capture.secrets
    return keys[:1] if family == "sos" else keys


@pytest.mark.parametrize(("name", "family", "situation"), cells(applicable=True))
def test_delivery_is_accepted(scene: Scene, verify_with: Find, name: str, family: str, situation: str) -> None:
    verify, captures = verify_with(name), scene.captures[situation, family]
    assert len(captures) == SITUATIONS[situation].requests
    assert {capture.has_seams_shape for capture in captures} == {True, False}
    for capture in captures:
        keys = keys_of(capture, name, family)
        assert len(keys) == (2 if situation == "overlap" and family != "sos" else 1)
        for key in keys:
            refusal = verify(capture, key)
            if VERIFIERS[name].events and not capture.has_seams_shape:
                assert refusal is not None
                assert refusal.startswith("SeamInvalidWebhookPayloadError: ")
            else:
                assert refusal is None


@pytest.mark.parametrize(("name", "family", "situation"), cells(applicable=True))
def test_delivery_that_was_touched_is_refused(
    scene: Scene, verify_with: Find, name: str, family: str, situation: str
) -> None:
    """Else what is accepted above might be anything."""
    verify, capture = verify_with(name), scene.captures[situation, family][0]
    (key, *_) = keys_of(capture, name, family)
    touched = replace(capture, body=capture.body + b" ")
    later = {head: str(int(value) + 1) for head, value in capture.headers.items() if head.endswith("-timestamp")}
    other = OTHER_PUBLIC if VERIFIERS[name].public else OTHER_SECRET
    for wrong, with_key in ((touched, key), (replace(capture, headers=capture.headers | later), key), (capture, other)):
        assert "o matching signature" in str(verify(wrong, with_key))


@pytest.mark.parametrize(("name", "family", "situation"), cells(applicable=False))
def test_cell_that_does_not_apply_is_for_want_of_headers_and_nothing_else(
    scene: Scene, verify_with: Find, name: str, family: str, situation: str
) -> None:
    for capture in scene.captures[situation, family]:
        (key, *_) = keys_of(capture, name, family)
        assert "Missing required headers" in str(verify_with(name)(capture, key))


def test_situations_are_what_they_are_called(scene: Scene) -> None:
    for family in FAMILIES:
        own = {name: one for name in SITUATIONS for one in scene.captures[name, family] if not one.has_seams_shape}
        assert own["one byte"].body == b"7"
        assert len(own["largest"].body) > LARGEST_PAYLOAD
        assert "門 😀 e\u0301 \u2028".encode() in own["unicode"].body
        shaped = {name: one for name in SITUATIONS for one in scene.captures[name, family] if one.has_seams_shape}
        assert len(shaped["largest"].body) > 100_000
        assert "門 😀 e\u0301 \u2028".encode() in shaped["unicode"].body
