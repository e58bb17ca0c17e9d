"""Measures the simulator beside everything else that one could use, in one run, and remakes the tables of the README.

usage: python -m benchmarks.simulator [--cases a b c] [--engines NAME …] [--rivals NAME …] [--batch N …] [--quick]

    a   a full chip of random crossbars, 2 % and 10 % of its neurons firing a tick
    b   the one-chip CIFAR-10 net
    c   how the cost grows from 64 cores to 65,536, 16 chips

Each contestant has a process of its own; those of a table's column take turns, so what disturbs one disturbs all. What
is measured is also checked: all must come to the spikes (and potentials) of the oracle. Lines that the JSON file has
for this machine, these versions and these sources are kept.
"""

# Every process that this one starts imports this module again, so it imports nothing that they do not need.

if __name__ == "__main__":
    from benchmarks.cases import main
    from benchmarks.workers import Failed

    try:
        raise SystemExit(main(__doc__))
    except Failed as error:
        raise SystemExit(f"error: {error}") from error
