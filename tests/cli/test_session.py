"""How commands reach the platform: a server that is named, the one that holds the data folder, or none at all."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from heliograph.cli import session
from heliograph.cli.client import Call, HttpTransport, NoAnswer, describe
from heliograph.ids import Secret
from heliograph.storage.lockfile import LockFile
from tests.cli.commands import Cli, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server import Server


# -- through a server -----------------------------------------------------------------------------------------------


def test_server_that_holds_the_data_folder_is_asked(server: Server, remote: Cli) -> None:
    sent = remote.json("events", "send", "--type", "door.opened")
    found = server.request("GET", f"/v1/events/{sent['id']}").json
    assert found["actor"]["keyUid"] in [key["uid"] for key in remote.lines("key", "list")]


def test_server_that_is_named_is_asked(server: Server, empty: Cli) -> None:
    assert empty.lines("tenant", "list", "--url", server.url, "--key", server.key)
    assert empty.lines("tenant", "list", url=server.url + "/", key=server.key)


def test_key_is_asked_for_when_a_server_has_the_folder(server: Server) -> None:
    without_key = Cli({"HELIOGRAPH_DATA": str(server.store.data)})
    message = f"The server that has the data folder open (process {server.pid}) wants a key"
    assert without_key.refused("tenant", "list") == f"{message}: give one by --key or HELIOGRAPH_KEY."


def test_key_is_asked_for_when_a_server_is_named(empty: Cli, server: Server) -> None:
    message = "The server wants a key: give one by --key or HELIOGRAPH_KEY."
    assert empty.refused("tenant", "list", "--url", server.url) == message


def test_wrong_key_is_refused_in_plain_words(remote: Cli) -> None:
    assert remote.refused("tenant", "list", "--key", "hg_wrong") == "The key is not valid."


def test_owner_key_is_not_made_while_a_server_has_the_folder(server: Server, remote: Cli) -> None:
    message = f"The data folder is in use by process {server.pid}. Stop it first."
    assert remote.refused("key", "create", "--owner") == message


@pytest.mark.parametrize("command", ["tenant list", "recipes import"])
def test_silent_address_is_told_in_plain_words(empty: Cli, tmp_path: Path, command: str) -> None:
    file = tmp_path / "devices.csv"
    file.write_text("brand,serial\nAcme,1\n")
    words = [*command.split(), str(file)] if "import" in command else command.split()
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        assert empty.refused(*words, "--url", url, "--key", "hg_x") == f"{url} does not answer: Connection refused."


@pytest.mark.parametrize("url", ["ftp://host", "localhost:8080", "http://", "nonsense"])
def test_address_that_is_none_is_wrong_usage(empty: Cli, url: str) -> None:
    result = empty.run("tenant", "list", "--url", url, "--key", "hg_x")
    assert result.exit_code == 2
    assert "is not an http:// or https:// address" in result.stderr


# -- a server that is not ours --------------------------------------------------------------------------------------


class Stranger(BaseHTTPRequestHandler):
    """Answers with whatever the path names, and leaves each connection after one answer without a word."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        body = {"/page": b"<html>", "/other": b'{"detail": "Not Found"}', "/list": b"[1]"}.get(self.path, b"{}")
        self.send_response(404 if self.path != "/ok" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    do_POST = do_GET

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[HttpTransport]:
    """A way to such a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Stranger.asked = 0
    transport = HttpTransport(f"http://127.0.0.1:{server.server_port}", Secret("hg_x"))
    yield transport
    transport.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_kept_connection_that_has_gone_is_opened_again_for_what_may_be_repeated(stranger: HttpTransport) -> None:
    for _ in range(3):
        assert stranger.send(Call("GET", "/ok", repeatable=True)).status == 200
    assert Stranger.asked == 3


def test_kept_connection_that_has_gone_fails_what_must_not_be_repeated(stranger: HttpTransport) -> None:
    stranger.send(Call("POST", "/ok", body=b"{}"))
    with pytest.raises(NoAnswer):
        stranger.send(Call("POST", "/ok", body=b"{}"))
    assert Stranger.asked == 1


def test_answer_that_is_no_json_is_told_from_a_refusal(stranger: HttpTransport) -> None:
    with pytest.raises(NoAnswer, match="not a heliograph server"):
        _ = stranger.send(Call("GET", "/page")).document
    for path in ("/list", "/else"):
        assert describe(stranger.send(Call("GET", path, repeatable=True)).document) == (
            "The server answered with an error that is no problem document."
        )
    assert describe(stranger.send(Call("GET", "/other", repeatable=True)).document) == "Not Found"


def test_problem_is_told_with_each_place_and_rule() -> None:
    faults = [
        {"pointer": "/type", "rule": "required", "message": "It is required."},
        {"pointer": "", "rule": "json", "message": "It is no JSON."},
    ]
    problem = {"detail": "Not valid.", "status": 400, "errors": faults, "requestId": "1"}
    assert describe(problem) == "Not valid.\n  /type: It is required. [required]\n  It is no JSON. [json]"
    problem |= {"detail": "It is required.", "errors": faults[:1]}
    assert describe(problem) == "/type: It is required. [required]"
    problem |= {"detail": "It failed.", "errors": [], "status": 500}
    assert describe(problem) == "It failed. (request 1)"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for this machine, with its private key, that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_server_behind_tls_is_asked_when_its_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}"
    try:
        with pytest.raises(NoAnswer, match="certificate verify failed"):
            HttpTransport(url, Secret("hg_x")).send(Call("GET", "/ok"))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        transport = HttpTransport(url, Secret("hg_x"))
        assert transport.send(Call("GET", "/ok")).status == 200
        transport.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# -- without a server -----------------------------------------------------------------------------------------------


def test_whoever_may_open_the_database_acts_as_its_owner(either_cli: Cli) -> None:
    sent = either_cli.json("events", "send", "--code", "10001")
    actor = either_cli.json("events", "get", sent["id"])["actor"]
    owner = either_cli.lines("account", "list", "--tenant", company_of(either_cli))[0]
    assert actor == {"kind": "account", "uid": owner["uid"], "accountId": owner["accountId"]}


def company_of(cli: Cli) -> str:
    """Return the root company."""
    return str(next(tenant["uid"] for tenant in cli.lines("tenant", "list") if tenant["kind"] == "company"))


def test_key_counts_without_a_server_too(cli: Cli) -> None:
    key = cli.json("key", "create", "reader", "--grant", "viewer")["token"]
    assert cli.lines("events", "list", "--key", key)
    message = cli.refused("events", "send", "--code", "1", "--key", key)
    assert message.startswith("This needs the permission 'create event.tenant' on tenant ")
    assert cli.refused("events", "list", "--key", "hg_wrong") == "The key is not valid."


def test_lost_owner_key_is_replaced(either_cli: Cli) -> None:
    key = either_cli.json("key", "create", "--owner")["token"]
    assert either_cli.lines("key", "list", "--key", key)
    assert either_cli.ok("key", "create", "--owner").startswith("key: hg_")
    assert either_cli.ok("key", "create", "--owner", "--seam").startswith("key: seam_hg_")


def test_folder_that_another_command_has_open_is_waited_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = LockFile(Path(cli.environment["HELIOGRAPH_DATA"], "heliograph.lock"))
    waited = []

    def release(seconds: float) -> None:
        waited.append(seconds)
        lock.release()

    monkeypatch.setattr("time.sleep", release)
    assert cli.lines("tenant", "list")
    assert len(waited) == 1


def test_folder_that_stays_held_is_refused_in_the_end(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE_SECONDS", 0.0)
    lock = LockFile(Path(cli.environment["HELIOGRAPH_DATA"], "heliograph.lock"))
    try:
        assert cli.refused("tenant", "list").startswith("The data folder is in use by process ")
    finally:
        lock.release()


# -- scripts and people ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["tenants"], ["tenant", "list", "--nonsense"], ["tenant", "rename"], ["events", "list", "--limit", "0"]]
)
def test_wrong_usage_has_an_exit_code_of_its_own(empty: Cli, words: list[str]) -> None:
    result = empty.run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_help_names_exit_codes_and_shell_completion(empty: Cli) -> None:
    text = " ".join(empty.ok("--help").split())
    assert "Exit codes: 0 it worked, 1 the platform refused, 2 the command was used wrongly." in text
    assert "heliograph --install-completion" in text


def test_shell_completes_commands() -> None:
    asking = {"_HELIOGRAPH_COMPLETE": "complete_bash", "COMP_WORDS": "heliograph ev", "COMP_CWORD": "1"}
    with Process(environment=asking) as shell:
        assert shell.end() == 0
        assert shell.stdout.split() == ["events"]
