#!/usr/bin/env python3
"""Makes shots as region maps: every pixel holds a region id, every id belongs to a colour group.

usage: tools/art/clips.py SPRITES.npz OUT --count N --seed S [--frames 73] [--size 448x256] [--held-out]
Figures are sprites of clip art with smooth warps, or procedural puppets with two-segment limbs; backgrounds pan with
parallax. Colours are drawn when a shot is used, so one shot gives endless colourings. One file per shot:
{regions uint8 [T,h,w] (zlib), groups uint8 [ids], background (ids up to this one are background)}."""
import argparse
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

FPS = 24.0
IDS_MAX = 250
BASE_HEIGHT = 192.0  # sizes below are told for this height and scaled


def swing(rng, frames, amplitude, low=0.2, high=1.2):
    time = np.arange(frames) / FPS
    return amplitude * np.sin(2 * np.pi * (rng.uniform(low, high) * time + rng.uniform()))


class Canvas:
    def __init__(self, width, height):
        self.width, self.height, self.scale = width, height, height / BASE_HEIGHT
        self.y, self.x = np.mgrid[0:height, 0:width].astype(np.float32)

    def window(self, x0, x1, y0, y1):
        """Clipped integer window, or None when it is off the picture."""
        x0, x1 = int(max(0, x0)), int(min(self.width, x1 + 1))
        y0, y1 = int(max(0, y0)), int(min(self.height, y1 + 1))
        return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None


class SpriteFigure:
    def __init__(self, canvas, sprite, rng, frames, size, speed):
        self.canvas, (self.regions, self.groups) = canvas, sprite
        scale, n = canvas.scale, frames
        self.zoom = size / max(self.regions.shape)
        self.flip = rng.random() < 0.5
        drift = np.arange(n) * scale * speed
        self.cx = rng.uniform(0.12, 0.88) * canvas.width + swing(rng, n, rng.uniform(0, 40) * scale * speed, 0.1, 0.5) \
            + rng.uniform(-1.2, 1.2) * drift
        self.cy = rng.uniform(0.35, 0.75) * canvas.height + swing(rng, n, rng.uniform(0, 22) * scale * speed, 0.2, 1.0)
        self.grow = np.exp(swing(rng, n, rng.uniform(0, 0.18) * speed, 0.1, 0.5)
                           + rng.uniform(-0.004, 0.004) * speed * np.arange(n))
        self.angle = rng.uniform(-0.25, 0.25) + swing(rng, n, rng.uniform(0, 0.28) * speed, 0.2, 1.0)
        self.turn = np.ones(n)
        if rng.random() < 0.12 * speed:  # turns round: mirrored through a thin phase
            self.turn = np.tanh((np.arange(n) - rng.uniform(0.2, 0.8) * n) / 3.0)
            self.turn = np.where(np.abs(self.turn) < 0.12, np.copysign(0.12, self.turn), self.turn)
        self.waves = [(swing(rng, n, rng.uniform(0, 0.045)), swing(rng, n, rng.uniform(0, 0.045)),
                       *rng.uniform(-7, 7, 2), rng.uniform(0, 6.3)) for _ in range(3)]
        self.bend = (swing(rng, n, rng.uniform(0, 0.25) * speed), swing(rng, n, rng.uniform(0, 0.15) * speed))

    def draw(self, picture, first_id, i, pan):
        h, w = self.regions.shape
        sx, sy = self.zoom * self.grow[i] * self.turn[i], self.zoom * self.grow[i]
        cx, cy = self.cx[i] + pan, self.cy[i]
        reach = 0.75 * max(h * abs(sy), w * abs(sx)) + 8
        window = self.canvas.window(cx - reach, cx + reach, cy - reach, cy + reach)
        if window is None:
            return
        x, y = self.canvas.x[window] - cx, self.canvas.y[window] - cy
        c, s = np.cos(self.angle[i]), np.sin(self.angle[i])
        u, v = (c * x + s * y) / (sx * w), (-s * x + c * y) / (sy * h)
        u2, v2 = u + self.bend[0][i] * (v - 0.5) ** 2 + self.bend[1][i] * (v - 0.5), v.copy()
        for ax, ay, ku, kv, phase in self.waves:
            wave = np.sin(ku * u + kv * v + phase)
            u2, v2 = u2 + ax[i] * wave, v2 + ay[i] * wave
        if self.flip:
            u2 = -u2
        column, row = np.floor((u2 + 0.5) * w).astype(np.int32), np.floor((v2 + 0.5) * h).astype(np.int32)
        inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
        value = self.regions[row.clip(0, h - 1), column.clip(0, w - 1)]
        inside &= value > 0
        picture[window][inside] = value[inside] + first_id


