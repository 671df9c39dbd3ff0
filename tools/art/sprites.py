#!/usr/bin/env python3
"""Turns rendered clip art into region maps: flat areas with an id each, and the colour group of every id.

usage: tools/art/sprites.py PICTURES OUT.npz
One sprite is {regions uint8 [h,w], 0 = outside; groups uint8 [n+1]}. Ink (thin dark strokes) is removed and refilled
from its neighbours, so that a line never becomes a region. A tenth of the art, chosen by the hash of its name, is
marked as held out and must never be trained on."""
import argparse
import io
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

COLOURS_MIN, COLOURS_MAX = 4, 8
REGION_MIN_PIXELS, REGIONS_MAX = 60, 40
INK_BRIGHTNESS = 75


def held_out(name):
    return int(name[:4], 16) % 10 == 0


def cluster(pixels, count, rng, rounds=8):
    centres = pixels[rng.choice(len(pixels), count, replace=len(pixels) < count)].astype(np.float32)
    for _ in range(rounds):
        nearest = ((pixels[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
        for k in range(count):
            if (nearest == k).any():
                centres[k] = pixels[nearest == k].mean(0)
    kept = []
    for k in range(count):
        if all(((centres[k] - centres[i]) ** 2).sum() > 22 ** 2 for i in kept):
            kept.append(k)
    return centres[kept]


def ink_mask(labels, centres):
    """Thin parts of dark colours: what an opening removes."""
    ink = np.zeros(labels.shape, bool)
    for k, centre in enumerate(centres):
        area = labels == k + 1
        if centre.mean() >= INK_BRIGHTNESS or not area.any():
            continue
        if ndimage.binary_erosion(area, iterations=3).sum() < 0.15 * area.sum():
            ink |= area
        else:
            ink |= area & ~ndimage.binary_dilation(ndimage.binary_erosion(area, iterations=2), iterations=3)
    return ink


def sprite(path):
    """Region map of one picture, or None when it is no use (too small, one colour, nearly empty)."""
    rng = np.random.default_rng(int(path.stem, 16) % 2 ** 32)
    try:
        rgba = np.asarray(Image.open(path).convert("RGBA")).astype(np.float32)
    except OSError:
        return None
    inside = rgba[..., 3] > 127
    if min(rgba.shape[:2]) < 48 or inside.mean() < 0.12:
        return None
    pixels = rgba[..., :3][inside]
    sample = pixels[rng.choice(len(pixels), min(1500, len(pixels)), replace=False)]
    centres = cluster(sample, int(rng.integers(COLOURS_MIN, COLOURS_MAX + 1)), rng)
    if len(centres) < 2:
        return None
    labels = ((rgba[..., :3][:, :, None] - centres[None, None]) ** 2).sum(-1).argmin(-1) + 1
    labels = ndimage.median_filter(labels.astype(np.uint8), 3)
    labels[~inside] = 0
    ink = ink_mask(labels, centres)
    regions, groups = np.zeros(labels.shape, np.int32), [0]
    for k in range(len(centres)):
        parts, count = ndimage.label((labels == k + 1) & ~ink)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        for part in np.argsort(-sizes[1:]) + 1 if count else []:
            if sizes[part] < REGION_MIN_PIXELS or len(groups) > REGIONS_MAX:
                break
            regions[parts == part] = len(groups)
            groups.append(k + 1)
    if len(groups) < 3:
        return None
    nearest = ndimage.distance_transform_edt(regions == 0, return_distances=False, return_indices=True)
    full = regions[nearest[0], nearest[1]]
    full[~inside] = 0
    ys, xs = np.where(full > 0)
    if len(ys) < 1500 or np.bincount(full.ravel())[1:].max() > 0.97 * (full > 0).sum():
        return None
    full = full[ys.min():ys.max() + 1, xs.min():xs.max() + 1].astype(np.uint8)
    used = {group: i + 1 for i, group in enumerate(sorted(set(groups[1:])))}
    return full, np.array([0] + [used[group] for group in groups[1:]], np.uint8)


def save(path, sprites):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (regions, groups) in sprites:
            data = io.BytesIO()
            np.savez(data, regions=regions, groups=groups)
            archive.writestr(name, data.getvalue())


def load(path, held_out_ones):
    """All sprites of one side of the split: a list of (regions, groups)."""
    result = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if held_out(name) == held_out_ones:
                with np.load(io.BytesIO(archive.read(name))) as data:
                    result.append((data["regions"], data["groups"]))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    paths = sorted(arguments.pictures.glob("*.png"))
    with ProcessPoolExecutor() as pool:
        made = list(pool.map(sprite, paths, chunksize=16))
    kept = [(path.stem, s) for path, s in zip(paths, made) if s is not None]
    save(arguments.out, kept)
    print(f"{len(kept)} sprites of {len(paths)} pictures, {sum(held_out(n) for n, _ in kept)} held out, "
          f"{arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
