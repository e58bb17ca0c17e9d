"""What `tncompile data` finds out: lists, descriptions, prepared copies, and checks that can fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.dataset_files import (
    images,
    refused,
    write_cifar10,
    write_flickr_logos32,
    write_folder,
    write_gtsrb,
    write_mnist,
    write_svhn,
)

from tncompile.config.data import DataConfig
from tncompile.data import files, load_description
from tncompile.data.manage import check_verdicts, data_config, describe, list_datasets, prepare, verify_dataset
from tncompile.data.spec import DatasetSpec
from tncompile.errors import ArtifactError, ConfigError
from tncompile.share import dataset_names


class Silent:
    """A reporter that says nothing."""

    def say(self, text: str) -> None:
        """Drops a line."""

    def progress(self, phase: str, done: int, total: int, figures: Any) -> None:
        """Drops a figure."""


def verified(config: DataConfig) -> dict[str, tuple[str, str]]:
    """Returns verdict and detail of each check."""
    rows = verify_dataset(config, Silent())
    assert len({row["check"] for row in rows}) == len(rows)
    return {row["check"]: (row["verdict"], row["detail"]) for row in rows}


def npz(folder: Path, **changes: Any) -> DataConfig:
    """Writes a file of arrays and returns what an experiment says of it."""
    x, y = images(60, 0, 3, 4)
    made = {"x_train": x[:40], "y_train": y[:40], "x_test": x[40:], "y_test": y[40:]} | changes
    np.savez(folder / "data.npz", **made)
    return DataConfig(name="npz", root=str(folder))


def test_a_list_of_all_data_sets(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    write_mnist(tmp_path / "mnist")
    rows = {row["name"]: row for row in list_datasets(tmp_path)}
    assert sorted(rows) == dataset_names()
    assert (rows["mnist"]["found"], rows["mnist"]["kind"]) == ("idx", "real")
    assert rows["mnist"]["folder"] == str(tmp_path / "mnist")
    assert rows["cifar10"]["found"] == rows["digits"]["found"] == ""  # only there
    assert {row["name"]: row for row in list_datasets(None)}["digits"]["found"] == "csv"
    assert {rows[name]["get"] for name in ("mnist", "gtsrb")} == {"fetch"}
    assert (rows["folder"]["get"], rows["digits"]["get"], rows["flickr_logos32"]["get"]) == (
        "your own", "comes along", "by hand",
    )  # fmt: skip


@pytest.mark.parametrize("name", dataset_names())
def test_every_data_set_can_be_described(name: str) -> None:
    found = describe(DataConfig(name=name))
    described = load_description(name)
    assert found["title"] == described.title
    assert [row["layout"] for row in found["layouts"]] == list(described.layouts)
    assert [row["option"] for row in found["options"]] == list(described.options)
    assert len(found["downloads"]) == len(described.downloads)
    if isinstance(described, DatasetSpec):
        assert found["classes"] == described.classes
        assert f"train {described.splits['train']:,}" in found["splits"]
    assert (found["found"] == "no") == (name not in ("digits", "fashion_mnist")) or name == "fashion_mnist"


def test_a_description_says_what_is_prepared(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train": ["a/1.png", "b/1.png"], "test": ["a/2.png"]})
    config = data_config("folder", tmp_path, ["options.size=[8,8]"])
    assert describe(config)["prepared"] == "no"
    figures = prepare(config, Silent())
    assert describe(config)["prepared"] == figures["prepared"]
    assert describe(config)["splits"] == "train 2, test 1"
    assert (figures["train_images"], figures["test_images"], figures["layout"]) == (2, 1, "folder")
    assert Path(figures["prepared"]).stat().st_size == figures["bytes"]


def test_any_layout_can_be_prepared(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    figures = prepare(data_config("mnist", tmp_path), Silent())
    assert Path(figures["prepared"]).is_relative_to(files.cache_folder())
    checks = verified(data_config("mnist", tmp_path))
    assert checks["prepared copy"] == ("OK", f"{figures['prepared']} holds the same")


def test_digits_are_in_order() -> None:
    checks = verified(DataConfig(name="digits"))
    assert {verdict for verdict, _ in checks.values()} == {"OK"}
    assert checks["file digits.csv.gz"] == ("OK", "has the published checksum")
    assert checks["count of train"] == ("OK", "1,348 images")
    assert checks["images of train and test"][1] == "0 of test are pixel by pixel also in train"
    check_verdicts("digits", [])


def test_a_changed_file_and_wrong_counts_are_found(tmp_path: Path) -> None:
    write_cifar10(tmp_path, python=True)
    checks = verified(data_config("cifar10", tmp_path))
    assert checks["file data_batch_1"][0] == "wrong"
    assert "is not that of the published file" in checks["file data_batch_1"][1]
    assert checks["count of test"] == ("wrong", "7 images, expected 10,000")
    with pytest.raises(ArtifactError, match=r"cifar10: 8 of 1\d checks found something wrong: file data_batch_1, "):
        check_verdicts("cifar10", verify_dataset(data_config("cifar10", tmp_path), Silent()))


def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    write_cifar10(tmp_path, python=True)
    (tmp_path / "data_batch_2").write_bytes(b"x")
    checks = verified(data_config("cifar10", tmp_path))
    assert list(checks) == ["read"]
    assert checks["read"][0] == "wrong" and str(tmp_path / "data_batch_2") in checks["read"][1]


def test_images_in_two_parts_are_counted(tmp_path: Path) -> None:
    x, _ = images(60, 0, 3, 4)
    config = npz(tmp_path, x_test=np.concatenate([x[:2], x[42:]]))
    assert verified(config)["images of train and test"] == ("note", "2 of test are pixel by pixel also in train")


def test_groups_of_parts(tmp_path: Path) -> None:
    groups = {"group_train": np.arange(40) // 4, "group_test": np.full(20, 77)}
    checks = verified(npz(tmp_path, **groups))
    assert checks["groups of train and test"] == ("OK", "0 in both")
    assert checks["validation of 0.1"][1].endswith(" of 10 groups; 0 torn apart")
    config = npz(tmp_path, **(groups | {"group_test": np.full(20, 3)}))
    assert verified(config)["read"][0] == "wrong"


def test_absent_classes_are_noted(tmp_path: Path) -> None:
    config = npz(tmp_path, class_names=np.array(["a", "b", "c", "d"]))
    assert verified(config)["classes of test"][0] == "note"
    assert verified(config)["classes of test"][1].endswith("none of d")


def test_photographs_are_counted_where_they_give_several_images(tmp_path: Path) -> None:
    described = load_description("flickr_logos32")
    assert isinstance(described, DatasetSpec)
    write_flickr_logos32(tmp_path, list(described.class_names[:-1]))
    checks = verified(data_config("flickr_logos32", tmp_path))
    assert checks["read"][1] == "train 67 images, test 67 images"
    assert checks["count of test"] == ("wrong", "35 groups, expected 3,960")
    chosen = verified(data_config("flickr_logos32", tmp_path, ["options.train=trainset"]))
    assert chosen["count of train"] == ("wrong", "32 groups, expected 320")
    assert chosen["count of validation"] == ("wrong", "35 groups, expected 3,960")
    assert chosen["groups of train and validation"] == ("OK", "0 in both")


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_wrong_prepared_copy_is_found(tmp_path: Path, damage: str) -> None:
    config = npz(tmp_path)
    path = Path(prepare(config, Silent())["prepared"])
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:  # that of other images, in its place
        (tmp_path / "other").mkdir()
        x, _ = images(40, 5, 3, 4)
        path.write_bytes(Path(prepare(npz(tmp_path / "other", x_train=x), Silent())["prepared"]).read_bytes())
    verdict, detail = verified(config)["prepared copy"]
    assert verdict == "wrong" and str(path) in detail
    assert ("truncated" if damage == "cut" else "holds something else") in detail


@pytest.mark.parametrize("name", ["gtsrb", "svhn"])
def test_progress_is_told(tmp_path: Path, name: str) -> None:
    told = []

    class Telling(Silent):
        def progress(self, phase: str, done: int, total: int, figures: Any) -> None:
            told.append((phase, done, total))

    if name == "gtsrb":
        write_gtsrb(tmp_path, tracks=4, frames=3)
    else:
        write_svhn(tmp_path)
        write_svhn(tmp_path, "test")
    prepare(data_config(name, tmp_path), Telling())
    assert told == ([("read", 500, 524)] if name == "gtsrb" else [("read", 1, 2), ("read", 2, 2)])


def test_keys_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.rot: unknown key; did you mean root\?"):
        data_config("mnist", None, ["rot=x"])
    with pytest.raises(ConfigError, match=r"'mnits' is no data set; did you mean mnist"):
        data_config("mnits", None)
    assert "data.layout: mnist has no 'idc'; did you mean idx?" in refused("mnist", tmp_path, layout="idc")
    assert data_config("mnist", tmp_path, ["layout=idx"]) == DataConfig(name="mnist", root=str(tmp_path), layout="idx")
