#!/usr/bin/env python3
"""Colours held-out shots with a packaged model and counts right pixels, for four kinds of reference.

usage: tools/demo_model/evaluate.py MODEL SHOTS [--build build] [--count 12] [--only near,far,...] [--flags FLAGS]
near: the first of 25 frames on twos; mirrored, shifted: that frame turned or moved; far: the last of 49 frames for the
first 25. Pixels off the lines count when their colour is in the reference; figure pixels are those not of the background.
hybrid is what `longanim colorize` gives with its region snap; network is the network's own picture, each region voting
alone in every frame; pixel is that picture as it is, every pixel for itself. Nothing learnt: copy takes the reference's
colour at the same place, centroid that of the reference's region nearest by centroid and size, frame by frame. Prints
one JSON line per kind; intervals are a bootstrap over shots, over_centroid that of hybrid less centroid."""
import argparse
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "art"))
import clips  # noqa: E402

FRAMES, SCALE = 25, 2
KINDS = ("near", "far", "mirrored", "shifted")
MEASURED = ("hybrid", "network", "pixel", "copy", "centroid")


def borders(regions):
    edge = np.zeros(regions.shape, bool)
    for axis in (0, 1):
        d = np.diff(regions, axis=axis) != 0
        a, b = [slice(None)] * 2, [slice(None)] * 2
        a[axis], b[axis] = slice(1, None), slice(None, -1)
        edge[tuple(a)] |= d
        edge[tuple(b)] |= d
    return edge


def larger(regions):
    return regions.repeat(SCALE, 0).repeat(SCALE, 1)


def shifted(regions, dy, dx):
    h, w = regions.shape
    return regions[np.clip(np.arange(h) + dy, 0, h - 1)][:, np.clip(np.arange(w) + dx, 0, w - 1)]


class Shot:
    """One held-out shot with a palette: frames as region maps, and the reference of a kind."""

    def __init__(self, path, number):
        regions, groups, self.background = clips.load(path)
        rng = np.random.default_rng(5000 + number)
        palette = clips.random_palette(rng, int(groups.max()) + 1)
        self.colours = palette[groups]
        self.regions, self.move = regions, rng.integers((-24, -46), (25, 47))

    def of_kind(self, kind):
        frames = self.regions[:FRAMES] if kind == "far" else self.regions[:2 * FRAMES:2][:FRAMES]
        reference = self.regions[-1] if kind == "far" else frames[0]
        if kind == "mirrored":
            reference = reference[:, ::-1]
        elif kind == "shifted":
            reference = shifted(reference, *self.move)
        return [larger(f) for f in frames], larger(reference)


def picture(regions, colours):
    image = colours[regions]
    image[borders(regions)] = 20
    return Image.fromarray(image)


def write_zip(path, pictures):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        for i, p in enumerate(pictures):
            buffer = io.BytesIO()
            p.save(buffer, "PNG", compress_level=1)
            z.writestr(f"{i:04d}.png", buffer.getvalue())


def read_zip(path):
    with zipfile.ZipFile(path) as z:
        names = sorted(n for n in z.namelist() if n.endswith(".png"))
        return [np.asarray(Image.open(io.BytesIO(z.read(n))).convert("RGB")) for n in names]


def voted(frame, regions, ink, palette):
    """The network's picture with every region in the palette colour nearest to its mean."""
    flat, weight = regions.ravel(), (~ink).ravel().astype(float)
    n = int(regions.max()) + 1
    size = np.maximum(np.bincount(flat, weight, n), 1e-9)
    mean = np.stack([np.bincount(flat, weight * frame[..., c].ravel(), n) / size for c in range(3)], 1)
    nearest = ((mean[:, None] - palette[None].astype(float)) ** 2).sum(-1).argmin(1)
    return palette[nearest][regions]


def measures(regions):
    """Of every region that is there: its number, centre (in units of 15 pixels at 160x96) and log of its share."""
    numbers, where, size = np.unique(regions, return_inverse=True, return_counts=True)
    where = where.ravel()
    y, x = np.divmod(np.arange(regions.size), regions.shape[1])
    unit = 15 * regions.shape[1] / 160
    centre = np.stack([np.bincount(where, y), np.bincount(where, x)], 1) / size[:, None] / unit
    return numbers, centre, np.log(size / regions.size)


