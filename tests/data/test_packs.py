"""Packs of real images, where a developer has them: in the folder that TNCOMPILE_DATA names when the tests start."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support.dataset_files import load

FOLDER = Path(os.environ.get("TNCOMPILE_DATA", "/nonexistent"))

PACKS = {
    ("cifar10", "jpeg_pack"): "cifar10.npz",
    ("cifar10", "exact_test_pack"): "cifar10_lossless_test1017.npz",
    ("cifar100", "pack"): "cifar100_partial.npz",
    ("cifar100_coarse", "pack"): "cifar100_partial.npz",
    ("svhn", "pack"): "svhn_partial.npz",
    ("svhn", "chars74k_pack"): "chars74k_digits.npz",
    ("gtsrb", "pack"): "gtsrb.npz",
    ("flickr_logos27", "pack"): "flickr_logos27_crops.npz",
}


HERE = [key for key, file in PACKS.items() if (FOLDER / file).is_file()]

if HERE:

    @pytest.mark.parametrize("name, layout", HERE)
    def test_a_pack_is_what_its_description_says(name: str, layout: str) -> None:
        data = load(name, FOLDER, layout=layout, validation=0.1)
        expected = data.spec.splits_of(layout, {})
        assert len(data.x_train) + len(data.x_validation) == expected["train"]
        assert len(data.x_test) == expected["test"]
        assert data.provenance["kind"] == data.spec.layouts[layout].kind
        assert data.provenance["missing"] == data.spec.layouts[layout].missing
        assert set(data.y_train.tolist()) == set(range(data.spec.classes))
        assert abs(len(data.x_validation) / expected["train"] - 0.1) < 0.03
        # Images of real things: brighter and darker ones, and neighbours are alike.
        assert data.x_train.mean((1, 2, 3)).std() > 10
        some = data.x_test[:200].astype(int)
        assert np.abs(np.diff(some, axis=2)).mean() < 0.6 * np.abs(np.diff(some, axis=0)).mean()
