"""From a composed Hydra config to checked dataclasses; nothing here reads a file or knows a stage.

YAML under conf/ holds values, the dataclasses hold names and types, and `build` joins them: a key
that no dataclass reads is an error, because Hydra itself runs on silently past one that was added
with `+`.
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf

from ponder.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")
MISSING = "???"  # Hydra's word for a value that somebody must set
Name = Annotated[str, "part of the names of folders"]  # see check_name
NAME_MAX = 60


def yaml_value(text: str | bytes) -> Any:
    """Return the value of a YAML text; libyaml, where PyYAML has it, reads it ten times as fast."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def build(cls: type[Config], node: Any, where: str = "") -> Config:
    """Return the dataclass `cls` filled from a mapping; `where` is the dotted key of the mapping.

    Raises UserError for a key that `cls` does not have, a key that is missing, or a value of
    another type; a dataclass adds its own rules in __post_init__.
    """
    values = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
    if not isinstance(values, dict):
        raise UserError(
            f"{where or cls.__name__} is {values!r}, but must be a mapping with the keys of "
            f"{cls.__name__}"
        )
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls)]
    for key in values:
        if key not in names:
            raise UserError(f"{_join(where, key)} is read by nothing{_hint(str(key), names)}")
    fields = {}
    for field in dataclasses.fields(cls):
        key = _join(where, field.name)
        if values.get(field.name, MISSING) != MISSING:
            fields[field.name] = _value(hints[field.name], values[field.name], key)
        elif field.default is dataclasses.MISSING:
            raise UserError(f"{key} is missing; {_way_out(where, field.name, values)}")
    return cls(**fields)


def _way_out(where: str, name: str, values: dict[Any, Any]) -> str:
    """Return how a key that a mapping lacks is given a value: on the command line, or in a file."""
    key, option = _join(where, name), values.get("name", MISSING)
    if not where:
        return "give it a value, e.g. with experiment=cpu"
    if name in values:
        return f"give it a value: {key}=..."
    place = f"beside the other keys of {where}"
    if option != MISSING:
        place = f"to conf/{where.rpartition('.')[2]}/{option}.yaml"
    return f"add it {place}, or give it a value: +{key}=..."


def _hint(key: str, names: list[str]) -> str:
    near = nearest(key, names)
    return f"; did you mean {near}?" if near else f"; known keys: {', '.join(names)}"


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that a mistyped word is nearest to, or None where none is near.

    Where no spelling is close, a name that abbreviates the word or is abbreviated by it counts, if
    it is the only one: lr for learning_rate.
    """
    names = list(names)
    if close := difflib.get_close_matches(word, names, n=1):
        return close[0]
    short = [name for name in names if _abbreviates(name, word) or _abbreviates(word, name)]
    return short[0] if len(short) == 1 else None


def _abbreviates(short: str, long: str) -> bool:
    """Return whether `long` begins as `short` does and holds its letters in their order."""
    letters = iter(long)
    return short[:1] == long[:1] and all(letter in letters for letter in short)


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return `value` as the type `kind`; an int may stand for a float.

    `kind` is a dataclass, a scalar, an optional, tuple[...], dict or Literal. Of several
    dataclasses the one is meant whose field `kind` is the Literal that the value has there.
    """
    if dataclasses.is_dataclass(kind):
        return build(typing.cast("type[DataclassInstance]", kind), value, where)
    if kind is Name:
        return check_name(where, _scalar(str, value, where))
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        check_choice(where, value, inner)
        return value
    if origin in (types.UnionType, typing.Union):
        return _optional(inner, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise UserError(f"{where} is {value!r}, but must be a list")
        return tuple(_value(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    return _scalar(origin or kind, value, where)


def _optional(inner: Sequence[Any], value: Any, where: str) -> Any:
    if value is None and type(None) in inner:
        return None
    kinds = [kind for kind in inner if kind is not type(None)]
    lists = [kind for kind in kinds if typing.get_origin(kind) is tuple]
    if lists and len(kinds) > 1:
        kinds = lists if isinstance(value, list) else [kind for kind in kinds if kind not in lists]
    kind = _of_kind(kinds, value, where) if len(kinds) > 1 else kinds[0]
    return _value(kind, value, where)


def _scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UserError(
            f"{where} is {value!r} ({type(value).__name__}), but must be of type {kind.__name__}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where} is {value}, but must be a number, and finite; give another")
    return value


def _of_kind(classes: Iterable[type], value: Any, where: str) -> type:
    """Return the dataclass among `classes` whose field `kind` allows what a mapping says there."""
    by_name = {}
    for cls in classes:
        for name in typing.get_args(typing.get_type_hints(cls)["kind"]):
            by_name[name] = cls
    name = value.get("kind") if isinstance(value, dict) else None
    check_choice(_join(where, "kind"), name, tuple(by_name))
    return by_name[name]


def check_name(where: str, name: str) -> str:
    """Return a name that may become part of the name of a folder; raises UserError for another."""
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9._+-]{{0,{NAME_MAX - 1}}}", name):
        raise UserError(
            f"{where} is {name!r:.80}, but becomes part of a folder's name: take 1 to {NAME_MAX} "
            "letters, digits, dots, dashes, pluses and underscores, a letter or digit first"
        )
    return name


def check_choice(where: str, value: object, choices: Sequence[object]) -> None:
    """Raise UserError unless `value` is one of `choices`."""
    if value not in choices:
        names = [str(choice) for choice in choices]
        near = nearest(str(value), names) if len(names) > 2 else None
        hint = f"; did you mean {near}?" if near else ""
        raise UserError(f"{where} is {value!r}, but must be one of: {', '.join(names)}{hint}")


def at_least(least: float, where: str, values: object, *keys: str) -> None:
    """Raise UserError unless every named field of a dataclass is `least` or more."""
    for key in keys:
        if getattr(values, key) < least:
            raise UserError(f"{where}.{key} is {getattr(values, key)}, but must be {least} or more")
