#!/usr/bin/env python3
"""Renders the clip art of Debian's openclipart-svg (public domain) to small pictures.

usage: tools/art/render.py OUT [--size 224]
Needs the packages openclipart-svg and librsvg2-bin. A drawing that takes longer than 4 s is left out."""
import argparse
import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path("/usr/share/openclipart/svg")
CATEGORIES = ("animals people food transportation plants tools special recreation buildings electronics office "
              "decorations unsorted education containers").split()


def render(svg, out, size):
    png = out / (hashlib.md5(str(svg.relative_to(ROOT)).encode()).hexdigest()[:12] + ".png")
    if png.exists():
        return
    try:
        subprocess.run(["rsvg-convert", "-a", "-w", str(size), "-h", str(size), "-o", str(png), str(svg)],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=4, check=False)
    except subprocess.TimeoutExpired:
        png.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    drawings = sorted(svg for category in CATEGORIES for svg in (ROOT / category).rglob("*.svg"))
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda svg: render(svg, arguments.out, arguments.size), drawings))
    print(f"{len(list(arguments.out.glob('*.png')))} of {len(drawings)} drawings rendered")


if __name__ == "__main__":
    main()
