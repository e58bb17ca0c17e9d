"""The notation of IBM's files: comments, repeated keys, runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tncompile.errors import ArtifactError
from tncompile.foreign.ibm_text import compress_runs, expand_runs, load_json, strip_comments

LIMIT = 64


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('/* a */{"a": 1}', {"a": 1}),
        ('{"a": 1}// b', {"a": 1}),
        ('{"a": 1} /* b\n // c */ // d\n', {"a": 1}),
        ('{"a" /* "x" */ : /**/ 1 /***/ }', {"a": 1}),
        ('{"a": "/* b */ // c"}', {"a": "/* b */ // c"}),
        ('{"a": "\\"/* b */", /* " */ "b": "\\\\"}', {"a": '"/* b */', "b": "\\"}),
        ('{"a": "http://b"} // c "', {"a": "http://b"}),
        ('// one\n/* two */ // three\n{"a": "/"}', {"a": "/"}),
        ("{}/* a */", {}),
    ],
)
def test_comments_are_no_part_of_the_text(text: str, value: dict) -> None:
    assert json.loads(strip_comments(text)) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text('ab"\\/*\n', max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"/*', max_size=4), inner, max_size=4),
        max_leaves=12,
    ),
    st.data(),
)
def test_comments_anywhere_between_tokens(value: object, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=False)
    tokens = json.dumps(value, separators=("\0,", "\0:")).split("\0") if "\0" not in text else [text]
    comment = st.sampled_from(["", " ", "/**/", '/* " // */', "// ' \" /*\n", "/* \n */ //\n"])
    commented = "".join(data.draw(comment) + token for token in tokens) + data.draw(comment)
    assert json.loads(strip_comments(commented)) == value


def test_a_long_text_takes_time_in_proportion() -> None:
    """A search that went back at the end of the text, or at a quote that nobody closes, would never end."""
    strip_comments('{"a": 1} /* b */' + "[1, 2, 3]" * 100_000)
    strip_comments("/" + "/ *" * 100_000 + '"' + "/ *" * 100_000)
    strip_comments("{} /* " + '"' * 300_000)


def load(tmp_path: Path, content: str | bytes) -> dict:
    path = tmp_path / "model.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_json(path)


def test_a_repeated_core_is_a_list(tmp_path: Path) -> None:
    assert load(tmp_path, '{"core": 1, "a": {"b": 2}, "core": [3], "core": 4}') == {"core": [1, [3], 4], "a": {"b": 2}}
    assert load(tmp_path, '\ufeff{"core": 1}') == {"core": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' stands twice in one object, only 'core' may"),
        ('{"b": {"a": 1, "core": 1, "core": 2, "a": 1}}', "key 'a' stands twice"),
        ('{"a": /* one\n two */ 1,\n "b": x}', "line 3, column 7: Expecting value"),
        ('{"a": 1, /* never closed\n', "line 1, column 10"),
        ('{"a": "never closed', "line 1, column 7: Unterminated string"),
        ("", "line 1, column 1: Expecting value; it is truncated or not JSON"),
        ("[1]", "holds a [1], expected an object"),
        ("[" * 100_000, "is not a model file"),
        (f'{{"a": {"9" * 5000}}}', "is not a model file"),
        (b"\x00\xff\x00tnbm", "byte 1 is not UTF-8 text; a model in IBM's binary form"),
    ],
)
def test_what_is_no_such_json_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        load(tmp_path, content)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'model.json'}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read: No such file"):
        load_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("runs", "numbers"),
    [
        (["0:3"], [0, 1, 2, 3]),
        (["1x3"], [1, 1, 1]),
        (["-2x3"], [-2, -2, -2]),
        (["18:2:22"], [18, 20, 22]),
        (["0:2:5"], [0, 2, 4]),
        (["5:-1:2"], [5, 4, 3, 2]),
        (["-1:-2:-6"], [-1, -3, -5]),
        (["5:3"], [5, 4, 3]),
        (["-3:1"], [-3, -2, -1, 0, 1]),
        (["7:7"], [7]),
        (["4:3:4"], [4]),
        ([7, "8", -9, "-10", 11.0], [7, 8, -9, -10, 11]),
        (["1x2", 5, "6:7", "0x0"], [1, 1, 5, 6, 7]),
        (["0X2", " 3 x 2 ", "4 : 5"], [0, 0, 3, 3, 4, 5]),
        ("0:2", [0, 1, 2]),
        ("0:2, 9 -1x2", [0, 1, 2, 9, -1, -1]),
        (6, [6]),
        ([], []),
    ],
)
def test_runs(runs: object, numbers: list[int]) -> None:
    np.testing.assert_array_equal(expand_runs(runs, LIMIT), np.array(numbers, np.int64))


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (["a"], '"a" is neither a number nor a run'),
        (["1x"], '"1x" is neither'),
        (["1:2:3:4"], "is neither"),
        (["1x-2"], "is neither"),
        (["1.5"], "is neither"),
        (["0x1F"], '"0x1F" is neither'),
        ([True], "true is neither"),
        ([None], "null is neither"),
        ([0.5], "0.5 is neither"),
        ([[1]], "[1] is neither"),
        ({"a": 1}, "is neither"),
        (["1:0:5"], "never gets from 1 to 5"),
        (["1:-1:5"], "never gets from 1 to 5; change the sign"),
        (["5:1:1"], "never gets from 5 to 1"),
        (["1x65"], "are 65 values, at most 64 fit"),
        (["0x999999999999"], "at most 64 fit"),
        (["0:64"], "are 65 values"),
        (["0:999999999999"], "at most 64 fit"),
        (["1x40", "1x40"], "has more than 64 values"),
        (["9" * 100], "is neither"),
        ([1 << 70], "more than 64 bits"),
    ],
)
def test_what_is_no_run_is_refused(runs: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        expand_runs(runs, LIMIT)
    assert message in str(caught.value)


def pieces() -> st.SearchStrategy[tuple[object, list[int]]]:
    """Draws a run, written in one of its ways, and its numbers."""
    number = st.integers(-(1 << 40), 1 << 40)
    step = st.integers(-5, 5).filter(bool)
    count = st.integers(1, 9)
    plain = number.flatmap(
        lambda a: st.sampled_from([a, str(a), f" {a} ", f"{a}x1", f"{a}:{a}"]).map(lambda r: (r, [a]))
    )
    equal = st.tuples(number, count).map(lambda t: (f"{t[0]}x{t[1]}", [t[0]] * t[1]))
    steps = st.tuples(number, step, count).map(
        lambda t: (f"{t[0]}:{t[1]}:{t[0] + t[1] * (t[2] - 1)}", [t[0] + t[1] * i for i in range(t[2])])
    )
    ranges = st.tuples(number, count).map(lambda t: (f"{t[0]}:{t[0] + t[1] - 1}", [t[0] + i for i in range(t[1])]))
    return plain | equal | steps | ranges


@given(st.lists(pieces(), max_size=12))
def test_lists_of_runs_are_their_runs_in_a_row(drawn: list[tuple[object, list[int]]]) -> None:
    numbers = [number for _, run in drawn for number in run]
    np.testing.assert_array_equal(expand_runs([run for run, _ in drawn], 200), np.array(numbers, np.int64))
    joined = ",".join(str(run) for run, _ in drawn)
    np.testing.assert_array_equal(expand_runs(joined, 200), np.array(numbers, np.int64))


@given(st.lists(st.integers(-3, 3) | st.integers(-(1 << 40), 1 << 40), max_size=40))
def test_compressed_lists_come_back(numbers: list[int]) -> None:
    values = np.array(numbers, np.int64)
    runs = compress_runs(values)
    np.testing.assert_array_equal(expand_runs(json.loads(json.dumps(runs)), 40), values)
    assert len(runs) <= len(numbers)


def test_lists_are_compressed_as_ibm_does() -> None:
    written = [18, 20, 22, 5, 5, -1, -1, -1, -1, *range(256), 7]
    assert compress_runs(np.array(written)) == ["18:2:22", 5, 5, "-1x4", "0:255", 7]