class Puppet:
    """A figure of 26 parts, drawn back to front. Colour groups: 1 skin, 2 shirt, 3 trousers, 4 shoes, 5 hair,
    6 eye white, 7 pupil, 8 sleeve, 9 hat, 10 belt or skirt, 11 glove, 12 patch."""
    RANGES = dict(head=(.13, .24), head_aspect=(.8, 1.2), body_w=(.10, .19), body_h=(.16, .26), arm=(.15, .24),
                  leg=(.16, .26), arm_w=(.03, .06), leg_w=(.035, .07), hair=(0, 1), eye=(.022, .05), belt=(0, 1),
                  hat=(0, 1), skirt=(0, 1), ear=(0, 1), tail=(0, 1), patch=(0, 1))

    def __init__(self, canvas, rng, frames, size, speed):
        self.canvas, self.size, n = canvas, size, frames
        scale = canvas.scale
        self.flip = rng.random() < 0.5
        self.cx = rng.uniform(0.15, 0.85) * canvas.width + swing(rng, n, rng.uniform(0, 40) * scale * speed, 0.1, 0.5) \
            + rng.uniform(-1.5, 1.5) * speed * scale * np.arange(n)
        self.cy = rng.uniform(0.42, 0.62) * canvas.height + swing(rng, n, rng.uniform(0, 14) * scale * speed, 0.3, 1.5)
        self.grow = np.exp(swing(rng, n, rng.uniform(0, 0.12) * speed, 0.1, 0.5))
        self.p = {name: rng.uniform(*limits) for name, limits in self.RANGES.items()}
        t = np.arange(n) / FPS * 2 * np.pi * rng.uniform(.4, 1.4) + rng.uniform(0, 6.3)
        a, b = rng.uniform(.2, .9) * speed, rng.uniform(.15, .7) * speed
        self.left_arm = rng.uniform(-.2, .6) + a * np.sin(t)
        self.right_arm = rng.uniform(-.2, .6) + a * np.sin(t + rng.uniform(2, 4)) + (2.2 if rng.random() < .25 else 0)
        self.left_elbow, self.right_elbow = (rng.uniform(-.8, .8) + .5 * np.sin(t + k) for k in (1, 2))
        self.left_leg, self.right_leg = .15 + b * np.sin(t), .15 + b * np.sin(t + np.pi)
        self.left_knee, self.right_knee = (-.3 * (1 + np.sin(t + k)) for k in (1, 4))
        self.tilt, self.nod = swing(rng, n, rng.uniform(0, .25)), swing(rng, n, rng.uniform(0, .3))
        self.look = swing(rng, n, rng.uniform(0, .35), .1, .4) + rng.uniform(-.3, .3)
        sleeve, glove, calf = (2 if rng.random() < .5 else 8), (1 if rng.random() < .6 else 11), \
            (3 if rng.random() < .7 else 1)
        self.groups = np.array([0, sleeve, 1, glove, calf, 3, 4, calf, 3, 4, 2, 10, 12, 5, 1, 6, 7, 6, 7, 5, 9, 5, 5,
                                sleeve, 1, glove, 10], np.uint8)

    def draw(self, picture, first_id, i, pan):
        p, unit = self.p, self.size * self.grow[i]
        side, (ct, st) = (-1 if self.flip else 1), (np.cos(self.tilt[i]), np.sin(self.tilt[i]))

        def place(x, y):
            return (self.cx[i] + pan + side * unit * (x * ct - y * st), self.cy[i] + unit * (x * st + y * ct))

        def ellipse(part, x, y, a, b, turn=0.0):
            (x0, y0), a, b = place(x, y), a * unit, b * unit
            reach = max(a, b) + 2
            window = self.canvas.window(x0 - reach, x0 + reach, y0 - reach, y0 + reach)
            if window is None:
                return
            dx, dy = self.canvas.x[window] - x0, self.canvas.y[window] - y0
            angle = side * (self.tilt[i] + turn)
            c, s = np.cos(angle), np.sin(angle)
            picture[window][((c * dx + s * dy) / a) ** 2 + ((-s * dx + c * dy) / b) ** 2 < 1] = part + first_id

        def capsule(part, x, y, x2, y2, w, w2=None):
            (ax, ay), (bx, by) = place(x, y), place(x2, y2)
            w, w2 = w * unit, (w if w2 is None else w2) * unit
            reach = max(w, w2) + 2
            window = self.canvas.window(min(ax, bx) - reach, max(ax, bx) + reach, min(ay, by) - reach,
                                        max(ay, by) + reach)
            if window is None:
                return
            px, py, dx, dy = self.canvas.x[window] - ax, self.canvas.y[window] - ay, bx - ax, by - ay
            t = np.clip((px * dx + py * dy) / (dx * dx + dy * dy + 1e-6), 0, 1)
            picture[window][(px - t * dx) ** 2 + (py - t * dy) ** 2 < (w + (w2 - w) * t) ** 2] = part + first_id

        bw, bh = p["body_w"], p["body_h"]
        shoulder, hip = -bh * .8, bh * .7

        def arm(part, x, swing_angle, elbow):
            ex, ey = x + np.sin(swing_angle) * p["arm"], shoulder + .04 + np.cos(swing_angle) * p["arm"]
            hx, hy = ex + np.sin(swing_angle + elbow) * p["arm"] * .9, ey + np.cos(swing_angle + elbow) * p["arm"] * .9
            capsule(part + 1, ex, ey, hx, hy, p["arm_w"] * .8)
            capsule(part, x, shoulder + .04, ex, ey, p["arm_w"])
            ellipse(part + 2, hx, hy, p["arm_w"] * 1.15, p["arm_w"] * 1.15)

        def leg(part, x, swing_angle, knee):
            ex, ey = x + np.sin(swing_angle) * p["leg"], hip + np.cos(swing_angle) * p["leg"]
            fx, fy = ex + np.sin(swing_angle + knee) * p["leg"], ey + np.cos(swing_angle + knee) * p["leg"]
            capsule(part, ex, ey, fx, fy, p["leg_w"] * .85)
            capsule(part + 1, x, hip, ex, ey, p["leg_w"])
            ellipse(part + 2, fx + .03, fy, p["leg_w"] * 1.6, p["leg_w"] * .8)

        if p["tail"] < .3:
            capsule(19, -bw * .8, hip, -bw * .8 - .22, hip - .1 + .1 * np.sin(self.left_arm[i] * 3), .035, .02)
        arm(1, -bw * .8, -self.left_arm[i], -self.left_elbow[i])
        leg(4, -bw * .45, self.left_leg[i], self.left_knee[i])
        leg(7, bw * .45, self.right_leg[i], self.right_knee[i])
        ellipse(10, 0, 0, bw, bh)
        if p["skirt"] < .35:
            capsule(26, 0, hip * .55, 0, hip * 1.25, bw * .8, bw * 1.35)
        elif p["belt"] < .5:
            ellipse(11, 0, hip * .55, bw * .86, .035)
        if p["patch"] < .4:
            ellipse(12, .02, -bh * .1, bw * .4, bh * .35)
        arm(23, bw * .8, self.right_arm[i], self.right_elbow[i])
        self.draw_head(ellipse, capsule, shoulder, i)

    def draw_head(self, ellipse, capsule, shoulder, i):
        p, r = self.p, self.p["head"]
        x, y, a, look = .5 * r * self.nod[i], shoulder - r * .85, r * p["head_aspect"], self.look[i] * r
        if p["hair"] < .45:
            ellipse(13, x, y + r * .25, a * 1.22, r * 1.3)
        elif p["hair"] < .85:
            ellipse(13, x, y - r * .1, a * 1.14, r * 1.12)
        if p["ear"] < .35:
            ellipse(21, x - a * .8, y - r * .85, r * .35, r * .5, -.5)
            ellipse(22, x + a * .8, y - r * .85, r * .35, r * .5, .5)
        ellipse(14, x, y + r * .06, a, r * .95)
        eye = p["eye"] * 1.2
        for part, offset in ((15, -.38), (17, .38)):
            ellipse(part, x + offset * a + look, y + .02, eye, eye * 1.35)
            ellipse(part + 1, x + offset * a + look * 1.25, y + .03, eye * .5, eye * .7)
        if p["hair"] < .85:
            capsule(20 if p["hat"] < .3 else 13, x - a * .75, y - r * .62, x + a * .75, y - r * .62, r * .3)
        elif p["hat"] < .6:
            capsule(20, x - a * .9, y - r * .6, x + a * .9, y - r * .6, r * .16)
            ellipse(20, x, y - r * .85, a * .7, r * .45)


