"""`heliograph recipes`, `devices` and `jobs`: a spreadsheet becomes recipes, and every row is accounted for."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import StoreUrl
from tests.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.commands import Cli

HEADER = "Vendor,S/N,MAC,Name\n"
GOOD = HEADER + "Samsung,1,02:00:00:00:00:01,Lobby\nLG,2,,\n"
MIXED = HEADER + "Samsung,1,,Lobby\nSamsung,2,zz,Hall\nSamsung,,,Yard\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test writes the file that it imports."""
    return tmp_path / "devices.csv"


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[Server]:
    """A server that takes files of one megabyte at most."""
    server = Server.start(StoreUrl(None, tmp_path / "data"), import_bytes=1024 * 1024)
    yield server
    server.stop()


def outcomes(cli: Cli, file: Path, *words: str) -> dict[str, int]:
    """Import a file, whatever becomes of its rows, and return how many came to what."""
    job = json.loads(cli.run("recipes", "import", str(file), *words, "--json").stdout)
    assert job["state"] == "succeeded", job["error"]
    found: dict[str, int] = job["result"]["outcomes"]
    return found


def names(cli: Cli) -> list[Any]:
    """Return the device names of all recipes, in the order in which they were made."""
    return [recipe["deviceName"] for recipe in cli.lines("recipes", "list")]


# -- import ---------------------------------------------------------------------------------------------------------


def test_spreadsheet_becomes_recipes_and_again_changes_nothing(either_cli: Cli, file: Path) -> None:
    file.write_text(GOOD)
    assert either_cli.ok("recipes", "import", str(file)).split() == ["outcome", "rows", "created", "2"]
    assert either_cli.ok("recipes", "import", str(file)).split() == ["outcome", "rows", "unchanged", "2"]
    assert names(either_cli) == ["Lobby", None]
    assert [job["state"] for job in either_cli.lines("jobs", "list")] == ["succeeded", "succeeded"]


def test_dry_run_tells_what_would_happen_and_changes_nothing(either_cli: Cli, file: Path) -> None:
    file.write_text(MIXED)
    assert outcomes(either_cli, file, "--dry-run") == {"created": 1, "rejected": 2}
    assert names(either_cli) == []
    assert outcomes(either_cli, file) == {"created": 1, "rejected": 2}


def test_rows_that_failed_are_told_and_written_to_the_report(cli: Cli, file: Path, tmp_path: Path) -> None:
    file.write_text(MIXED)
    report = tmp_path / "failed.csv"
    result = cli.run("recipes", "import", str(file), "--report", str(report))
    assert result.exit_code == 1
    assert "row 2 (line 3): /macAddress: 'zz'" in result.stderr
    assert "row 3 (line 4): A serial number or a MAC address is required. [identifier-required]" in result.stderr
    with report.open(newline="") as rows:
        assert [row[:6] for row in csv.reader(rows)] == [
            ["Vendor", "S/N", "MAC", "Name", "heliograph_row", "heliograph_outcome"],
            ["Samsung", "2", "zz", "Hall", "2", "rejected"],
            ["Samsung", "", "", "Yard", "3", "rejected"],
        ]


def test_report_is_corrected_and_sent_again(cli: Cli, file: Path, tmp_path: Path) -> None:
    file.write_text(HEADER + "Samsung,=1+1,zz,-Hall\n")
    report = tmp_path / "failed.csv"
    cli.run("recipes", "import", str(file), "--report", str(report))
    assert "'=1+1" in report.read_text()
    report.write_text(report.read_text().replace("zz", "02:00:00:00:00:02", 1))
    assert outcomes(cli, report) == {"created": 1}
    (recipe,) = cli.lines("recipes", "list")
    assert (recipe["serialNumber"], recipe["deviceName"]) == ("=1+1", "-Hall")


def test_report_may_take_the_place_of_the_file_that_was_sent(cli: Cli, file: Path) -> None:
    file.write_text(MIXED)
    assert outcomes(cli, file, "--report", str(file)) == {"created": 1, "rejected": 2}
    file.write_text(file.read_text().replace("zz", "02:00:00:00:00:02", 1))
    assert outcomes(cli, file, "--report", str(file)) == {"created": 1, "rejected": 1}
    with file.open(newline="") as rows:
        assert [row["Name"] for row in csv.DictReader(rows)] == ["Yard"]
    assert [path.name for path in file.parent.glob("devices*")] == [file.name]


