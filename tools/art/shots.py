#!/usr/bin/env python3
"""Paints region maps (tools/art/clips.py) as shots that `longanim train` reads: a folder of PNG frames in colour and one of
line art beside it.

usage: tools/art/shots.py OUT CLIP.npz… [--frames 49] [--palettes 1] [--enlarge 1] [--seed 1]
Colours are drawn anew for every shot; lines are the borders of the regions. Both have half the size of the maps, times
--enlarge."""
import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import clips


def borders(regions):
    edge = np.zeros(regions.shape, bool)
    across, down = regions[:, 1:] != regions[:, :-1], regions[1:] != regions[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def pool(x):
    h, w = x.shape[0] // 2, x.shape[1] // 2
    return x[:2 * h, :2 * w].reshape(h, 2, w, 2, *x.shape[2:]).mean((1, 3))


def write(folder, name, number, pixels):
    (folder / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:05d}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--palettes", type=int, default=1, help="shots of each clip, with other colours")
    parser.add_argument("--enlarge", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    for clip in arguments.clips:
        regions, groups, _ = clips.load(clip)
        regions = regions[:arguments.frames].repeat(arguments.enlarge, 1).repeat(arguments.enlarge, 2)
        for version in range(arguments.palettes):
            name = f"{clip.stem}_{version}" if arguments.palettes > 1 else clip.stem
            colours = clips.random_palette(rng, int(groups.max()))[groups]
            for number, frame in enumerate(regions):
                write(arguments.out, name, number, np.round(pool(colours[frame].astype(np.float32))))
                write(arguments.out, name + ".lines", number, np.where(pool(borders(frame)) >= .5, 0, 255))


if __name__ == "__main__":
    main()