class Background:
    """Sky, wavy ground layers, clouds or windows, still sprites; wider than the picture, so that it can pan."""

    def __init__(self, canvas, rng, frames, sprites, speed):
        self.canvas, scale = canvas, canvas.scale
        self.margin = int(80 * scale)
        wide, high = canvas.width + 2 * self.margin, canvas.height
        y, x = np.mgrid[0:high, 0:wide].astype(np.float32)
        self.map, groups = np.ones((high, wide), np.uint8), [0, 1]
        if rng.random() > 0.2:
            base = rng.uniform(.35, .6) * high
            for layer in range(int(rng.integers(1, 4))):
                waves = rng.uniform(0, 18) * scale
                f1, f2 = rng.uniform(.005, .03) / scale, rng.uniform(.02, .06) / scale
                edge = base + layer * rng.uniform(15, 35) * scale + waves * np.sin(f1 * x + rng.uniform(0, 6)) \
                    + .3 * waves * np.sin(f2 * x + rng.uniform(0, 6))
                groups.append(len(groups))
                self.map[y > edge] = len(groups) - 1
            for _ in range(int(rng.integers(0, 4))):
                groups.append(len(groups))
                cx, cy, r = rng.uniform(0, wide), rng.uniform(5 * scale, base * .8), rng.uniform(8, 26) * scale
                shape = ((x - cx) / 1.6) ** 2 + (y - cy) ** 2 < r * r if rng.random() < .5 else \
                    (abs(x - cx) < r) & (abs(y - cy) < r * .8) & (y < base)
                self.map[shape] = len(groups) - 1
            if rng.random() < .5:
                for _ in range(int(rng.integers(1, 3))):
                    self.add_sprite(sprites[int(rng.integers(len(sprites)))], rng, base, groups)
        n = frames
        self.pan = np.clip(swing(rng, n, rng.uniform(0, 50) * scale * speed, .05, .3)
                           + rng.uniform(-1.2, 1.2) * speed * scale * np.arange(n) * (rng.random() < .5),
                           1 - self.margin, self.margin - 1)
        self.rise = swing(rng, n, rng.uniform(0, 4) * scale * speed, .1, .5)
        self.groups = np.array(groups, np.uint8)

    def add_sprite(self, sprite, rng, base, groups):
        regions, sprite_groups = sprite
        if len(groups) + int(regions.max()) > 60:
            return
        zoom = rng.uniform(50, 110) * self.canvas.scale / max(regions.shape)
        rows = (np.arange(max(8, int(regions.shape[0] * zoom))) / zoom).astype(int).clip(0, regions.shape[0] - 1)
        columns = (np.arange(max(8, int(regions.shape[1] * zoom))) / zoom).astype(int).clip(0, regions.shape[1] - 1)
        small = regions[rows][:, columns]
        h, w = small.shape
        if h >= self.map.shape[0] or w >= self.map.shape[1]:
            return
        left = int(rng.uniform(0, self.map.shape[1] - w))
        top = int(np.clip(base + rng.uniform(0, 30) * self.canvas.scale - h, 0, self.map.shape[0] - h))
        first, top_group = len(groups) - 1, max(groups)
        view = self.map[top:top + h, left:left + w]
        view[small > 0] = small[small > 0] + first
        groups += [top_group + int(group) for group in sprite_groups[1:]]

    def draw(self, i):
        left = int(round(self.margin + self.pan[i]))
        rows = np.clip(np.arange(self.canvas.height) + int(round(self.rise[i])), 0, self.canvas.height - 1)
        return self.map[rows][:, left:left + self.canvas.width].copy()