@pytest.mark.parametrize("content", ["Samsung,1\n", GOOD], ids=["refused", "all good"])
def test_report_is_left_alone_when_no_row_failed(cli: Cli, file: Path, content: str) -> None:
    file.write_text(content)
    cli.run("recipes", "import", str(file), "--report", str(file))
    assert file.read_text() == content
    assert [path.name for path in file.parent.glob("devices*")] == [file.name]


def test_report_of_a_dry_run_does_not_take_the_place_of_the_file(cli: Cli, file: Path) -> None:
    file.write_text(MIXED)
    assert cli.run("recipes", "import", str(file), "--dry-run", "--report", str(file)).exit_code == 2
    assert file.read_text() == MIXED


def test_report_of_an_import_that_broke_off_does_not_take_the_place_of_the_file(cli: Cli, file: Path) -> None:
    content = MIXED + ('"' + "x" * 66_000 + "\n") * 101
    file.write_text(content)
    result = cli.run("recipes", "import", str(file), "--report", str(file))
    assert result.exit_code == 1
    assert "was left as it was: heliograph jobs rows" in result.stderr
    assert file.read_text() == content


def test_report_is_written_where_a_link_leads(cli: Cli, file: Path, tmp_path: Path) -> None:
    file.write_text(MIXED)
    link, target = tmp_path / "link.csv", tmp_path / "target.csv"
    link.symlink_to(target)
    cli.run("recipes", "import", str(file), "--report", str(link))
    assert link.is_symlink()
    assert "rejected" in target.read_text()


def test_report_of_jsonl_is_a_table_that_is_corrected_and_sent_again(cli: Cli, tmp_path: Path) -> None:
    report = tmp_path / "failed.csv"
    line = '{"brand":"Samsung","serialNumber":"1","macAddress":"zz","customMetadata":{"floor":"3"}}\n'
    assert cli.run("recipes", "import", "-", "--format", "jsonl", "--report", str(report), input=line).exit_code == 1
    report.write_text(report.read_text().replace("zz", "02:00:00:00:00:02", 1))
    assert outcomes(cli, report) == {"created": 1}
    assert [recipe["customMetadata"] for recipe in cli.lines("recipes", "list")] == [{"floor": "3"}]


def test_conflict_is_told_with_its_reason(cli: Cli, file: Path, tmp_path: Path) -> None:
    file.write_text(GOOD)
    cli.ok("recipes", "import", str(file))
    file.write_text(GOOD.replace("Lobby", "Hall"))
    result = cli.run("recipes", "import", str(file), "--report", str(tmp_path / "failed.csv"))
    assert result.exit_code == 1
    assert "row 1 (line 2): The recipe is there already" in result.stderr
    assert "The recipe is there already" in (tmp_path / "failed.csv").read_text()


def test_report_of_many_rows_is_one_table(cli: Cli, file: Path, tmp_path: Path) -> None:
    file.write_text(HEADER + "".join(f"Samsung,{n},zz,\n" for n in range(1100)))
    report = tmp_path / "failed.csv"
    result = cli.run("recipes", "import", str(file), "--report", str(report))
    assert "... and 1090 rows more; --report FILE keeps them all." in result.stderr
    with report.open(newline="") as rows:
        assert [row["S/N"] for row in csv.DictReader(rows)] == [str(n) for n in range(1100)]


def test_recipe_that_is_there_is_changed_when_asked(cli: Cli, file: Path) -> None:
    file.write_text(GOOD)
    cli.ok("recipes", "import", str(file))
    file.write_text(GOOD.replace("Lobby", "Hall"))
    assert outcomes(cli, file) == {"conflict": 1, "unchanged": 1}
    assert outcomes(cli, file, "--existing", "update") == {"updated": 1, "unchanged": 1}
    assert names(cli) == ["Hall", None]


def test_rows_with_faults_are_kept_as_invalid_recipes_when_asked(cli: Cli, file: Path) -> None:
    file.write_text(MIXED)
    assert outcomes(cli, file, "--keep-invalid") == {"created": 1, "invalid": 2}
    assert [recipe["deviceName"] for recipe in cli.lines("recipes", "list", "--status", "Invalid")] == ["Hall", "Yard"]


def test_columns_and_delimiter_are_read_as_the_options_say(cli: Cli, file: Path) -> None:
    file.write_text("Made=by^Asset^S/N^Room\nSamsung^7^8^3\n")
    words = ["--delimiter", "^", "--map", "Made=by=brand", "--map", "Asset=serialNumber", "--map", "S/N=-"]
    printed = cli.run("recipes", "import", str(file), *words)
    assert printed.stderr == "Ignored columns: S/N, Room\n"
    assert [recipe["serialNumber"] for recipe in cli.lines("recipes", "list")] == ["7"]


