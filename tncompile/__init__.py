"""tncompile: train, compile and simulate trinary spiking networks for TrueNorth-class chips."""

__version__ = "0.1.0"
