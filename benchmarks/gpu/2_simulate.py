"""Measures the packed engine on the one-chip CIFAR-10 net, untrained, over numbers of streams.

usage: python benchmarks/gpu/2_simulate.py [--streams 1 16 64 512]

Results already in the JSON file beside this script, for the same device and version, are kept.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tncompile.arch import ChipArch
from tncompile.cli.terminal import terminal
from tncompile.config.experiment import load_experiment
from tncompile.data import load_spec
from tncompile.ir import ChipImage
from tncompile.ir.io import atomic_write, read_stage
from tncompile.sim import simulate_frames, transduce
from tncompile.workflow import RunFolder, commit, compile_step, device, random_images, versions

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_suffix(".json")
FRAMES_A_STREAM = 64


def main() -> None:
    """Measures what is missing and writes the file after each line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64, 512])
    streams = parser.parse_args().streams
    key = f"{device()}, tncompile {versions()['tncompile']}, jax {versions()['jax']}"
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    lines = results.setdefault(key, {})

    experiment = load_experiment(ROOT / "experiments" / "cifar10_1chip.yaml")
    with tempfile.TemporaryDirectory() as folder, terminal(quiet=True) as quiet:
        compile_step(experiment, RunFolder(Path(folder)), quiet, untrained=True)
        image = read_stage(RunFolder(Path(folder)).image, expect=ChipImage)
    assert image.host is not None
    arch = ChipArch.model_validate_json(image.arch)
    spec = load_spec(experiment.data)
    for count in streams:
        if str(count) in lines:
            continue
        bits = transduce(image.host, random_images(spec, count * FRAMES_A_STREAM, experiment.seed))
        result = simulate_frames(image, arch, bits, engine="packed", streams=count)
        lines[str(count)] = {
            "frames_per_s": result.frames_per_s,
            "ticks_per_s": result.ticks_per_s,
            "commit": commit(),
        }
        print(
            f"{count:4} streams: {result.ticks_per_s:12,.0f} ticks/s {result.frames_per_s:12,.0f} frames/s", flush=True
        )
        atomic_write(RESULTS, json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