def test_jsonl_is_known_by_the_name_of_the_file_or_by_the_option(cli: Cli, tmp_path: Path) -> None:
    line = '{"brand":"Samsung","serialNumber":"%d","customMetadata":{"floor":"3"}}\n'
    (tmp_path / "devices.jsonl").write_text(line % 1)
    cli.ok("recipes", "import", str(tmp_path / "devices.jsonl"))
    cli.ok("recipes", "import", "-", "--format", "jsonl", input=line % 2)
    assert [recipe["serialNumber"] for recipe in cli.lines("recipes", "list")] == ["1", "2"]


def test_file_that_is_no_table_of_devices_is_refused_and_starts_no_job(cli: Cli, file: Path) -> None:
    file.write_bytes(GOOD.encode("utf-16"))
    assert "UTF-16" in cli.refused("recipes", "import", str(file))
    file.write_text("Samsung,1\n")
    assert "[brand-column]" in cli.refused("recipes", "import", str(file))
    assert cli.lines("jobs", "list") == []


def test_wrong_usage_imports_nothing(cli: Cli, file: Path, tmp_path: Path) -> None:
    file.write_text(GOOD)
    assert cli.run("recipes", "import", str(tmp_path / "none.csv")).exit_code == 2
    assert cli.run("recipes", "import", str(file), "--map", "Vendor").exit_code == 2
    for place in (tmp_path / "none" / "failed.csv", tmp_path):
        assert cli.run("recipes", "import", str(file), "--report", str(place)).exit_code == 2
    assert cli.lines("jobs", "list") == []


def test_file_of_several_parts_reaches_a_server_whole(remote: Cli, file: Path) -> None:
    filler = {f"note{n}": "x" * 500 for n in range(10)}
    header = ",".join(["brand", "serial", *(f"customMetadata.{name}" for name in filler)])
    cells = ",".join(filler.values())
    file.write_text(f"{header}\n" + "".join(f"Whole,{n},{cells}\n" for n in range(1, 201)))
    assert outcomes(remote, file) == {"created": 200}
    recipes = remote.lines("recipes", "list", "--brand", "whole")
    assert [recipe["serialNumber"] for recipe in recipes] == [str(n) for n in range(1, 201)]
    assert all(recipe["customMetadata"] == filler for recipe in recipes)


def test_file_that_is_too_large_is_refused_by_the_server_and_here(small_server: Server, file: Path) -> None:
    from tests.cli.commands import Cli

    file.write_text(HEADER + "Samsung,1,,\n" * 400_000)
    access = {"HELIOGRAPH_DATA": str(small_server.store.data), "HELIOGRAPH_KEY": small_server.key}
    message = Cli(access).refused("recipes", "import", str(file))
    assert "1048576" in message or "1 MiB" in message
    small_server.stop()
    access["HELIOGRAPH_IMPORT_BYTES"] = str(1024 * 1024)
    assert Cli(access).refused("recipes", "import", str(file)) == message


# -- recipes, devices and jobs one by one ---------------------------------------------------------------------------


def test_recipe_is_made_shown_listed_and_removed(either_cli: Cli) -> None:
    words = ("--serial", "SN-1", "--mac", "02-00-00-00-00-0a", "--name", "Lobby", "--confirm", "--on-repeat", "reset")
    made = either_cli.json("recipes", "create", "Samsung", *words)
    assert (made["status"], made["macAddress"], made["confirmedOwnership"]) == ("Pending", "02:00:00:00:00:0A", True)
    either_cli.ok("recipes", "create", "LG", "--serial", "SN-2")
    assert either_cli.json("recipes", "get", made["uid"]) == made
    for filters in (("--mac", "0200"), ("--brand", "samsung"), ("--name", "lob"), ("--serial", "sn-1")):
        assert [recipe["uid"] for recipe in either_cli.lines("recipes", "list", *filters)] == [made["uid"]]
    assert made["uid"] in either_cli.ok("recipes", "list")
    either_cli.refused("recipes", "retry", made["uid"])
    either_cli.ok("recipes", "delete", made["uid"])
    assert either_cli.refused("recipes", "get", made["uid"])


def test_ownership_of_a_recipe_is_confirmed(cli: Cli) -> None:
    made = cli.json("recipes", "create", "Samsung", "--serial", "SN-1")
    assert made["confirmedOwnership"] is False
    assert cli.json("recipes", "confirm", made["uid"])["confirmedOwnership"] is True


