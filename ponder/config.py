"""From a composed Hydra config to checked dataclasses; nothing here reads a file or knows a stage.

YAML under conf/ holds values, the dataclasses hold names and types, and `build` joins them: a key that no dataclass
reads is an error, because Hydra itself runs on silently past one that was added with `+`.
"""

import dataclasses
import difflib
import types
import typing

from omegaconf import DictConfig, OmegaConf

from ponder.errors import UserError


def build(cls, node, where=""):
    """Return the dataclass `cls` filled from a mapping.

    Raises UserError for a key that `cls` does not have, a key that is missing, or a value of another type; a
    dataclass adds its own rules in __post_init__.
    """
    values = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
    if not isinstance(values, dict):
        raise UserError(
            f"{where or cls.__name__} is {values!r}, but must be a mapping with the keys of {cls.__name__}"
        )
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(names)}"
            raise UserError(f"{_join(where, key)} is read by nothing{hint}")
    for name in names:
        if values.get(name, "???") == "???":  # Hydra's word for a value that somebody must set
            raise UserError(
                f"{_join(where, name)} is missing; give it a value, e.g. with experiment=cpu"
            )
    return cls(**{name: _value(hints[name], values[name], _join(where, name)) for name in names})


def _join(where, key):
    return f"{where}.{key}" if where else str(key)


def _value(kind, value, where):
    """Return `value` as `kind`: dataclass, scalar, optional, tuple[...], dict or Literal; an int may stand for a float.

    Of several dataclasses the one is meant whose field `kind` is the Literal that the value has there.
    """
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        check_choice(where, value, inner)
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        inner = [a for a in inner if a is not type(None)]
        return _value(_of_kind(inner, value, where) if len(inner) > 1 else inner[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise UserError(f"{where} is {value!r}, but must be a list")
        return tuple(_value(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    plain = origin or kind
    if plain is float and type(value) is int:
        return float(value)
    if type(value) is not plain:
        raise UserError(
            f"{where} is {value!r} ({type(value).__name__}), but must be of type {plain.__name__}"
        )
    return value


def _of_kind(classes, value, where):
    """Return the dataclass among `classes` whose field `kind` allows what the mapping `value` says."""
    by_name = {
        name: cls for cls in classes for name in typing.get_args(typing.get_type_hints(cls)["kind"])
    }
    named = value.get("kind") if isinstance(value, dict) else None
    check_choice(_join(where, "kind"), named, tuple(by_name))
    return by_name[named]


def check_choice(where, value, choices):
    """Raise UserError unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(f"{where} is {value!r}, but must be one of: {', '.join(map(str, choices))}")


def at_least(least, where, values, *keys):
    """Raise UserError unless every named field of a dataclass is `least` or more."""
    for key in keys:
        if getattr(values, key) < least:
            raise UserError(f"{where}.{key} is {getattr(values, key)}, but must be {least} or more")
