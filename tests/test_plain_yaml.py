"""A run.yaml and a profile are data: what YAML can do besides is refused with its line, and never run."""

from __future__ import annotations

import os

import pytest
import yaml
from attacks import witness

from scanlink.cluster.profile import load_profile
from scanlink.errors import OptionError
from scanlink.pipeline.config import load_run
from scanlink.plain_yaml import parse_yaml

RUN = "input: x.h5mu\ngenes: genes.gtf.gz\ngroups: {by: celltype}\ncluster: none\n"
PROFILE = "local: {n_workers: 2}\n"
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
# What is added, on which of its lines the fault is, and what is said.
REFUSED = (
    ("5: x\n", 1, "the key 5 is a number in YAML; .*write it in quotes: '5'"),
    ("x: {1.5: x}\n", 1, "the key 1.5 is a number in YAML"),
    ("~: x\n", 1, "the key ~ is nothing in YAML"),
    ("\nno: x\n", 2, "the key no is true or false in YAML"),
    ("[a, b]: x\n", 1, "found a list or table as a key"),
    ("? {a: b}\n: x\n", 1, "found a list or table as a key"),
    ("x: 1\nx: 2\n", 2, "x is given twice, first on line"),
    ("x:\n  - y: 1\n    y: 2\n", 3, "y is given twice, first on line"),
    ("a\0b: 1\n", 1, "the character #x0000 is not allowed"),
    ('x: "a\\0b"\n', 1, "the character #x0000 is not allowed"),
    ('x: "\\e[2J"\n', 1, "the character #x001b is not allowed"),
    ('x: "\\ud800"\n', 1, "the character #xd800 is not allowed"),
    ("x: &a\n  y: *a\n", 2, r"\*a stands inside of what it is a name for"),
    ("x: &a [*a]\n", 1, r"\*a stands inside of what it is a name for"),
    ("x: &a\n  <<: *a\n", 2, r"\*a stands inside of what it is a name for"),
    (LAUGHS, 5, "more than 100,000 values, or .* characters, with those that"),
    ("x: " + "[" * 400_000 + "\n", 1, "more than 50 tables or lists inside each other"),
    ("x: " + "{a: " * 3_000 + "1" + "}" * 3_000 + "\n", 1, "more than 50 tables or lists inside each other"),
    ("\nx: !!python/object/apply:os.mkdir [ran]\n", 2, "the tag '!!python/object/apply:os.mkdir' was found"),
    ("x: !!python/name:os.mkdir\n", 1, "the tag '!!python/name:os.mkdir' was found"),
    ("x: !!timestamp 2024-02-30\n", 1, "the tag '!!timestamp' was found"),
    ("x: !!int many\n", 1, "the tag '!!int' was found"),
    ("x: !mine 5\n", 1, "the tag '!mine' was found"),
    ("x: " + "9" * 5_000 + "\n", 1, "a number of 5,000 digits"),
    ("x: 010\n", 1, "010 is 8 in YAML, which takes it for octal; write '010' in quotes .*else 10"),
    ("x: [10:30]\n", 1, "10:30 would be a number in YAML, counted in sixties; write '10:30' in quotes"),
    ("x: 1:30.5\n", 1, "1:30.5 would be a number in YAML, counted in sixties"),
    ("x: 0x_\n", 1, "0x_ begins as a number and has no digits"),
    ("\nx: [-0b_]\n", 2, "-0b_ begins as a number and has no digits"),
    ('\nx: "\\U00110000"\n', 2, r"\\U00110000 is no character"),
    ('x: "\\UFFFFFFFF"\n', 1, r"\\UFFFFFFFF is no character"),
    (f"x: &a {'x' * 500_000}\ny: [{', '.join(['*a'] * 900)}]\n", 2, "or 10,000,000 characters, with those that"),
    ("---\nx: 1\n", 1, "not valid YAML: but found another document"),
    ("x: *nothing\n", 1, "undefined alias"),
    ("x: {\n", 2, "not valid YAML"),
    ("x: a: b\n", 1, "not valid YAML"),
    (b"x: \xff\xfe\n", 1, "not a text file in UTF-8"),
)


@pytest.mark.parametrize(("load", "good"), [(load_run, RUN), (load_profile, PROFILE)], ids=["run.yaml", "profile"])
@pytest.mark.parametrize(("added", "line", "message"), REFUSED, ids=[message[:40] for *_, message in REFUSED])
def test_yaml__beyond_data_is_refused_with_its_line(added, line, message, load, good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_bytes(good.encode() + (added if isinstance(added, bytes) else added.encode()))
    place = good.count("\n") + line
    with pytest.raises(OptionError, match=rf"mine\.yaml, line {place}: .*{message}"):
        load(path)
    assert [found.name for found in tmp_path.iterdir()] == ["mine.yaml"]
    path.write_text(good)
    load(path)


@pytest.mark.parametrize("text", [added for added, *_ in REFUSED if isinstance(added, str)], ids=repr)
def test_parse_yaml__runs_nothing(text):
    with witness() as events, pytest.raises(OptionError):
        parse_yaml(text + "y: 1\n---\n", name="x")
    assert events == []


@pytest.mark.parametrize("text", [RUN, PROFILE, "a: &a {x: 1}\nb: {<<: *a, y: [1, 1.5, true, ~, 'x']}\n", "", "- a\n"])
def test_parse_yaml__of_plain_data_is_that_of_yaml(text):
    assert parse_yaml(text, name="x").value == yaml.safe_load(text)


def test_parse_yaml__dates_are_texts_even_impossible_ones():
    assert parse_yaml("only: [2024-02-30, 2024-03-01]\n2024-02-30: x", name="x").value == {
        "only": ["2024-02-30", "2024-03-01"],
        "2024-02-30": "x",
    }


@pytest.mark.parametrize("value", ["!!python/name:os.mkdir", "[" * 999, "&a [*a]", "9" * 5_000, "2024-02-30", '"\\0"'])
def test_set__is_read_as_plainly(value, tmp_path):
    (tmp_path / "run.yaml").write_text(RUN)
    with pytest.raises(OptionError, match=r"--set 'scan\.seed=|scan\.seed: "):
        load_run(tmp_path / "run.yaml", changes=[f"scan.seed={value}"])


def test_yaml__of_what_is_no_file_is_not_waited_for(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    (tmp_path / "large.yaml").write_text(RUN + "#" + " " * 1_000_000)
    for name, message in (
        ("folder", "a folder"),
        ("pipe", "a pipe"),
        ("device", "a device"),
        ("large", "at most 1,000,000"),
    ):
        with pytest.raises(OptionError, match=message):
            load_run(tmp_path / f"{name}.yaml")
        with pytest.raises(OptionError, match=r"is not known|at most 1,000,000"):
            load_profile(tmp_path / f"{name}.yaml")
