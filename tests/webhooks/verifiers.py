"""What receivers verify deliveries with: libraries here and in processes of their own, and what takes ten lines."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import standardwebhooks
import svix
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.server import ROOT

if TYPE_CHECKING:
    from tests.webhooks.scene import Capture

NODE = Path(__file__).parent / "node"

Verify = Callable[["Capture", str], str | None]
"""Returns why a delivery is refused, None when it is accepted; the text is the secret or public key to verify with."""


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """One of them: `families` are the headers that it knows. `public` says that it verifies with the public key, and
    `events` that it accepts nothing but events of Seam's shape."""

    start: Callable[[], AbstractContextManager[Verify]]
    families: tuple[str, ...] = ("webhook", "both")
    public: bool = False
    events: bool = False


BOTH = ("webhook", "svix", "both")


def _standardwebhooks(capture: Capture, secret: str) -> str | None:
    return _told(lambda: standardwebhooks.Webhook(secret).verify(capture.body, dict(capture.headers)))


def _svix(capture: Capture, secret: str) -> str | None:
    return _told(lambda: svix.Webhook(secret).verify(capture.body, dict(capture.headers)))


def _told(verify: Callable[[], object]) -> str | None:
    try:
        verify()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _ed25519(capture: Capture, public: str) -> str | None:
    """As Standard Webhooks describes `v1a`: a public key over id, time and body, with dots between them."""
    headers = capture.headers
    prefix = "webhook" if "webhook-id" in headers else "svix"
    if f"{prefix}-id" not in headers:
        return "Missing required headers"
    content = f"{headers[f'{prefix}-id']}.{headers[f'{prefix}-timestamp']}.".encode() + capture.body
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    for entry in headers[f"{prefix}-signature"].split(" "):
        version, signature = entry.split(",")
        if version == "v1a":
            try:
                key.verify(base64.b64decode(signature), content)
            except InvalidSignature:
                continue
            return None
    return "No matching signature"


def _sos(capture: Capture, secret: str) -> str | None:
    """As signageOS describes its distributor: method, address, time and body, with nothing between them."""
    timestamp, signature = (capture.headers.get(f"x-sos-{name}") for name in ("timestamp", "signature"))
    if timestamp is None or signature is None:
        return "Missing required headers"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"POST{capture.url}{timestamp}".encode() + capture.body
    expected = "v1=" + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return None if hmac.compare_digest(signature, expected) else "No matching signature"


@contextmanager
def _process(*command: str, folder: Path) -> Iterator[Verify]:
    """Yield what asks a process."""
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    wishes, answers = process.stdin, process.stdout

    def verify(capture: Capture, secret: str) -> str | None:
        body = base64.b64encode(capture.body).decode()
        wishes.write(json.dumps({"secret": secret, "headers": dict(capture.headers), "body": body}) + "\n")
        wishes.flush()
        line = answers.readline()
        assert line, f"{command} has ended with {process.wait()}."
        refusal: str | None = json.loads(line)
        return refusal

    try:
        yield verify
    finally:
        process.communicate()


def _seam() -> AbstractContextManager[Verify]:
    home = ROOT / ".venv-seam-3"
    assert (home / ".sdk").exists(), f"{home} is missing; `make setup` installs it."
    return _process(str(home / "bin" / "python"), str(Path(__file__).parent / "verify.py"), folder=ROOT)


def _npm(package: str) -> Callable[[], AbstractContextManager[Verify]]:
    def start() -> AbstractContextManager[Verify]:
        assert (NODE / "node_modules" / package).exists(), f"{package} is missing; `make setup` installs it."
        return _process("node", "verify.js", package, folder=NODE)

    return start


PYTHON: Mapping[str, Verifier] = {
    "standardwebhooks": Verifier(start=lambda: nullcontext(_standardwebhooks)),
    "svix": Verifier(start=lambda: nullcontext(_svix), families=BOTH),
    "seam": Verifier(start=_seam, families=BOTH, events=True),
    "v1a by cryptography": Verifier(start=lambda: nullcontext(_ed25519), families=BOTH, public=True),
    "x-sos by hand": Verifier(start=lambda: nullcontext(_sos), families=("sos",)),
}
NPM: Mapping[str, Verifier] = {
    "npm standardwebhooks": Verifier(start=_npm("standardwebhooks")),
    "npm svix": Verifier(start=_npm("svix"), families=BOTH),
    "npm @seamapi/webhook": Verifier(start=_npm("@seamapi/webhook"), families=BOTH, events=True),
}
VERIFIERS = {**PYTHON, **NPM}
