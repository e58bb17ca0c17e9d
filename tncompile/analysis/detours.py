"""What faulty routers cost."""

from __future__ import annotations

from tncompile.ir import RoutedChip


def detour_figures(routed: RoutedChip) -> dict[str, int]:
    """Returns how many neurons relay packets, the cores opened for them, and by how much the net takes longer [tick].

    All are 0 if every packet goes straight to its target.
    """
    detours = routed.detours
    if detours is None:
        return {"relays": 0, "relay_cores": 0, "added_ticks": 0}
    return {
        "relays": len(detours.core),
        "relay_cores": len(detours.core_x),
        "added_ticks": detours.latency - routed.source.source.source.latency,
    }