def make_clip(rng, sprites, frames, width, height):
    canvas, speed = Canvas(width, height), rng.choice([.35, .7, 1., 1.5])
    background = Background(canvas, rng, frames, sprites, speed)
    groups, figures = [background.groups], []
    next_id, next_group = len(background.groups) - 1, int(background.groups.max())
    count = int(rng.choice([1, 2, 3], p=[.5, .35, .15]))
    for _ in range(count):
        size = (rng.uniform(90, 190) if count < 3 else rng.uniform(70, 130)) * canvas.scale
        if rng.random() < .45:
            figure = Puppet(canvas, rng, frames, size * 1.05, speed)
        else:
            figure = SpriteFigure(canvas, sprites[int(rng.integers(len(sprites)))], rng, frames, size, speed)
        if next_id + len(figure.groups) > IDS_MAX:
            break
        figures.append((figure, next_id))
        groups.append(figure.groups[1:] + next_group)
        next_group += int(figure.groups.max())
        next_id += len(figure.groups) - 1
    parallax, regions = rng.uniform(.0, .6), np.zeros((frames, height, width), np.uint8)
    for i in range(frames):
        picture = background.draw(i)
        for figure, first_id in figures:
            figure.draw(picture, first_id, i, -parallax * background.pan[i])
        regions[i] = picture
    return regions, np.concatenate(groups).astype(np.uint8), len(background.groups) - 1