def test_claim_code_is_made_and_printed_once(cli: Cli) -> None:
    uid = cli.json("recipes", "create", "Samsung", "--serial", "SN-1")["uid"]
    result = cli.run("recipes", "claim-code", uid)
    assert result.stdout.startswith("claim code: ")
    assert result.stderr == "The code is shown this once.\n"
    again = cli.json("recipes", "claim-code", uid, "--expires-at", "2100-01-01T00:00:00Z")
    assert again["expiresAt"].startswith("2100-01-01")
    assert again["claimCode"] not in result.stdout
    shown = cli.json("recipes", "get", uid)
    assert (shown["claimCodeSet"], shown["claimCodeExpiresAt"]) == (True, again["expiresAt"])
    assert "[future]" in cli.refused("recipes", "claim-code", uid, "--expires-at", "2000-01-01T00:00:00Z")


def test_attempts_in_vain_are_listed_for_one_recipe_and_for_all(remote: Cli, server: Server) -> None:
    uid = remote.json("recipes", "create", "Attempted", "--serial", "A-1", "--mac", "02:00:00:00:0a:01")["uid"]
    wrong = {"brand": "Attempted", "serialNumber": "A-1", "macAddress": "02:00:00:00:0a:02"}
    unknown = {"brand": "Attempted", "serialNumber": "A-2"}
    for body in (wrong, unknown):
        server.request("POST", "/v1/devices/register", body=body)
    mine = [found for found in remote.lines("recipes", "attempts") if found["brand"] == "Attempted"]
    assert [found["reason"] for found in mine] == ["identifier_mismatch", "no_recipe"]
    assert remote.lines("recipes", "attempts", uid) == mine[:1]
    assert remote.lines("recipes", "attempts", uid, "--reason", "no_recipe") == []
    assert "identifier_mismatch" in remote.ok("recipes", "attempts")


def test_device_is_moved_to_another_organization_and_its_token_shown(remote: Cli, server: Server) -> None:
    uid = server.request("POST", "/v1/devices", body={"brand": "Moved", "serialNumber": "M-1"}).json["uid"]
    to = remote.json("tenant", "create", "Station")["uid"]
    assert remote.json("devices", "move", uid, "--to", to)["token"].startswith("hgd_")
    assert [device["uid"] for device in remote.lines("devices", "list", "--tenant", to)] == [uid]


def test_device_is_listed_shown_and_deprovisioned(remote: Cli, server: Server) -> None:
    body = {"brand": "Samsung", "serialNumber": "D-1", "name": "Gate 7"}
    uid = server.request("POST", "/v1/devices", body=body).json["uid"]
    assert [device["uid"] for device in remote.lines("devices", "list", "--name", "gate", "--not-connected")] == [uid]
    assert remote.json("devices", "get", uid)["state"] == "enrolled"
    assert remote.json("devices", "deprovision", uid)["state"] == "deprovisioned"
    assert remote.lines("devices", "list", "--state", "enrolled") == []


def test_job_that_is_done_is_shown_and_cannot_be_cancelled(cli: Cli, file: Path) -> None:
    file.write_text(GOOD)
    job = cli.json("recipes", "import", str(file))
    assert cli.json("jobs", "get", job["uid"]) == job
    assert cli.lines("jobs", "list", "--state", "succeeded") == [job]
    assert cli.lines("jobs", "list", "--state", "running") == []
    assert "succeeded already" in cli.refused("jobs", "cancel", job["uid"])


def test_rows_of_a_job_are_listed_and_written_to_a_file(cli: Cli, file: Path, tmp_path: Path) -> None:
    file.write_text(MIXED)
    uid = json.loads(cli.run("recipes", "import", str(file), "--json").stdout)["uid"]
    assert [row["outcome"] for row in cli.lines("jobs", "rows", uid)] == ["created", "rejected", "rejected"]
    printed = cli.ok("jobs", "rows", uid, "--outcome", "rejected").splitlines()
    assert [line.split()[:3] for line in printed[1:]] == [["2", "3", "rejected"], ["3", "4", "rejected"]]
    assert "/macAddress: 'zz'" in printed[1]
    report = tmp_path / "rows.csv"
    assert cli.json("jobs", "rows", uid, "--report", str(report)) == {"rows": 3}
    with report.open(newline="") as rows:
        assert [row["Name"] for row in csv.DictReader(rows)] == ["", "Hall", "Yard"]
    assert cli.json("jobs", "rows", uid, "--outcome", "conflict", "--report", str(tmp_path / "no.csv")) == {"rows": 0}
    assert not (tmp_path / "no.csv").exists()
