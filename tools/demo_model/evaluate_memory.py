#!/usr/bin/env python3
"""What the memory of a packaged model is worth, on held-out shots.

usage: tools/demo_model/evaluate_memory.py MODEL SHOTS [--library build/libmodel_shim.so] [--count 50] [--jobs 2]
Shots of 42 frames, two segments. The second one is coloured with the memory and without, from a reference that is the
first frame: whole, or with its figures (all of them, or some) painted over by the background. The history that the memory
is shown holds true colours (the frames that the first segment delivers, handed in as a resumed run's history) unless
--own-history asks for the model's own output. Colour fusion is off, so that segments know each other by memory alone,
unless --fusion. Each region votes alone in every frame for a colour of the reference or the history.
lost: pixels whose colour only the history has; known: those whose colour the reference has; figures: the known ones
that are not background. Shares of pixels off the lines with the right colour; intervals are a bootstrap over shots."""
import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from evaluate import Shot, borders, larger, picture, voted
from shim import Model

FRAMES, SEGMENT_START, DELIVERED_BEFORE = 42, 17, 21
NAMES = ("lost", "known", "figures")


def erased(regions, hidden):
    """Hidden ids replaced by the nearest other pixel of the row."""
    out = regions.copy()
    for row in out:
        gone = np.isin(row, hidden)
        if gone.any() and not gone.all():
            there = np.flatnonzero(~gone)
            at = np.flatnonzero(gone)
            after = np.searchsorted(there, at)
            left, right = there[np.maximum(after - 1, 0)], there[np.minimum(after, len(there) - 1)]
            row[at] = row[np.where(np.abs(at - left) <= np.abs(right - at), left, right)]
    return out


def references(shot, number):
    """The first frame whole, and without figures: every other shot without all, else those behind an id of theirs."""
    whole = shot.regions[0]
    figures = np.unique(shot.regions[:DELIVERED_BEFORE])
    figures = figures[figures > shot.background]
    rng = np.random.default_rng(9000 + number)
    hidden = figures if number % 2 == 0 or len(figures) < 2 else figures[figures >= rng.choice(figures[1:])]
    return {"whole": whole, "lacking": erased(whole, hidden)}


def drawing(regions):
    return np.repeat(np.where(borders(regions), 20, 255).astype(np.uint8)[..., None], 3, 2)


def judge(job):
    """A job is (number, file, arguments) -> {(kind of reference, on or off): right and all pixels of NAMES}."""
    number, file, arguments = job
    model, shot = Model(arguments.library.resolve(), arguments.model, 1), Shot(file, number)
    frames = shot.regions[:FRAMES]
    lines = np.stack([drawing(larger(f)) for f in frames])
    truth = [shot.colours[f] for f in frames]
    counts = {}
    for kind, reference in references(shot, number).items():
        if kind not in arguments.kinds:
            continue
        image = np.asarray(picture(larger(reference), shot.colours))
        begun, state = model.run(lines, image, True, arguments.fusion, stop_after=0)
        past = [begun[i] for i in range(DELIVERED_BEFORE)] if arguments.own_history else truth[:DELIVERED_BEFORE]
        in_reference = np.unique(shot.colours[np.unique(reference)], axis=0)
        in_history = np.unique(shot.colours[np.unique(frames[:DELIVERED_BEFORE])], axis=0)
        candidates = np.unique(np.concatenate([in_reference, in_history]), axis=0)
        has = lambda colours, among: (colours[..., None, :] == among).all(-1).any(-1)  # noqa: E731
        for name, memory in (("on", True), ("off", False)):
            if not memory:
                _, state = model.run(lines, image, False, arguments.fusion, stop_after=0)
            made, _ = model.run(lines, image, memory, arguments.fusion, (1, state), past)
            sums = np.zeros(2 * len(NAMES))
            for i in range(DELIVERED_BEFORE, FRAMES):
                ink = borders(frames[i])
                result = voted(made[i], frames[i], ink, candidates)
                right = (result == truth[i]).all(-1)
                known, remembered = has(truth[i], in_reference) & ~ink, has(truth[i], in_history) & ~ink
                masks = (remembered & ~known, known, known & (frames[i] > shot.background))
                sums += [v for m in masks for v in ((right & m).sum(), m.sum())]
            counts[kind, name] = sums
    model.close()
    return counts


def interval(values):
    return [round(float(v), 3) for v in np.percentile(values, (2.5, 97.5))]


def table(rows, kind):
    """Shares with the memory and without, and their difference, with 95 % intervals over shots."""
    on, off = (np.array([r[kind, name] for r in rows]) for name in ("on", "off"))
    draws = np.random.default_rng(1).integers(0, len(on), (2000, len(on)))
    result = {}
    for i, name in enumerate(NAMES):
        share = lambda c: c[..., 2 * i].sum(-1) / np.maximum(c[..., 2 * i + 1].sum(-1), 1)  # noqa: E731
        drawn = share(on[draws]) - share(off[draws])
        result[name] = {"pixels": int(on[:, 2 * i + 1].sum()), "on": round(float(share(on)), 3),
                        "off": round(float(share(off)), 3), "difference": round(float(share(on) - share(off)), 3),
                        "interval": interval(drawn)}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("shots", type=Path)
    parser.add_argument("--library", type=Path, default=Path("build/libmodel_shim.so"))
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kinds", default="lacking,whole")
    parser.add_argument("--own-history", action="store_true")
    parser.add_argument("--fusion", action="store_true")
    arguments = parser.parse_args()
    arguments.kinds = arguments.kinds.split(",")
    files = sorted(arguments.shots.glob("*.npz"))[:arguments.count]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        rows = []
        for row in pool.map(judge, [(n, f, arguments) for n, f in enumerate(files)]):
            rows.append(row)
            if len(rows) % 4 == 0 or len(rows) == len(files):
                for kind in arguments.kinds:
                    print(json.dumps({"reference": kind, "shots": len(rows), **table(rows, kind)}), flush=True)


if __name__ == "__main__":
    main()
