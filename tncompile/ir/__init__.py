"""The stages of a compilation, one module each, and how they are written down.

LogicalNet → TrinaryNet → CoreGraph → PartitionedGraph → PlacedChip → RoutedChip → ChipImage
"""

from tncompile.ir.base import Record, Stage
from tncompile.ir.core_graph import INPUT_LAYER, NO_TARGET, OUTPUT_PIN, UNUSED, CoreGraph, CoreKind, InputLines
from tncompile.ir.image import ChipImage, Host, InputPackets
from tncompile.ir.logical import (
    NORM_EPSILON,
    BatchNorm,
    Conv,
    LogicalLayer,
    LogicalNet,
    Readout,
    SpikeCounts,
    Transduction,
)
from tncompile.ir.neuron import NeuronTable, ResetMode, stateless_table
from tncompile.ir.partitioned import PartitionedGraph
from tncompile.ir.placed import PlacedChip
from tncompile.ir.routed import Detours, Direction, Relays, RoutedChip, graph_of, sites_of
from tncompile.ir.synapse import SCHEMES, PairScheme, SynapseScheme, check_fan_in
from tncompile.ir.trinary import TrinaryNet

__all__ = [
    "INPUT_LAYER", "NORM_EPSILON", "NO_TARGET", "OUTPUT_PIN", "SCHEMES", "UNUSED",
    "BatchNorm", "ChipImage", "Conv", "CoreGraph", "CoreKind", "Detours", "Direction", "Host", "InputLines",
    "InputPackets", "LogicalLayer", "LogicalNet", "NeuronTable", "PairScheme", "PartitionedGraph", "PlacedChip",
    "Readout", "Record", "Relays", "ResetMode", "RoutedChip", "SpikeCounts", "Stage", "SynapseScheme", "Transduction",
    "TrinaryNet", "check_fan_in", "graph_of", "sites_of", "stateless_table",
]  # fmt: skip
