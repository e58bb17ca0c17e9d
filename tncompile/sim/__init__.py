"""Tick simulators, and what the host computes around the chip."""

from tncompile.sim.engine import ENGINES, Engine, make_engine
from tncompile.sim.host import classify, transduce
from tncompile.sim.run import FrameResult, simulate_frames

__all__ = ["ENGINES", "Engine", "FrameResult", "classify", "make_engine", "simulate_frames", "transduce"]
