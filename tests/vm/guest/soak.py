"""A long run: memory, descriptors, the age of frames. Minutes by SOAK."""
import json
import time
from camera import camera, control
from kit import HOST, code, delivers, figures, graft, memory, need, page, scenario, until
from service import show

MINUTES = float((HOST / "soak").read_text())
# Each sample takes memory, and may. What rises although there are no more of them is what the run is for.
KEPT = 60


def slope(points):
    """Theil–Sen: the median of the slopes between all pairs, per hour."""
    slopes = sorted((b - a) / (t - s) * 3600 for i, (s, a) in enumerate(points) for t, b in points[i + 1:])
    return slopes[len(slopes) // 2]


def forget():
    """Deletes the oldest samples beyond those to be kept; how many there are then."""
    samples = json.loads(page("/v1/samples?limit=1000")[1])["samples"]
    for sample in samples[KEPT:]:
        graft(f"label delete {sample['id']}")
    return min(len(samples), KEPT)


@scenario("a long run: memory, descriptors, age of frames")
def soak():
    camera(fps=10)
    begun = time.monotonic()
    points, descriptors, rounds, number = [], set(), 0, 0
    while (now := time.monotonic() - begun) < MINUTES * 60:
        # A third of the time to warm up. Caches and the allocator's pools fill by work, not by time: so that is done
        # without pauses, a round each time.
        warm = now > MINUTES * 20
        # What a board's day brings, by the minute: samples, a round, a camera that goes and comes.
        number += 1
        show(number % 2 * 10)
        name = "checks" if number % 2 else "bars"
        code(f"graft capture start --class {name} --burst {name}-{number} --hz 4 --max 6")
        time.sleep(4 if warm else 1.5)
        code("graft capture stop")
        if number % 4 == 0 or not warm:
            rounds += code("graft train --wait")[0] == 0
        if number % 10 == 0:
            control("disconnect", 1)
            until("frames again", delivers)
        full = forget() == KEPT
        if warm:
            time.sleep(12)
            need(full, "the data set has not its size yet: a longer run is needed")
            size, handles = memory()
            points.append((now, size))
            descriptors.add(handles)
    seen = figures()
    young = seen['graft_frame_age_seconds_bucket{le="0.2"}']
    total = seen["graft_frame_age_seconds_count"]
    told = (f"{MINUTES:.0f} min, {total:.0f} frames, {total - young:.0f} older than 200 ms, {rounds} rounds, "
            f"memory {points[0][1]} to {points[-1][1]} KiB, slope {slope(points):.0f} KiB/h, descriptors {sorted(descriptors)}")
    need(slope(points) <= 64 and max(descriptors) - min(descriptors) <= 1 and total == young, told)
    return told
