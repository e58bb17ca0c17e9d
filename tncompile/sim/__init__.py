"""Tick simulators, and what the host computes around the chip."""

from tncompile.sim.choose import Choice, choose_engine
from tncompile.sim.engine import ENGINES, ChipState, Engine, Ticks, make_engine
from tncompile.sim.event_files import InputFile, OutputFile
from tncompile.sim.host import classify, transduce
from tncompile.sim.run import FrameResult, simulate_frames
from tncompile.sim.sources import SpikeList, SpikeSource
from tncompile.sim.spikes import InputSpikes, OutputSpikes
from tncompile.sim.stream import SavedState, Window, read_state, simulate_stream, write_state

__all__ = [
    "ENGINES",
    "ChipState",
    "Choice",
    "Engine",
    "FrameResult",
    "InputFile",
    "InputSpikes",
    "OutputFile",
    "OutputSpikes",
    "SavedState",
    "SpikeList",
    "SpikeSource",
    "Ticks",
    "Window",
    "choose_engine",
    "classify",
    "make_engine",
    "read_state",
    "simulate_frames",
    "simulate_stream",
    "transduce",
    "write_state",
]
