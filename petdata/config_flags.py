"""A command's flags out of the fields of its configuration: one place for names, help, defaults."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_type_hints

import typer


def with_flags(config: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command a flag for each field `name: Annotated[kind, help] = default`.

    The command gets those that were given as one dict, `flags`; parameters of its own stay.
    """
    kinds = get_type_hints(config, include_extras=True)
    fields = {each.name: each for each in dataclasses.fields(config)}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        added = [_flag(field, kinds[name]) for name, field in fields.items() if name not in own]
        kept = [parameter for name, parameter in own.items() if name != "flags"]

        def called(**values: Any) -> None:
            given = {p.name: values.pop(p.name) for p in added}
            command(**values, flags={k: v for k, v in given.items() if v is not None})

        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in (*kept, *added)}
        return called

    return decorate


def _flag(field: dataclasses.Field[Any], annotated: Any) -> inspect.Parameter:
    kind, help_ = get_args(annotated)
    if field.default is not None and field.default is not False:
        help_ = f"{help_}  [default: {'on' if field.default is True else field.default}]"
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[_plain(kind) | None, typer.Option(help=help_, show_default=False)],
    )


def _plain(kind: Any) -> Any:
    """int | None -> int; a choice of texts -> str."""
    parts = [part for part in get_args(kind) or (kind,) if part is not type(None)]
    return parts[0] if isinstance(parts[0], type) else str
