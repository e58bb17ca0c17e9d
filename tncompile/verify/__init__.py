"""Verifiers: one module a stage, each recomputes the stage's invariants from first principles."""
