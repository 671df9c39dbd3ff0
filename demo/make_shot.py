#!/usr/bin/env python3
"""Draws the sample shot: a girl waves, a cat's tail swings, a ball bounces, clouds pass.

usage: make_shot.py FOLDER [--frames 240] [--width 1280] [--height 720]
Writes lines.mp4 (the line art), reference.png (a colour model of the same figures in another pose) and truth.mp4 (what the
colours would be), all drawn here from a few shapes; no network takes part, and none was trained on them. Every drawing
is held for two frames, as animators do. The same numbers give the same pixels.
"""
import argparse
import subprocess
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import cos, pi, sin
from pathlib import Path

import numpy

SCALE = 2  # drawn at twice the size, averaged down
INK = (38, 30, 44)
FPS = 24
HOLD = 2  # frames a drawing is shown

# name: colour. Regions are separated by ink where two names meet.
PAINTS = {
    "sky": (176, 216, 240), "cloud": (250, 250, 252), "sun": (255, 210, 84), "hill": (132, 188, 112),
    "grass": (104, 164, 92), "skin": (248, 208, 176), "hair": (122, 70, 52), "hat": (214, 72, 72),
    "band": (250, 232, 170), "dress": (72, 112, 196), "sleeve": (98, 142, 222), "shoe": (122, 54, 70),
    "white": (252, 252, 252), "eye": (52, 64, 110), "mouth": (190, 70, 80), "sock": (236, 236, 244),
    "cat": (232, 150, 70), "belly": (250, 226, 190), "ear": (240, 170, 160), "nose": (130, 70, 70),
    "ball": (236, 84, 120), "stripe": (255, 240, 120),
}
NAMES = list(PAINTS)


class Canvas:
    """Painter's algorithm over region numbers: later shapes cover earlier ones. Coordinates are in frame heights."""

    def __init__(self, width, height):
        self.width, self.height = width * SCALE, height * SCALE
        self.unit = self.height
        self.regions = numpy.zeros((self.height, self.width), numpy.int16)
        self.count = 0
        self.paint = []

    def _fill(self, name, box, inside):
        x0, y0, x1, y1 = (int(round(v * self.unit)) for v in box)
        x0, y0 = max(x0 - 1, 0), max(y0 - 1, 0)
        x1, y1 = min(x1 + 2, self.width), min(y1 + 2, self.height)
        self.paint.append(NAMES.index(name))
        number = len(self.paint)
        if x0 >= x1 or y0 >= y1:
            return
        y, x = numpy.mgrid[y0:y1, x0:x1]
        mask = inside((x + 0.5) / self.unit, (y + 0.5) / self.unit)
        self.regions[y0:y1, x0:x1][mask] = number

    def ellipse(self, name, x, y, rx, ry, turn=0.0):
        c, s, r = cos(turn), sin(turn), max(rx, ry)
        self._fill(name, (x - r, y - r, x + r, y + r),
                   lambda px, py: (((px - x) * c + (py - y) * s) / rx) ** 2 + (((py - y) * c - (px - x) * s) / ry) ** 2 <= 1)

    def limb(self, name, x0, y0, x1, y1, r0, r1):
        """A capsule whose radius runs from r0 to r1."""
        dx, dy = x1 - x0, y1 - y0
        length = dx * dx + dy * dy or 1e-9
        r = max(r0, r1)

        def inside(px, py):
            t = numpy.clip(((px - x0) * dx + (py - y0) * dy) / length, 0, 1)
            return numpy.hypot(px - x0 - t * dx, py - y0 - t * dy) <= r0 + t * (r1 - r0)
        self._fill(name, (min(x0, x1) - r, min(y0, y1) - r, max(x0, x1) + r, max(y0, y1) + r), inside)

    def polygon(self, name, points):
        xs, ys = [p[0] for p in points], [p[1] for p in points]

        def inside(px, py):
            odd = numpy.zeros(px.shape, bool)
            for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1]):
                if ay != by:
                    odd ^= ((ay > py) != (by > py)) & (px < (bx - ax) * (py - ay) / (by - ay) + ax)
            return odd
        self._fill(name, (min(xs), min(ys), max(xs), max(ys)), inside)

    def _down(self, image):
        h, w = self.height // SCALE, self.width // SCALE
        return image.reshape(h, SCALE, w, SCALE, 3).mean((1, 3))

    def render(self):
        """(lines on white, colours with lines), both uint8 RGB."""
        r = self.regions
        edge = numpy.zeros(r.shape, bool)
        edge[:, 1:] |= r[:, 1:] != r[:, :-1]
        edge[1:, :] |= r[1:, :] != r[:-1, :]
        thick = edge.copy()
        thick[:-1, :] |= edge[1:, :]
        thick[:, :-1] |= edge[:, 1:]
        table = numpy.array([PAINTS["sky"]] + [PAINTS[NAMES[p]] for p in self.paint], numpy.float64)
        colours = table[r]
        lines = numpy.full(colours.shape, 255.0)
        colours[thick] = INK
        lines[thick] = INK
        return tuple((self._down(i) + 0.5).astype(numpy.uint8) for i in (lines, colours))


