"""Ways to damage a file: by bytes, whatever it is, and by what its kind is made of. All are drawn from one seed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Rng = np.random.Generator
WORDS = (
    *(
        "",
        " ",
        "\0",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "-1",
        "0",
        "1e999",
        "1.5",
        "9" * 30,
        "2024-02-30",
        "true",
        "null",
        "~",
    ),
    *('"', "'", "\\", "\t", "\ufeff", "\u202e", "é", "=1+1", "!!python/name:os.system", "*a", "&a [*a]", "{", "[", "#"),
    *("../../etc/passwd", "$HOME", "`id`", "chr99", "%", "x" * 5_000, "0x10", "010", "1_000", "-0", ".", "NA", "None"),
)


_PACKED = (".gz", ".rds")


def mutate(path: Path, rng: Rng) -> str:
    """Damage a file; give what was done."""
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.is_file() and "uns" not in file.parts)
        file = inside[rng.integers(len(inside))]
        done = mutate(file, rng) if file.stat().st_size else by_loss(file, rng)
        return f"{file.relative_to(path)}: {done}"
    kinds = [by_bytes]
    if path.suffix in (".h5", ".h5ad", ".h5mu"):
        kinds += [by_hdf5] * 3
    elif path.suffix == ".rds":
        kinds += [by_bytes, by_numbers]
    elif path.name in (".zarray", ".zattrs", ".zgroup", "zarr.json"):
        kinds += [by_json] * 3
    elif not path.suffix:
        kinds.append(by_loss)
    else:
        kinds += [by_lines, by_words, by_words]
    return kinds[rng.integers(len(kinds))](path, rng)


def _read(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix in _PACKED else raw


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix in _PACKED else content)


def by_bytes(path: Path, rng: Rng) -> str:
    """Change bytes; of what is compressed those of the compressed file, or of what is inside."""
    outside = path.suffix in _PACKED and rng.random() < 0.5
    content = bytearray(path.read_bytes() if outside else _read(path))
    place, length = int(rng.integers(len(content))), int(2 ** rng.uniform(0, 9))
    way = ("flip", "set", "cut", "drop", "double", "insert", "zero", "end")[rng.integers(8)]
    part = content[place : place + length]
    if way == "flip":
        content[place] ^= 1 << int(rng.integers(8))
    elif way == "set":
        content[place] = int(rng.integers(256))
    elif way == "cut":
        del content[place:]
    elif way == "drop":
        del content[place : place + length]
    elif way == "double":
        content[place:place] = part
    elif way == "insert":
        content[place:place] = rng.bytes(length)
    elif way == "zero":
        content[place : place + length] = bytes(len(part))
    else:
        content += rng.bytes(length)
    (path.write_bytes if outside else lambda raw: _write(path, raw))(bytes(content))
    return f"{way} {length} bytes at {place}"


def by_numbers(path: Path, rng: Rng) -> str:
    """Put another number in place of four bytes, as lengths, tags and values of R are."""
    content = bytearray(_read(path))
    place = 2 + 4 * int(rng.integers((len(content) - 2) // 4))
    odd = (-1, 0, 1, 254, 255, 1_000_000, 2**31 - 1, -(2**31), int(rng.integers(64)))
    number = odd[rng.integers(len(odd))]
    content[place : place + 4] = number.to_bytes(4, "big", signed=True)
    _write(path, bytes(content))
    return f"{number} at {place}"


def by_json(path: Path, rng: Rng) -> str:
    """Put something else in place of what a store of Zarr says of itself."""
    says = json.loads(path.read_text())
    key = list(says)[rng.integers(len(says))] if says else "shape"
    values = (None, -1, 0, 10**13, [], [5], [-3], [10**13], "", "|O", "<f8", "<i2", "csc_matrix", {}, {"id": "pickle"})
    value = values[rng.integers(len(values))]
    path.write_text(json.dumps(says | {key: value}))
    return f"{key} is {value}"


def by_loss(path: Path, rng: Rng) -> str:
    """Lose a file, or find a folder, or another file of its kind, in its place."""
    way = ("gone", "folder", "other")[rng.integers(3)]
    others = sorted(file for file in path.parent.parent.rglob(path.name) if file.is_file())
    content = others[rng.integers(len(others))].read_bytes()
    path.unlink()
    if way == "folder":
        path.mkdir()
    elif way == "other":
        path.write_bytes(content)
    return way


def by_lines(path: Path, rng: Rng) -> str:
    """Drop, double, move or join lines."""
    lines = _read(path).split(b"\n")
    place, other = (int(k) for k in rng.integers(len(lines), size=2))
    way = ("drop", "double", "swap", "join", "blank", "comment", "windows")[rng.integers(7)]
    if way == "drop":
        del lines[place]
    elif way == "double":
        lines.insert(other, lines[place])
    elif way == "swap":
        lines[place], lines[other] = lines[other], lines[place]
    elif way == "join":
        lines[place : place + 2] = [b"".join(lines[place : place + 2])]
    elif way == "blank":
        lines.insert(place, b"")
    elif way == "comment":
        lines.insert(place, b"# " + lines[other])
    else:
        lines = [line + b"\r" for line in lines]
    _write(path, b"\n".join(lines))
    return f"{way} line {place} ({other})"


def by_words(path: Path, rng: Rng) -> str:
    """Put something else in place of a field of a line."""
    lines = _read(path).split(b"\n")
    place = int(rng.integers(min(len(lines), 3))) if rng.random() < 0.3 else int(rng.integers(len(lines)))
    signs = {".csv": b",", ".gtf": b"\t", ".bed": b"\t", ".tsv": b"\t", ".mtx": b" "}
    sign = signs.get(Path(path.name.removesuffix(".gz")).suffix, b" ")
    fields = lines[place].split(sign)
    number, word = int(rng.integers(len(fields))), WORDS[rng.integers(len(WORDS))]
    fields[number] = word.encode()
    lines[place] = sign.join(fields)
    _write(path, b"\n".join(lines))
    return f"field {number} of line {place} is {word[:30]!r}"


def by_hdf5(path: Path, rng: Rng) -> str:
    """Change a dataset, a group or an attribute of what is read."""
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visit(names.append)
        used = [
            name
            for name in names
            if not any(part in name for part in ("obsm", "varm", "obsp", "varp", "uns", "obsmap"))
        ]
        name = used[rng.integers(len(used))]
        item = file[name]
        if len(item.attrs) and rng.random() < 0.15:
            return _attribute(item, name, rng)
        if isinstance(item, h5py.Group):
            return _group(file, name, rng)
        return _dataset(file, name, rng)


def _attribute(item: Any, name: str, rng: Rng) -> str:
    key = list(item.attrs)[rng.integers(len(item.attrs))]
    value: Any = (-1, "csc_matrix", np.array([-5, 7]), np.array([10**9, 10**9]), "", 1.5)[rng.integers(6)]
    if rng.random() < 0.3:
        del item.attrs[key]
        return f"attribute {key} of {name} is gone"
    item.attrs[key] = value
    return f"attribute {key} of {name} is {value}"


def _group(file: h5py.File, name: str, rng: Rng) -> str:
    way = rng.integers(4)
    del file[name]
    if way == 0:
        return f"{name} is gone"
    if way == 1:
        file[name] = h5py.ExternalLink("other.h5", "/x")
        return f"{name} is elsewhere"
    if way == 2:
        file[name] = np.arange(3)
        return f"{name} is three numbers"
    file.create_group(name)
    return f"{name} is empty"


def _dataset(file: h5py.File, name: str, rng: Rng) -> str:
    values = file[name][()]
    way = ("value", "value", "value", "order", "short", "long", "type", "texts", "gone", "link", "wide", "record")[
        rng.integers(12)
    ]
    changed: Any = np.atleast_1d(values).copy()
    place = int(rng.integers(max(1, changed.size)))
    if way == "value" and changed.size:
        if changed.dtype.kind in "iuf":
            odd = (-1, 0, 1, 3, 2**31 - 1, 1_000_000, changed.flat[place] + 1, changed.flat[place] - 1, np.nan)
            value = odd[rng.integers(len(odd))]
            if isinstance(value, float) and np.isnan(value):
                changed = changed.astype(float)
            changed.flat[place] = np.asarray(value).astype(changed.dtype)
        else:
            changed.flat[place] = (b"", b"x", b"nan", b"chr1:5-2", b"\xff\xfe", changed.flat[0])[rng.integers(6)]
    elif way == "order":
        changed = changed[::-1].copy()
    elif way == "short":
        changed = changed[: place // 2]
    elif way == "long":
        changed = np.concatenate([changed, changed[:3]])
    elif way == "type":
        kind = ("f4", "i1", "u8", "bool", "complex64")[rng.integers(5)]
        changed = changed.astype(kind) if changed.dtype.kind in "iufb" else np.zeros(changed.shape, kind)
    elif way == "texts":
        changed = np.array([b"one"] * changed.size)
    elif way == "wide":
        changed = np.repeat(changed[:, None], 2, axis=1) if changed.ndim == 1 else changed.ravel()
    elif way == "record":
        changed = np.zeros(changed.shape, dtype=[("a", "i4"), ("b", "f8")])
    attributes = dict(file[name].attrs)
    del file[name]
    if way == "link":
        file[name] = h5py.SoftLink("/nowhere")
    elif way != "gone":
        texts = changed.dtype == object
        file.create_dataset(name, data=changed, dtype=h5py.string_dtype() if texts else None)
        for key, value in attributes.items():
            file[name].attrs[key] = value
    return f"{name}: {way} at {place}"


Mutation = Callable[[Path, Rng], str]