def random_palette(rng, groups):
    """uint8 [groups+1, 3]; greys now and then, a quarter of the palettes nearly one hue."""
    import colorsys
    colours, one_hue, hue = np.zeros((groups + 1, 3)), rng.random() >= .75, rng.random()
    for i in range(1, groups + 1):
        if rng.random() < .12:
            colours[i] = rng.choice([rng.uniform(.85, 1), rng.uniform(.1, .3), rng.uniform(.4, .7)])
        else:
            h = (hue + rng.normal() * .12) % 1 if one_hue else rng.random()
            colours[i] = colorsys.hsv_to_rgb(h, rng.uniform(.15, 1), rng.uniform(.35, 1))
    return (colours * 255).astype(np.uint8)


def save(path, regions, groups, background):
    packed = np.frombuffer(zlib.compress(np.ascontiguousarray(regions).tobytes(), 1), np.uint8)
    np.savez(path, packed=packed, shape=np.array(regions.shape), groups=groups, background=background)


def load(path):
    with np.load(path) as data:
        regions = np.frombuffer(zlib.decompress(data["packed"].tobytes()), np.uint8).reshape(data["shape"])
        return regions, data["groups"], int(data["background"])


_sprites = {}


def make_one(job):
    import sprites as sprite_files  # wants scipy, which readers of shots do not need
    path, sprite_path, held_out, frames, size, seed = job
    if (sprite_path, held_out) not in _sprites:
        _sprites[sprite_path, held_out] = sprite_files.load(sprite_path, held_out)
    save(path, *make_clip(np.random.default_rng(seed), _sprites[sprite_path, held_out], frames, *size))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sprites")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--frames", type=int, default=73)
    parser.add_argument("--size", default="448x256")
    parser.add_argument("--held-out", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    size = tuple(int(n) for n in arguments.size.split("x"))
    jobs = [(arguments.out / f"{arguments.seed:02d}_{k:05d}.npz", arguments.sprites, arguments.held_out,
             arguments.frames, size, arguments.seed * 1000003 + k) for k in range(arguments.count)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(make_one, jobs, chunksize=4))


if __name__ == "__main__":
    main()
