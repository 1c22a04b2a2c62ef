"""Thrift's compact protocol, as far as Parquet's footers and page headers use it.

A structure becomes a dict from field number to value: integers, booleans, bytes, lists and dicts.
Source: the Thrift compact protocol specification; https://github.com/apache/parquet-format.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

Struct = dict[int, Any]

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = (
    *range(1, 11),
    12,
)
_MAX_DEPTH: Final = 16  # structures and lists; Parquet nests 8 deep
_MAX_VARINT_BITS: Final = 64


class Incomplete(ValueError):
    """The bytes end before the structure does."""


def read_struct(data: bytes, at: int = 0) -> tuple[Struct, int]:
    """The structure that begins at `at`, and where it ends.

    Raises Incomplete where more bytes are needed and ValueError for what Thrift never writes.
    """
    try:
        return _struct(data, at, 0)
    except IndexError:
        raise Incomplete(f"{len(data):,} bytes end within a structure") from None


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned integer, seven bits a byte, lowest first, and where it ends.

    Raises IndexError where the bytes end before it does.
    """
    byte = data[at]
    at += 1
    value = byte & 127
    shift = 7
    while byte > 127:
        if shift >= _MAX_VARINT_BITS:
            raise ValueError("an integer of more than 64 bits")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
    return value, at


def _struct(data: bytes, at: int, depth: int) -> tuple[Struct, int]:
    _check_depth(depth)
    fields: Struct = {}
    number = 0
    while head := data[at]:
        at += 1
        if head > 15:
            number += head >> 4
        else:
            number, at = _integer(data, at, depth)
        kind = head & 15
        if kind <= _FALSE:
            fields[number] = kind == _TRUE
        else:
            fields[number], at = _read(kind)(data, at, depth + 1)
    return fields, at + 1


def _check_depth(depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"structures nested more than {_MAX_DEPTH} deep")


def _integer(data: bytes, at: int, _depth: int) -> tuple[int, int]:
    value, at = read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _byte(data: bytes, at: int, _depth: int) -> tuple[int, int]:
    return data[at], at + 1


def _double(data: bytes, at: int, _depth: int) -> tuple[bytes, int]:
    return _bytes(data, at, 8)


def _binary(data: bytes, at: int, _depth: int) -> tuple[bytes, int]:
    length, at = read_varint(data, at)
    return _bytes(data, at, length)


def _bytes(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if at + length > len(data):
        raise IndexError
    return data[at : at + length], at + length


def _list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    _check_depth(depth)
    head = data[at]
    at += 1
    length = head >> 4
    if length == 15:
        length, at = read_varint(data, at)
    kind = head & 15
    # Within a list, booleans take a byte each.
    read = _byte if kind <= _FALSE else _read(kind)
    values = []
    for _ in range(length):
        value, at = read(data, at, depth + 1)
        values.append(value)
    return values, at


_READERS: Final[dict[int, Callable[[bytes, int, int], tuple[Any, int]]]] = {
    _BYTE: _byte,
    _I16: _integer,
    _I32: _integer,
    _I64: _integer,
    _DOUBLE: _double,
    _BINARY: _binary,
    _LIST: _list,
    _SET: _list,
    _STRUCT: _struct,
}


def _read(kind: int) -> Callable[[bytes, int, int], tuple[Any, int]]:
    try:
        return _READERS[kind]
    except KeyError:
        raise ValueError(f"Thrift has no type {kind} that Parquet uses") from None
