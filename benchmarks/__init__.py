"""Side-by-side benchmarks: not part of the installed package, run from a checkout."""
