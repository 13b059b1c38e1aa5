"""What all options share: their base, those that every experiment has, and types of those that several tests have."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from scanlink.errors import OptionError
from scanlink.ladder import Ladder

__all__ = [
    "BlockGenes",
    "ClusterColumn",
    "Device",
    "FdrMethod",
    "File",
    "GenesOptions",
    "GroupOptions",
    "IsFile",
    "LadderStages",
    "Method",
    "Options",
    "PathOrTable",
    "Robust",
    "Seed",
    "Theta",
    "check_replicates",
    "explain",
    "ladder_stages",
    "section_model",
]


class Options(BaseModel):
    """A section of options: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def ladder_stages(value: Any) -> Any:
    """Give a ladder as its name, or as its stages where it has none.

    Parameters
    ----------
    value
        Name of a ladder, or its stages: replicates, and the p-value below which it goes on.

    Returns
    -------
    str or tuple
        As a run.yaml says it.

    Examples
    --------
    >>> ladder_stages([[100, 0.1], [2500, None]])
    ((100, 0.1), (2500, None))
    """
    ladder = Ladder.of(value)
    return ladder.stages if ladder.name == "custom" else ladder.name


def check_replicates(p_value: str, ladder: Any) -> None:
    """Check that the bootstrap has replicates where it is chosen.

    Parameters
    ----------
    p_value
        Kind of p-value that was chosen.
    ladder
        Name of a ladder, or its stages.

    Raises
    ------
    ValueError
        If the bootstrap is chosen and the ladder has no stage; pydantic makes an OptionError of it.

    Examples
    --------
    >>> check_replicates("robust", "none")
    """
    if p_value == "bootstrap" and not Ladder.of(ladder).stages:
        raise ValueError('p_value bootstrap needs replicates, and ladder is "none": set ladder, such as scent')


class IsFile:
    """Marks an option that names a file: relative to the folder of its run.yaml."""


File = Annotated[str | None, IsFile()]


class OrScalar(BeforeValidator):
    """Turns a value that may be given without its table or list into it; editors are told that it may."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        """Give the JSON schema of the option: a text or number, a list of these, or as its type has it."""
        scalar = {"type": ["string", "integer"]}
        return {"anyOf": [scalar, {"type": "array", "items": scalar}, handler(core)]}


PathOrTable = OrScalar(lambda value: {"path": value} if isinstance(value, str) else value)
LadderStages = Annotated[
    str | tuple[tuple[int, float | None], ...],
    BeforeValidator(ladder_stages),
    Field(
        description="replicates of the bootstrap, whatever p_value is: a name, or stages (replicates, go on below p)"
    ),
]
Seed = Annotated[int, Field(description="seed of what is drawn; the same seed gives the same numbers")]
Robust = Annotated[
    Literal["HC0", "HC2", "HC3"], Field(description="small-sample form of the sandwich error; of clusters CR0 to CR3")
]
Theta = Annotated[
    Literal["held", "estimated"],
    Field(description="dispersion in the replicates of family negbin: that of the data, or estimated in each"),
]
ClusterColumn = Annotated[
    str | None,
    Field(description="column of cells that belong together, such as the donor; None takes all for independent"),
]
FdrMethod = Literal["bh", "by", "storey"]
Method = Annotated[
    FdrMethod,
    Field(description="false discovery rate by Benjamini and Hochberg, by Benjamini and Yekutieli, or by Storey"),
]
Device = Annotated[
    str | None,
    Field(description="where the bootstrap's matrix products are computed: a device of PyTorch, such as cuda"),
]
BlockGenes = Annotated[int | None, Field(ge=1, description="genes a task; None: by estimated cost")]


class GenesOptions(Options):
    """Where the genes are: a GTF or BED file, or a GENCODE release to download."""

    path: File = Field(None, description="a GTF or BED file of genes")
    gencode: int | str | None = Field(None, description="a GENCODE release to download, such as 44 or M32")

    @model_validator(mode="after")
    def _one_way(self) -> GenesOptions:
        if (self.path is None) == (self.gencode is None):
            raise ValueError("give either a file of genes or a gencode release")
        return self


def _all_is_none(value: Any) -> Any:
    if value == "all":
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        value = [value]
    # Clusters often have numbers for names.
    return [str(v) if isinstance(v, int) else v for v in value] if isinstance(value, (list, tuple)) else value


class GroupOptions(Options):
    """Which cells are analysed together; without ``by``, all cells are one group named ``all``."""

    by: str | None = Field(None, description="column of the table of cells; left out, all cells are one group")
    only: Annotated[tuple[str, ...] | None, OrScalar(_all_is_none)] = Field(
        None, description="its values that are analysed; all takes every one"
    )


def explain(error: ValidationError, model: type[BaseModel], *, where: Any = None) -> OptionError:
    """Turn pydantic's complaint into one line an offending key, with the nearest key that exists.

    Parameters
    ----------
    error
        What pydantic raised for ``model``.
    model
        The options that were to be made.
    where
        Called with the path of a key, such as ``("scan", "ladder")``; gives the words that locate it, or "".

    Returns
    -------
    OptionError
        To be raised.

    Examples
    --------
    >>> from pydantic import ValidationError
    >>> try:
    ...     GroupOptions(onyl=["B"])
    ... except ValidationError as error:
    ...     print(explain(error, GroupOptions))
    onyl: unknown key; did you mean 'only'?
    """
    lines = []
    for item in error.errors(include_url=False):
        path = tuple(str(part) for part in item["loc"])
        place = where(path) if where else ""
        name = ".".join(path)
        if item["type"] == "extra_forbidden":
            text = f"unknown key{_nearest(path, model)}"
        elif item["type"] == "missing":
            text = "missing: this key must be given"
        elif item["type"] == "model_type":
            text = f"expected a section with keys of its own; found {item['input']!r}"
        else:
            text = f"{item['msg'].removeprefix('Value error, ')}"
            if not isinstance(item["input"], (dict, BaseModel)):
                text += f"; found {item['input']!r}"
        # What concerns several sections at once has no key of its own.
        lines.append(f"{place}{name}: {text}" if name else f"{place or 'options: '}{text}")
    return OptionError("\n".join(lines))


def _nearest(path: tuple[str, ...], model: type[BaseModel]) -> str:
    for part in path[:-1]:
        field = model.model_fields.get(part)
        inner = section_model(field.annotation) if field else None
        if inner is None:
            return ""
        model = inner
    close = difflib.get_close_matches(path[-1], model.model_fields, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known keys are {', '.join(model.model_fields)}"


def section_model(annotation: Any) -> type[BaseModel] | None:
    """Give the model of a field that is a section of its own.

    Parameters
    ----------
    annotation
        Type of the field.

    Returns
    -------
    type or None
        The model; None where the field holds a value.

    Examples
    --------
    >>> section_model(GroupOptions | None).__name__, section_model(str | None)
    ('GroupOptions', None)
    """
    return next(iter(_models(annotation)), None)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for part in getattr(annotation, "__args__", ()):
        found += _models(part)
    return found
