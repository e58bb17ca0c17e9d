"""Training that is killed again and again comes to the weights of an uninterrupted one."""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

KILLS = 10
EPOCHS = 60

EXPERIMENT = f"""
name: digits
data: {{name: digits, train_limit: 640, test_limit: 50, validation: 0.1}}
net: {{layers: [{{kernel: 3, features: 6}}, {{kernel: 2, stride: 2, features: 20}}, {{kernel: 2, features: 20}}]}}
train: {{epochs: {EPOCHS}, batch: 32, ema: 0.99, dropout: 0.1, ramp: 0.5, keep: best, augment: {{crop: 1, mixup: 0.2}},
        calibrate_batches: 5}}
"""


def command(folder: Path, name: str, *options: str) -> list[str]:
    arguments = ["train", str(folder / "digits.yaml"), "--out", str(folder / name), *options]
    return [sys.executable, "-m", "tncompile", *arguments]


def epochs_done(folder: Path) -> int:
    """Returns how many epochs the killed training has measured."""
    metrics = folder / "killed" / "train" / "metrics.jsonl"
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0


def test_ten_kills_at_random_moments(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text(EXPERIMENT)
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    env = os.environ | cache | {"JAX_PLATFORMS": "cpu"}
    subprocess.run(command(tmp_path, "whole"), check=True, capture_output=True, env=env)
    history = [json.loads(line) for line in (tmp_path / "whole/train/metrics.jsonl").read_text().splitlines()]
    assert len(history) == EPOCHS
    epoch_s, moments = statistics.median(epoch["seconds"] for epoch in history), random.Random(0)
    done = [0]
    for kill in range(KILLS):
        resume = ["--resume"] if kill else []
        goal = epochs_done(tmp_path) + moments.randint(0, 3)
        with subprocess.Popen(
            command(tmp_path, "killed", *resume, "-q"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env
        ) as process:
            while epochs_done(tmp_path) < goal and process.poll() is None:
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 2) * epoch_s)  # somewhere within an epoch or a checkpoint, or at the start
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "it was not through"
        done.append(epochs_done(tmp_path))
    assert len(set(done)) > 4, "it got on between the kills"
    subprocess.run(command(tmp_path, "killed", "--resume"), check=True, capture_output=True, env=env)
    whole, killed = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed"))
    assert killed == whole
