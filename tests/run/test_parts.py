"""Parts: whole and unaltered, or not counted."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scanlink.errors import RunError
from scanlink.files import replace_file
from scanlink.run import Block, Parts
from scanlink.run.parts import content_digest

BLOCK = Block(7, 0, 0, 3, 1.0)
TABLE = pa.table(
    {
        "row": [1, 2, 3],
        "beta": [0.5, float("nan"), None],
        "status": ["ok", None, "peak_rare"],
        "converged": [True, None, False],
    }
)


@pytest.fixture
def parts(tmp_path) -> Parts:
    made = Parts(tmp_path, "plan")
    made.write(BLOCK, TABLE)
    return made


def test_parts__are_read_as_they_were_written(parts):
    assert parts.is_done(BLOCK)
    assert parts.present() == {7}
    assert content_digest(parts.read([BLOCK])) == content_digest(TABLE)


@pytest.mark.parametrize("place", np.linspace(0.02, 0.98, 12))
def test_parts__a_changed_byte_anywhere_never_gives_other_numbers(parts, place):
    content = bytearray(parts.path(BLOCK).read_bytes())
    content[int(place * len(content))] ^= 0xFF
    parts.path(BLOCK).write_bytes(content)
    if parts.is_done(BLOCK):
        # In a place that no value depends on.
        assert content_digest(parts.read([BLOCK])) == content_digest(TABLE)


def test_parts__values_changed_by_another_program_are_found(parts):
    table = pq.read_table(parts.path(BLOCK))
    changed = table.set_column(0, "row", pa.array([1, 2, 4]))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), parts.path(BLOCK))
    assert parts.fault(BLOCK) == "its content is not what was written"
    with pytest.raises(RunError, match=r"part block-000007.parquet cannot be used \(its content"):
        parts.read([BLOCK])


@pytest.mark.parametrize(
    ("column", "other"),
    [
        (pa.array(["ab", "c"]), pa.array(["a", "bc"])),
        (pa.array([1.0, None]), pa.array([1.0, float("nan")])),
        (pa.array([0, 1]), pa.array([0.0, 1.0])),
        (pa.array([None, "x"]), pa.array(["", "x"])),
        (pa.array([0.0]), pa.array([-0.0])),
    ],
)
def test_content_digest__tells_apart(column, other):
    assert content_digest(pa.table({"x": column})) != content_digest(pa.table({"x": other}))
    assert content_digest(pa.table({"x": column})) == content_digest(pa.table({"x": pa.chunked_array([column])}))


def test_inspect__says_what_is_wrong_with_each(parts):
    blocks = [BLOCK, *(Block(number, 0, 0, 3, 1.0) for number in (1, 2, 3, 4))]
    for block in blocks[1:4]:
        parts.write(block, TABLE)
    parts.path(blocks[1]).write_bytes(parts.path(blocks[1]).read_bytes()[:-20])
    parts.path(blocks[2]).write_bytes(b"")
    os.replace(parts.path(blocks[3]), parts.path(blocks[4]))
    done, faults = parts.inspect(blocks)
    assert done == {7}
    assert set(faults) == {1, 2, 4}
    assert faults[4] == "it is of another plan"


def test_replace_file__leaves_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "table"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("half")
        raise OSError(28, os.strerror(28))

    with pytest.raises(RunError, match="No space left on device"):
        replace_file(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_sweep__deletes_what_a_killed_writer_left(parts):
    (parts.folder / ".block-000001.parquet.0a1b2c3d").write_text("half")
    parts.sweep()
    assert [path.name for path in parts.folder.iterdir()] == ["block-000007.parquet"]
