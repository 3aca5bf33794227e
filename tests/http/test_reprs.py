"""What is answered with a PIN in it does not show it when it is printed, as in a traceback."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from heliograph.dialects.seam import access_code_changes, code_bodies, code_reading
from heliograph.http import access_codes, code_changes, operations

MODULES = (access_codes, code_changes, operations, access_code_changes, code_bodies, code_reading)
STRUCTS = sorted(
    {
        struct
        for module in MODULES
        for _, struct in inspect.getmembers(module, inspect.isclass)
        if issubclass(struct, msgspec.Struct) and {"code", "current_code", "from_"} & {*struct.__struct_fields__}
        and struct.__name__ != "Condition"
    },
    key=lambda struct: struct.__name__,
)  # fmt: skip


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_struct_with_a_pin_does_not_show_itself(struct: type[msgspec.Struct]) -> None:
    made = struct(**dict.fromkeys(struct.__struct_fields__, "4711"))
    assert "4711" not in repr(made)


def test_structs_are_found() -> None:
    names = {struct.__name__ for struct in STRUCTS}
    assert names >= {"AccessCodeBody", "OperationCode", "ManagedBody", "UnmanagedBody", "MutationBody", "CreateCode"}
