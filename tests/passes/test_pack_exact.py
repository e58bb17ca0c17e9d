"""pack against all plans there are, on nets small enough to try them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from support.random_nets import random_net

from passes.pack import PackConfig, pack
from passes.pack.assembly import items_of, sources_of
from passes.pack.constants import no_constants
from passes.pack.layout import lay_out
from passes.pack.plan import Block, Plan
from passes.pack.share import seat
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.analysis.blocks import Box, Shape, boxes_of, shapes_of
from tncompile.analysis.core_bound import least_cores
from tncompile.arch import ChipArch
from tncompile.errors import CapacityError
from tncompile.ir import SCHEMES

SCHEME = SCHEMES["pair"]
MOST = 400  # combinations that are tried


def cuts(width: int, height: int, boxes: dict[Box, int], covered: frozenset = frozenset()) -> Iterator[list[Box]]:
    """Yields all ways to cut a rectangle into boxes, not only into strips."""
    if len(covered) == width * height:
        yield []
        return
    y, x = min((y, x) for y in range(height) for x in range(width) if (x, y) not in covered)
    for x1, y1 in product(range(x + 1, width + 1), range(y + 1, height + 1)):
        here = {(i, j) for i in range(x, x1) for j in range(y, y1)}
        if (x, x1, y, y1) in boxes and not here & covered:
            for rest in cuts(width, height, boxes, covered | here):
                yield [(x, x1, y, y1), *rest]


def plans(shape: Shape, arch: ChipArch) -> Iterator[Plan]:
    """Yields all plans of a layer, with up to two chunks more than needed."""
    features, x, y = shape.conv.features_per_group, shape.x, shape.y
    for cut in cuts(len(x.needed), len(y.needed), boxes_of(shape, arch, SCHEME)):
        options = []
        for x0, x1, y0, y1 in cut:
            least = -(-features // (arch.neurons // ((x1 - x0) * (y1 - y0))))
            where = x.needed[x0:x1], y.needed[y0:y1], x.taps(x0, x1), y.taps(y0, y1)
            options.append([Block(*where, chunks) for chunks in range(least, min(features, least + 2) + 1)])
        for blocks in product(*options):
            yield Plan(shape, tuple(sorted(blocks, key=lambda block: (block.ys[0], block.xs[0]))))


@pytest.mark.parametrize("seed", range(32))
def test_no_plan_needs_fewer_cores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = random_net(seed, inputs=8, layers=2, size=3, features=4)
    arch = ChipArch(axons=16, neurons=int(rng.choice([8, 16, 24])))
    limit, share = (None, 1, 2, 3)[seed % 4], bool(seed // 4 % 2)
    trinary = trinarize(net, arch, TrinarizeConfig(), seed=0)
    convs = tuple(layer.conv for layer in net.layers)
    tried = [list(plans(shape, arch)) for shape in shapes_of(convs, trim=True)]
    if len(tried[0]) * len(tried[1]) > MOST:
        tried = [[*some[:: -(-len(some) // 20)]] for some in tried]  # a sample, which pack must beat all the same
    counts = []
    for plan in product(*tried):
        layouts = lay_out(trinary, plan, no_constants(trinary), SCHEME, drop_unread=False)
        try:
            items = items_of(layouts, sources_of(layouts, limit, arch))
        except CapacityError:
            continue
        counts.append(seat(items, arch, share=share).cores)
    config = PackConfig(
        packets_per_bit="all" if limit is None else limit, share_cores=share, drop_unread=False, fold_constants=False
    )
    cores = pack(trinary, arch, config, seed=0).cores
    assert cores <= min(counts)
    assert least_cores(convs, arch, SCHEME, 1 << 30 if limit is None else limit) <= min(counts)