def girl(c, x, ground, t, wave):
    """wave: angle of the waving arm; t: phase of her small up and down."""
    bob = 0.006 * sin(t)
    hip, neck, head = ground - 0.24 + bob, ground - 0.44 + bob, ground - 0.54 + bob
    tilt = 0.05 * sin(t * 0.5)
    c.ellipse("hair", x, head + 0.05, 0.105, 0.16)
    for side in (-1, 1):
        foot = x + side * 0.05
        c.limb("skin", foot, hip, foot, ground - 0.06, 0.028, 0.022)
        c.limb("sock", foot, ground - 0.1, foot, ground - 0.03, 0.026, 0.025)
        c.ellipse("shoe", foot + side * 0.012, ground - 0.012, 0.042, 0.024)
    swing = x - 0.105, neck + 0.15 + 0.01 * sin(t + 1)
    c.limb("skin", x - 0.075, neck + 0.06, *swing, 0.022, 0.018)
    c.ellipse("sleeve", x - 0.072, neck + 0.045, 0.035, 0.045, 0.4)
    flare = 0.012 * sin(t)
    c.polygon("dress", [(x - 0.055, neck), (x + 0.055, neck), (x + 0.075, hip - 0.06), (x + 0.13 + flare, hip + 0.06),
                        (x - 0.13 + flare, hip + 0.06), (x - 0.075, hip - 0.06)])
    c.polygon("band", [(x - 0.073, hip - 0.075), (x + 0.073, hip - 0.075), (x + 0.076, hip - 0.045), (x - 0.076, hip - 0.045)])
    elbow = x + 0.075 + 0.1 * cos(0.6), neck + 0.05 - 0.03 * sin(t)
    hand = elbow[0] + 0.12 * cos(wave), elbow[1] - 0.12 * sin(wave)
    c.limb("skin", *elbow, *hand, 0.021, 0.017)
    c.ellipse("skin", hand[0] + 0.02 * cos(wave), hand[1] - 0.02 * sin(wave), 0.028, 0.028)
    c.limb("sleeve", x + 0.06, neck + 0.035, *elbow, 0.036, 0.027)
    c.limb("skin", x, neck + 0.01, x, head + 0.06, 0.022, 0.022)
    c.ellipse("skin", x, head, 0.088, 0.095, tilt)
    c.polygon("hair", [(x - 0.092, head + 0.005), (x - 0.086, head - 0.085), (x + 0.086, head - 0.085), (x + 0.092, head + 0.005),
                       (x + 0.05, head - 0.03), (x, head - 0.045), (x - 0.05, head - 0.03)])
    c.ellipse("hat", x, head - 0.075, 0.135, 0.03, tilt)
    c.ellipse("hat", x, head - 0.105, 0.075, 0.058, tilt)
    c.polygon("band", [(x - 0.077, head - 0.098), (x + 0.077, head - 0.098), (x + 0.08, head - 0.078), (x - 0.08, head - 0.078)])
    blink = 0.25 if sin(t * 0.7) > 0.97 else 1.0
    for side in (-1, 1):
        c.ellipse("white", x + side * 0.036, head + 0.012, 0.019, 0.024 * blink)
        c.ellipse("eye", x + side * 0.036 + 0.004, head + 0.014, 0.01, 0.015 * blink)
    c.ellipse("mouth", x, head + 0.056, 0.018, 0.006 + 0.004 * sin(t))


