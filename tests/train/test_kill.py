"""Training that is killed again and again comes to the weights of an uninterrupted one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

KILLS = 10
EPOCHS = 50

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


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("killed/train/checkpoints/epoch-*"))


def test_ten_kills_at_random_moments(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text(EXPERIMENT)
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    env = os.environ | cache | {"JAX_PLATFORMS": "cpu"}
    whole = subprocess.run(command(tmp_path, "whole", "--json"), check=True, capture_output=True, text=True, env=env)
    trained = json.loads(whole.stdout)["train"]
    assert trained["epochs"] == EPOCHS
    moments, epoch_s = random.Random(0), trained["seconds"] / EPOCHS
    seen: set[str] = set()
    for kill in range(KILLS):
        resume = ["--resume"] if kill else []
        with subprocess.Popen(
            command(tmp_path, "killed", *resume), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=env
        ) as process:
            assert process.stderr is not None
            assert any(line.startswith("  train ") for line in process.stderr), "it trains"
            time.sleep(moments.uniform(0, 6) * epoch_s)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "it was not through"
        seen |= set(checkpoints(tmp_path))
    assert len(seen) > 3, "it got on between the kills"
    subprocess.run(command(tmp_path, "killed", "--resume"), check=True, capture_output=True, env=env)
    whole_bytes, killed_bytes = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed"))
    assert killed_bytes == whole_bytes
