"""How Seam's clients write parameters into a query string, and how it is read back.

Arrays are repeated names, an empty one `name=`; objects have dotted names; null is empty. `_strict=true` says that the
query is written by these rules alone; without it `name[]=1`, `name=1,2` and `yes`, `no`, `1`, `0` are understood too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import inspect

from heliograph.errors import Fault, Invalid
from heliograph.http.messages import query_pairs

_STRICT = "_strict"
_TRUTHS = {"true": True, "false": False}
_LENIENT_TRUTHS = {**_TRUTHS, "yes": True, "no": False, "1": True, "0": False}
_ARRAYS = (inspect.VarTupleType, inspect.ListType, inspect.SetType, inspect.FrozenSetType)


class Shape(msgspec.Struct, frozen=True):
    """What a parameter's type lets a text be read as; `item` is the shape of what an array or object holds."""

    array: bool = False
    object: bool = False
    truth: bool = False
    number: bool = False
    text: bool = False
    nullable: bool = False
    item: Shape | None = None


@lru_cache(maxsize=256)
def shapes_of(model: type[msgspec.Struct]) -> Mapping[str, Shape]:
    """Return the shape of each parameter of a route."""
    described = inspect.type_info(model)
    assert isinstance(described, inspect.StructType)
    return {field.encode_name: _shape(field.type) for field in described.fields}


def _shape(described: inspect.Type) -> Shape:
    kinds = described.types if isinstance(described, inspect.UnionType) else (described,)
    array = next((kind for kind in kinds if isinstance(kind, _ARRAYS)), None)
    table = next((kind for kind in kinds if isinstance(kind, inspect.DictType)), None)
    item = _shape(array.item_type) if array else _shape(table.value_type) if table else None
    return Shape(
        array=array is not None,
        object=table is not None,
        truth=any(isinstance(kind, inspect.BoolType) for kind in kinds),
        number=any(isinstance(kind, inspect.IntType | inspect.FloatType) for kind in kinds),
        text=any(isinstance(kind, inspect.StrType | inspect.CustomType | inspect.LiteralType) for kind in kinds),
        nullable=any(isinstance(kind, inspect.NoneType) for kind in kinds),
        item=item,
    )


def read_query(query_string: bytes, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """Read a query string into values that a JSON body could have held; what has no shape stays text.

    Raises:
        Invalid: when it is not percent-encoded UTF-8, gives one value several times, or breaks its own strictness.
    """
    pairs = query_pairs(query_string)
    strict = (_STRICT, "true") in pairs
    given: dict[tuple[str, str | None], list[str]] = {}
    faults: list[Fault] = []
    for name, text in pairs:
        known, key = _place(name, shapes)
        if strict and key is None and known != name:
            faults.append(Fault(f"/{known}", "array", f"In a strict query an array is {known!r} repeated."))
        given.setdefault((known, key), []).append(text)
    values: dict[str, Any] = {}
    for (name, key), texts in given.items():
        shape = shapes.get(name, Shape())
        if key is not None:
            shape = shape.item or Shape()
        if name in shapes and len(texts) > 1 and not shape.array:
            faults.append(Fault(f"/{name}", "single", "Given more than once."))
        elif key is None:
            values[name] = _read_texts(texts, shape, strict)
        elif isinstance(values.setdefault(name, {}), dict):
            values[name][key] = _read_texts(texts, shape, strict)
    if faults:
        raise Invalid("The query is not valid.", tuple(faults))
    return values


def _place(name: str, shapes: Mapping[str, Shape]) -> tuple[str, str | None]:
    """Return the parameter that a name means, and the key inside it when it is an object."""
    if name not in shapes:
        if name.endswith("[]") and shapes.get(name[:-2], Shape()).array:
            return name[:-2], None
        parent, dot, key = name.partition(".")
        if dot and shapes.get(parent, Shape()).object:
            return parent, key
    return name, None


def _read_texts(texts: list[str], shape: Shape, strict: bool) -> Any:
    if shape.array:
        if texts == [""]:
            return []
        if not strict and len(texts) == 1:
            texts = texts[0].split(",")
        return [_read_text(text, shape.item or Shape(), strict) for text in texts]
    if shape.object and texts == [""]:
        return {}
    return _read_text(texts[0] if len(texts) == 1 else ",".join(texts), shape, strict)


def _read_text(text: str, shape: Shape, strict: bool) -> Any:
    if not text and shape.nullable:
        return None
    truths = _TRUTHS if strict or shape.text or shape.number else _LENIENT_TRUTHS
    if shape.truth and text in truths:
        return truths[text]
    if shape.number:
        try:
            return msgspec.convert(text, int | float, strict=False)
        except msgspec.ValidationError:
            return text
    return text


def write_query(values: Mapping[str, Any]) -> str:
    """Write values as Seam's clients do, names sorted and strict; nothing for no values."""
    pairs: list[tuple[str, str]] = []
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            pairs += [(f"{name}.{key}", _write_text(part)) for key, part in sorted(value.items())]
        elif isinstance(value, list | tuple):
            pairs += [(name, _write_text(part)) for part in value] or [(name, "")]
        else:
            pairs.append((name, _write_text(value)))
    if pairs:
        pairs.append((_STRICT, "true"))
    return "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in pairs)


def _write_text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