def by_centroid(regions, reference, colours):
    """Every region in the colour of the reference's region with the nearest centre, plus the difference of log sizes."""
    numbers, centre, size = measures(regions)
    known, known_centre, known_size = measures(reference)
    distance = (np.linalg.norm(centre[:, None] - known_centre[None], axis=-1) + abs(size[:, None] - known_size[None]))
    table = np.zeros((int(regions.max()) + 1, 3), np.uint8)
    table[numbers] = colours[known[distance.argmin(1)]]
    return table[regions]


def nearest(frame, palette):
    """Every pixel in the palette colour nearest to it."""
    distance = ((frame[:, :, None].astype(np.int32) - palette.astype(np.int32)) ** 2).sum(-1)
    return palette[distance.argmin(-1)]


def judge(shot, kind, arguments, folder):
    frames, reference = shot.of_kind(kind)
    ink = [borders(f) for f in frames]
    write_zip(folder / "lines.zip", [Image.fromarray(np.where(i, 20, 255).astype(np.uint8)).convert("RGB") for i in ink])
    picture(reference, shot.colours).save(folder / "reference.png")
    known = np.unique(shot.colours[np.unique(reference)], axis=0)
    results = {}
    for name, snap in (("hybrid", "region"), ("network", "none")):
        out = folder / f"{name}.zip"
        out.unlink(missing_ok=True)
        subprocess.run([arguments.build / "longanim", "colorize", "--video", folder / "lines.zip", "--reference",
                        folder / "reference.png", "--out", out, "--model", arguments.model, "--seed", "7", "--input",
                        "lineart", "--output.snap", snap, *arguments.flags.split()], check=True, capture_output=True)
        results[name] = read_zip(out)
    count = {name: np.zeros(4) for name in MEASURED}
    for i, regions in enumerate(frames):
        truth = shot.colours[regions]
        counts = ~ink[i] & (truth[..., None, :] == known).all(-1).any(-1)
        figure = counts & (regions > shot.background)
        network = results["network"][i]
        for name, made in (("hybrid", results["hybrid"][i]), ("network", voted(network, regions, ink[i], known)),
                           ("pixel", nearest(network, known)), ("copy", shot.colours[reference]),
                           ("centroid", by_centroid(regions, reference, shot.colours))):
            right = (np.abs(made.astype(int) - truth).max(-1) <= 3)
            count[name] += [(right & counts).sum(), counts.sum(), (right & figure).sum(), figure.sum()]
    return count


def resampled(counts):
    return counts[np.random.default_rng(1).integers(0, len(counts), (1000, len(counts)))].sum(1)


def interval(value, draws):
    return [round(float(v), 4) for v in (value, *np.percentile(draws, (2.5, 97.5)))]


def share(counts, a, b):
    total, draws = counts.sum(0), resampled(counts)
    return interval(total[a] / max(total[b], 1), draws[:, a] / np.maximum(draws[:, b], 1))


def gain(counts, other):
    """Figure pixels, one less the other, over the same shots."""
    both = np.concatenate([counts[:, 2:], other[:, 2:]], 1)
    total, draws = both.sum(0), resampled(both)
    return interval(total[0] / max(total[1], 1) - total[2] / max(total[3], 1),
                    draws[:, 0] / np.maximum(draws[:, 1], 1) - draws[:, 2] / np.maximum(draws[:, 3], 1))


def arguments_of(words=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("shots", type=Path)
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--flags", default="", help="further flags of longanim colorize")
    return parser.parse_args(words)


def main():
    arguments = arguments_of()
    files = sorted(arguments.shots.glob("*.npz"))[:arguments.count]
    with tempfile.TemporaryDirectory() as folder:
        for kind in arguments.only.split(","):
            counts = [judge(Shot(f, i), kind, arguments, Path(folder)) for i, f in enumerate(files)]
            row = {"reference": kind, "shots": len(files)}
            for name in MEASURED:
                c = np.array([x[name] for x in counts])
                row[name] = {"pixels": share(c, 0, 1), "figure_pixels": share(c, 2, 3)}
            row["over_centroid"] = gain(np.array([x["hybrid"] for x in counts]), np.array([x["centroid"] for x in counts]))
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
