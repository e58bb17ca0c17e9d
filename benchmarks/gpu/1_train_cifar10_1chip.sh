#!/usr/bin/env bash
# Trains the one-chip CIFAR-10 net, compiles and simulates it. Run again to go on after an interrupt.
# usage: benchmarks/gpu/1_train_cifar10_1chip.sh DATA [further options of tncompile run]
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:?the folder with CIFAR-10}
out=runs/gpu_cifar10_1chip
resume=()
[ -d "$out/train/checkpoints" ] && resume=(--resume)
python -m tncompile run experiments/cifar10_1chip.yaml --out "$out" --set "data.root=$data" "${resume[@]}" "${@:2}"
cp "$out/results.json" benchmarks/gpu/1_train_cifar10_1chip.json
