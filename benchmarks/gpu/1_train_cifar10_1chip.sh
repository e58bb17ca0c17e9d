#!/usr/bin/env bash
# Trains the one-chip CIFAR-10 net, compiles it and simulates all test images. Run again to go on after an interrupt.
# usage: benchmarks/gpu/1_train_cifar10_1chip.sh DATA plain|everything [further options of tncompile run]
#   plain       no image is changed at random, as in Esser et al. 2016
#   everything  crops, flips, label smoothing, a longer training
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:?the folder with CIFAR-10}
common=(train.batch=128 train.learning_rate=0.02 train.warmup=0.02 train.schedule=cosine)
case ${2:?plain or everything} in
  plain) rules=("${common[@]}" train.epochs=60 train.augment.flip=false train.augment.crop=0) ;;
  everything) rules=("${common[@]}" train.epochs=150 train.augment.flip=true train.augment.crop=4 train.label_smoothing=0.1) ;;
  *) echo "the rules are 'plain' or 'everything', not '$2'" >&2; exit 2 ;;
esac
out=runs/gpu_cifar10_1chip_$2
resume=()
[ -d "$out/train/checkpoints" ] && resume=(--resume)
set_options=()
for rule in "${rules[@]}"; do set_options+=(--set "$rule"); done
python -m tncompile run experiments/cifar10_1chip.yaml --out "$out" --set "data.root=$data" "${set_options[@]}" "${resume[@]}" "${@:3}"
cp "$out/results.json" "benchmarks/gpu/1_train_cifar10_1chip_$2.json"