def cat(c, x, ground, t):
    tail = x + 0.12, ground - 0.06
    for i in range(5):
        bend = 0.9 + 0.25 * i + 0.35 * sin(t + 0.4 * i)
        end = tail[0] + 0.042 * cos(bend), tail[1] - 0.042 * sin(bend)
        c.limb("belly" if i == 4 else "cat", *tail, *end, 0.02, 0.018)
        tail = end
    c.ellipse("cat", x, ground - 0.085, 0.125, 0.085)
    c.ellipse("belly", x - 0.03, ground - 0.06, 0.06, 0.05)
    for dx in (-0.075, -0.035, 0.06):
        c.limb("cat", x + dx, ground - 0.06, x + dx, ground - 0.016, 0.02, 0.02)
    hx, hy = x - 0.1, ground - 0.185 + 0.006 * sin(t)
    for side in (-1, 1):
        c.polygon("cat", [(hx + side * 0.075, hy - 0.02), (hx + side * 0.062, hy - 0.11), (hx + side * 0.008, hy - 0.06)])
        c.polygon("ear", [(hx + side * 0.064, hy - 0.035), (hx + side * 0.056, hy - 0.085), (hx + side * 0.026, hy - 0.055)])
    c.ellipse("cat", hx, hy, 0.085, 0.072)
    c.ellipse("belly", hx, hy + 0.03, 0.04, 0.028)
    for side in (-1, 1):
        c.ellipse("white", hx + side * 0.034, hy - 0.012, 0.017, 0.02)
        c.ellipse("eye", hx + side * 0.034, hy - 0.01, 0.007, 0.014)
    c.ellipse("nose", hx, hy + 0.014, 0.01, 0.007)


def ball(c, x, y, turn):
    c.ellipse("ball", x, y, 0.058, 0.058)
    c.ellipse("stripe", x, y, 0.058, 0.02, turn)
    c.ellipse("white", x, y, 0.016, 0.016)


def draw(width, height, t, pose=0.0):
    """The frame at second t. pose moves the figures for the colour model."""
    c = Canvas(width, height)
    wide = width / height
    c.ellipse("sun", wide - 0.2, 0.16, 0.09, 0.09)
    for i, (x, y, r) in enumerate(((0.25, 0.15, 0.07), (0.95, 0.1, 0.055), (1.45, 0.24, 0.06))):
        at = (x + 0.04 * t * (1 + 0.3 * i)) % (wide + 0.4) - 0.1
        c.ellipse("cloud", at, y, r * 1.9, r * 0.8)
    c.ellipse("hill", 0.35, 1.02, 0.8, 0.42)
    c.ellipse("hill", wide - 0.25, 1.08, 0.9, 0.44)
    c.ellipse("grass", wide / 2, 1.45, wide, 0.62)
    step = 2 * pi * t
    height_of_ball = abs(sin(pi * t * 0.9 + pose))
    ball(c, wide * 0.5 + 0.12 * sin(step * 0.25), 0.83 - 0.3 * height_of_ball, step * 0.7 + pose)
    girl(c, wide * 0.27 + 0.05 * pose, 0.94, step * 0.8 + pose, 1.0 + 0.55 * sin(step + 2 * pose))
    cat(c, wide * 0.78 - 0.06 * pose, 0.93, step * 0.9 + pose)
    return c.render()


def encoder(path, width, height, gray):
    quality = ["-qp", "0"] if gray else ["-crf", "12"]
    return subprocess.Popen(
        ["ffmpeg", "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(FPS),
         "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-threads", "1", *quality, "-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", "-colorspace", "bt709",
         "-color_primaries", "bt709", "-color_trc", "bt709", str(path)],
        stdin=subprocess.PIPE)


def write_png(path, image):
    height, width, _ = image.shape

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    a = parser.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    write_png(a.folder / "reference.png", draw(a.width, a.height, 0.0, pose=0.9)[1])
    outputs = [encoder(a.folder / name, a.width, a.height, gray) for name, gray in (("lines.mp4", True), ("truth.mp4", False))]
    with ProcessPoolExecutor() as pool:
        times = (i / FPS for i in range(0, a.frames, HOLD))
        for number, images in enumerate(pool.map(partial(draw, a.width, a.height), times, chunksize=4)):
            for stream, image in zip(outputs, images):
                stream.stdin.write(image.tobytes() * min(HOLD, a.frames - number * HOLD))
    for stream in outputs:
        stream.stdin.close()
        if stream.wait() != 0:
            raise SystemExit("ffmpeg failed")


if __name__ == "__main__":
    main()
