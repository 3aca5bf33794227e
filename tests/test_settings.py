"""Each setting comes from the nearest place that names it, in its unit and within its bounds, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.ids import Secret
from heliograph.settings import BadSetting, Settings, load, table


def _write(folder: Path, text: str) -> dict[str, Any]:
    """Write the settings file and return what the command line says to read it."""
    (folder / "heliograph.toml").write_text(text)
    return {"data": folder}


def test_settings_have_their_defaults_when_nothing_is_named(tmp_path: Path) -> None:
    assert load({"data": tmp_path}, {}) == Settings(data=tmp_path)
    assert load({}, {}).data == Path("data")


@pytest.mark.parametrize("row", table(), ids=lambda row: row.name)
def test_setting_is_documented_and_its_default_is_allowed(row: Any) -> None:
    assert row.metadata["unit"]
    assert row.metadata["help"].endswith(".")
    check = row.metadata["check"]
    assert check is None or check(row.default) is None


@pytest.mark.parametrize("row", [row for row in table() if row.name != "data"], ids=lambda row: row.name)
def test_every_setting_can_be_given_in_every_place(row: Any, tmp_path: Path) -> None:
    default = row.default
    text = "secret words" if default is None else str(default)
    wanted = Secret(text) if default is None else default
    variable = f"HELIOGRAPH_{row.name.upper()}"
    file = tmp_path / "value"
    file.write_text(text + "\n")
    quoted = f'"{text}"' if default is None or isinstance(default, str) else text
    places: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({row.name: text, "data": tmp_path}, {}),
        ({"data": tmp_path}, {variable: text}),
        ({"data": tmp_path}, {f"{variable}_FILE": str(file)}),
        (_write(tmp_path, f"{row.name} = {quoted}\n"), {}),
    ]
    for given, environment in places:
        found = getattr(load(given, environment), row.name)
        assert type(found) is type(wanted)
        assert _shown(found) == _shown(wanted)


def _shown(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def test_nearest_place_wins(tmp_path: Path) -> None:
    given = _write(tmp_path, "port = 1")
    assert load(given, {}).port == 1
    assert load(given, {"HELIOGRAPH_PORT": "2"}).port == 2
    assert load({**given, "port": 3}, {"HELIOGRAPH_PORT": "2"}).port == 3
    assert load({**given, "port": None}, {"HELIOGRAPH_PORT": "2"}).port == 2


def test_file_is_read_from_the_data_folder_that_the_environment_names(tmp_path: Path) -> None:
    _write(tmp_path, "port = 7")
    assert load({}, {"HELIOGRAPH_DATA": str(tmp_path)}).port == 7


def test_number_may_be_zero_where_that_has_a_meaning(tmp_path: Path) -> None:
    assert load({"data": tmp_path, "port": 0}, {}).port == 0
    assert load({"data": tmp_path}, {"HELIOGRAPH_REQUESTS_PER_KEY": "0"}).requests_per_key == 0


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "http"),
        ("port", ""),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "1.5"),
        ("readers", "0"),
        ("header_timeout", "nan"),
        ("header_timeout", "inf"),
        ("idle_timeout", "soon"),
        ("index_share", "0"),
        ("index_share", "1.01"),
        ("synchronous", "OFF"),
        ("log_format", "xml"),
        ("trusted_proxies", "10.0.0.0/8,proxy"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("delivery_allow_networks", "10.0.0.0/8,receiver"),
        ("delivery_allow_networks", "10.0.0.1/8"),
        ("delivery_allow_networks", "10.0.0.0/8@somebody"),
        ("event_bytes", "1 MiB"),
        ("payload_bytes", "1024"),
    ],
)
def test_value_that_cannot_be_used_is_refused_by_name_and_origin(name: str, value: str, tmp_path: Path) -> None:
    variable = f"HELIOGRAPH_{name.upper()}"
    with pytest.raises(BadSetting, match=rf"{name} \({variable}\)"):
        load({"data": tmp_path}, {variable: value})
    option = "--" + name.replace("_", "-")
    with pytest.raises(BadSetting, match=rf"{name} \({option}\)"):
        load({"data": tmp_path, name: value}, {})


@pytest.mark.parametrize(
    "line",
    [
        "port = true",
        "port = 1.5",
        "port = inf",
        "port = nan",
        "port = [1]",
        "port = {a = 1}",
        "port = 2026-01-31",
        "host = 7",
        "host = [1]",
        "host = true",
        "synchronous = false",
        "header_timeout = true",
        'header_timeout = ["1"]',
        "master_key = 5",
        "master_key = true",
    ],
)
def test_value_of_another_kind_in_the_file_is_refused_by_name(line: str, tmp_path: Path) -> None:
    name = line.partition(" ")[0]
    with pytest.raises(BadSetting, match=rf"{name} \(heliograph\.toml\)"):
        load(_write(tmp_path, line), {})


def test_whole_number_serves_as_a_fraction(tmp_path: Path) -> None:
    assert load(_write(tmp_path, "header_timeout = 3"), {}).header_timeout == 3.0


def test_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="prot"):
        load(_write(tmp_path, "prot = 1"), {})


@pytest.mark.parametrize("content", [b"port =", b"\xff\xfe", b"[port", b'port = "\x00"'])
def test_file_that_cannot_be_understood_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "heliograph.toml").write_bytes(content)
    with pytest.raises(BadSetting, match=r"heliograph\.toml"):
        load({"data": tmp_path}, {})


@pytest.mark.parametrize("make", ["missing", "folder", "binary"])
def test_file_of_a_secret_that_cannot_be_read_is_refused(make: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    if make == "folder":
        path.mkdir()
    elif make == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSetting, match="HELIOGRAPH_MASTER_KEY_FILE"):
        load({"data": tmp_path}, {"HELIOGRAPH_MASTER_KEY_FILE": str(path)})


def test_secret_settings_do_not_show_themselves(tmp_path: Path) -> None:
    settings = load(
        {"data": tmp_path, "master_key": "open sesame"}, {"HELIOGRAPH_DATABASE_URL": "postgresql://a:sesame@b/c"}
    )
    assert settings.master_key is not None
    assert settings.master_key.reveal() == "open sesame"
    assert "sesame" not in repr(settings)
