"""Model files: round trip, and every way in which one can be broken."""

from __future__ import annotations

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tncompile.arch import TRUENORTH
from tncompile.config.net import NetConfig
from tncompile.errors import ArtifactError
from tncompile.ir.tensors import write_tensors
from tncompile.nn.network import Network, build_network
from tncompile.nn.store import MODEL, load_model, load_spike_counts, publish_model, read_model, save_model


def build(layers: str = "S-4 N-8(2) N-6", seed: int = 0) -> Network:
    net = NetConfig.model_validate({"layers": layers})
    return build_network(net, in_shape=(4, 4, 1), input_bits=4, classes=3, arch=TRUENORTH, seed=seed)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = build()
    network.layers[0].hidden[...] = network.layers[0].hidden[...] * 0.5
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, network, {"seed": 0, "trained": True})
    return path


def test_round_trip(saved: Path) -> None:
    network = build()
    assert load_model(saved, network) == read_model(saved)[0] == {"seed": 0, "trained": True}
    np.testing.assert_array_equal(network.layers[0].hidden[...], build().layers[0].hidden[...] * 0.5)
    again = saved.with_name("again")
    save_model(again, network, {"seed": 0, "trained": True})
    assert again.read_bytes() == saved.read_bytes()


def test_a_published_model_is_small_and_computes_the_same(saved: Path, tmp_path: Path) -> None:
    whole, published, small = build(), build(), tmp_path / "small"
    x = np.random.default_rng(0).integers(0, 16, (3, 4, 4, 1)).astype(np.uint8)
    load_model(saved, whole)
    save_model(tmp_path / "whole", whole, {"seed": 0}, whole.spike_counts(x))
    publish_model(tmp_path / "whole", small)
    assert load_model(small, published) == {"seed": 0}
    assert not any("hidden" in name for name in read_model(small)[1])
    np.testing.assert_array_equal(published.layers[0].hidden[...], whole.layers[0].trinary[...])
    for mine, theirs in zip(published.spikes(x), whole.spikes(x), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    counts = load_spike_counts(small, published)
    assert counts is not None and counts.frames == 3
    publish_model(small, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == small.read_bytes()


def test_publishing_spares_files_of_others(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ArtifactError, match="notes: not a whole safetensors file"):
        publish_model(saved, tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"


def test_spike_counts_are_kept(saved: Path) -> None:
    network = build()
    assert load_spike_counts(saved, network) is None
    counts = network.spike_counts(np.random.default_rng(0).integers(0, 16, (3, 4, 4, 1)).astype(np.uint8))
    path = saved.with_name("counted")
    save_model(path, network, {}, counts)
    load_model(path, network)
    found = load_spike_counts(path, network)
    assert found is not None and found.frames == counts.frames == 3
    for mine, theirs in zip(found.spikes, counts.spikes, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    _, tensors = read_model(path)
    for name in ("conv0/spikes", "samples/frames"):
        write_tensors(path, MODEL, {key: value for key, value in tensors.items() if key != name}, {})
        with pytest.raises(ArtifactError, match="tensor "):
            load_model(path, build())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_or_a_cut_is_found(saved: Path, data: st.DataObject) -> None:
    content = bytearray(saved.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    broken = saved.with_name("broken")
    broken.write_bytes(content)
    with pytest.raises(ArtifactError, match="broken"):
        load_model(broken, build())


def rewritten(saved: Path, **changes: object) -> Path:
    with safetensors.safe_open(saved, "numpy") as file:
        manifest = json.loads(file.metadata()["tncompile"]) | changes
    path = saved.with_name("other")
    path.write_bytes(safetensors.numpy.save(safetensors.numpy.load_file(saved), {"tncompile": json.dumps(manifest)}))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version 2, this tncompile reads version 1"),
        ({"kind": "cake"}, "not a model file"),
        ({"sha256": "0"}, "altered"),
        ({"meta": {"seed": 1}}, "altered"),
    ],
)
def test_another_header(saved: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        load_model(rewritten(saved, **changes), build())


def test_missing_and_foreign_files(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere"):
        load_model(tmp_path / "nowhere", build())
    with pytest.raises(ArtifactError):
        load_model(tmp_path, build())
    foreign = tmp_path / "foreign"
    foreign.write_bytes(safetensors.numpy.save({"a": np.zeros(2)}))
    with pytest.raises(ArtifactError, match="not a model file"):
        load_model(foreign, build())


def test_another_net_or_seed(saved: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"tensor conv1/bias: the net has float32 \[9\], the file has float32 \[6\]"
    ):
        load_model(saved, build("S-4 N-8(2) N-9"))
    with pytest.raises(ArtifactError, match="tensor conv1/bias: the net has none"):
        load_model(saved, build("S-4 N-8(2)"))
    with pytest.raises(ArtifactError, match="permutation is that of another seed"):
        load_model(saved, build(seed=1))


def test_nan_names_its_layer(tmp_path: Path) -> None:
    network = build()
    network.layers[1].hidden[...] = network.layers[1].hidden[...].at[0].set(jnp.nan)
    save_model(tmp_path / "nan", network, {})
    with pytest.raises(ArtifactError, match="nan: layer conv1: hidden has values that are not finite"):
        load_model(tmp_path / "nan", build())


@pytest.mark.parametrize(
    ("tensor", "value", "message"),
    [
        ("conv1/trinary", 2, "layer conv1: trinary has the value 2, expected is between -1 and 1"),
        ("conv1/hidden", -1.5, "layer conv1: hidden has the value -1.5, expected is between -1 and 1"),
        ("transduction/weights", 1.25, "layer transduction: weights has the value 1.25, expected is between -1 and 1"),
        ("conv0/std", -1, "layer conv0: std has the value -1, expected is at least 0"),
    ],
)
def test_values_outside_their_range(tmp_path: Path, saved: Path, tensor: str, value: float, message: str) -> None:
    meta, tensors = read_model(saved)
    tensors[tensor].flat[-1] = value
    write_tensors(tmp_path / "model", MODEL, tensors, meta)
    with pytest.raises(ArtifactError, match=f"model: {message}"):
        load_model(tmp_path / "model", build())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="cannot be written"):
        save_model(tmp_path / "file" / "model", build(), {})
