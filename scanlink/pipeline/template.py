"""A run.yaml with its words, written from the models: every key, its default, and what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic_core import PydanticUndefined, to_jsonable_python

from scanlink.options import Options, section_model

__all__ = ["template"]


def template(model: type[Options], values: Mapping[str, Any], *, every: bool = False) -> str:
    """Write the keys of a run.yaml, each with its default and its description.

    Keys in ``values`` are set, sections as mappings or, where a path stands for one, as text. The others are comments,
    or with ``every`` set as well.
    """
    return "\n\n".join("\n".join(_key(name, field, values, every)) for name, field in model.model_fields.items()) + "\n"


def _key(name: str, field: Any, values: Mapping[str, Any], every: bool) -> Iterator[str]:
    section, value = section_model(field.annotation), values.get(name)
    yield f"# {field.description}"
    if section is None or (isinstance(value, str) and not every):
        shown = values[name] if name in values else _default(field)
        yield f"{'' if every or name in values else '# '}{name}: {_written(shown)}"
        return
    own = {"path": value} if isinstance(value, str) else dict(value or {})
    is_set = every or bool(own)
    yield f"{'' if is_set else '# '}{name}:"
    for key, inner in section.model_fields.items():
        shown = own[key] if key in own else _default(inner)
        mark = "" if every or key in own else "# "
        yield f"{'' if is_set else '# '}  {mark if is_set else ''}{key}: {_written(shown)}  # {inner.description}"


def _default(field: Any) -> Any:
    default = field.get_default()
    return None if default is PydanticUndefined else default


def _written(value: Any) -> str:
    """Write a value on one line."""
    text = yaml.safe_dump(to_jsonable_python(value), default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
