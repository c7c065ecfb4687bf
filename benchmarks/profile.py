"""Where the time of a step goes: by operation, as PyTorch's profiler sees it."""

from __future__ import annotations

import time

from torch.profiler import ProfilerActivity, profile

from benchmarks.contestants import Ready

STEPS, SHOWN = 20, 7
REST, OUTSIDE = "other operations", "between the operations"


def operations(ready: Ready) -> dict[str, float]:
    """Milliseconds per step: of the operations that take most, of all others, and of the rest (Python, dispatch).

    The profiler itself takes time, so only the times of operations come from it; the total is measured without it.
    """
    start = time.perf_counter()
    for _ in range(STEPS):
        ready.step()
    whole = (time.perf_counter() - start) / STEPS * 1e3
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
        for _ in range(STEPS):
            ready.step()
    own = {
        event.key: event.self_cpu_time_total / STEPS / 1e3
        for event in profiler.key_averages()
        if event.key.startswith("aten::")
    }
    top = dict(sorted(own.items(), key=lambda item: -item[1])[:SHOWN])
    rest = sum(own.values()) - sum(top.values())
    return top | {REST: rest, OUTSIDE: max(0.0, whole - sum(own.values()))}
