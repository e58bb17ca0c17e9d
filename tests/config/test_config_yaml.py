"""YAML without its traps."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tncompile.config.yaml import MAX_BYTES, dump_yaml, load_yaml, parse_yaml
from tncompile.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-3", -3),
        ("010", 10),
        ("0o10", 8),
        ("0xff", 255),
        ("+4", 4),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("null", None),
        *((word, word) for word in ("no", "yes", "on", "off", "No", "y", "1_000", "12:30", "2026-01-02", "inf", "nan")),
        ("<<", "<<"),
        ("'1'", "1"),
        ("a: b # c", {"a": "b"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("[1, {a: no}]", [1, {"a": "no"}]),
    ],
)  # fmt: skip
def test_scalars_are_those_of_the_core_schema(text: str, value: object) -> None:
    found = parse_yaml(text, "t").values
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "t:3: key 'a' stands twice"),
        ("a:\n  b: 1\n  'b': 2\n", "t:3: key 'a.b' stands twice"),
        ("x: [{a: 1, a: 2}]", "t:1: key 'x.0.a' stands twice"),
        ("a: &x 1\nb: *x\n", "t:2: is not valid YAML: aliases are not supported"),
        ("a: &a [*a]\n", "t:1: is not valid YAML: aliases are not supported"),
        ("a: !!python/object/apply:os.system ['true']", "t:1: tag"),
        ("a: !x 1", "t:1: tag !x is not supported"),
        ("a: !!binary aGk=", "t:1: tag"),
        ("a: [1\nb: 2", "t:2: is not valid YAML"),
        ("a: b: c", "t:1: is not valid YAML"),
        ("\ta: 1", "t:1: is not valid YAML"),
        ("a: 'x", "is not valid YAML"),
        ("a: \x00", "t: is not valid YAML"),
        ("a: 1\n---\nb: 2", "t:2: is not valid YAML"),
        ("1: 2", "t:1: key 1 is not a string; put it in quotes"),
        ("? [1]\n: 2", "t:1: key [1] is not a string"),
        ("null: 2", "t:1: key None is not a string"),
        ("a: 1e999", "t:1: '1e999': is too large"),
        ("a: [.nan]", "t:1: '.nan': is no finite number"),
        ("a: -.Inf", "t:1: '-.Inf': is no finite number"),
        ("a: " + "9" * 5000, "t:1: '9999999"),
        ("a: !!int x", "t:1: 'x': "),
        ("[" * 100_000, "t: is nested too deeply"),
    ],
)
def test_errors_name_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "t")
    assert str(caught.value).startswith(message) or message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_places() -> None:
    document = parse_yaml("a:\n  b: 1\nc:\n- x\n- y: 2\n", "f.yaml")
    assert document.places[("a", "b")] == "f.yaml:2"
    assert document.places[("c", 1, "y")] == "f.yaml:5"


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_yaml(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path)
    path.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_yaml(path)
    path.write_bytes("\ufeffa: é".encode())
    assert load_yaml(path).values == {"a": "é"}
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load_yaml(path)


text = st.text(max_size=12) | st.sampled_from(
    ["no", "1e-3", "", "~", "null", "0x1", "<<", "=", "- a", "a: b", "1.", "#"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def same(a: object, b: object) -> bool:
    """Returns whether two values are equal, types and signs of zero included."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return type(a) is type(b) and a == b


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(text, values, max_size=4))
def test_what_is_dumped_reads_back(data: dict) -> None:
    assert same(parse_yaml(dump_yaml(data), "t").values, data)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!#'\"|>%@ \n\t?,1~", max_size=30))
def test_no_text_raises_anything_but_a_config_error(content: str) -> None:
    try:
        parse_yaml(content, "t")
    except ConfigError as error:
        assert str(error).startswith("t:")
