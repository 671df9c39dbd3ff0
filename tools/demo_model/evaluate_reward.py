#!/usr/bin/env python3
"""Compares model folders of the same sizes on held-out shots: what stage 3 (`longanim train --stage reward`) gained.

usage: tools/demo_model/evaluate_reward.py SHOTS BEFORE AFTER… [--library build/libmodel_shim.so] [--count 50] [--skip 0]
    [--kinds near,far]
Each shot's first segment is coloured by all models from the same reference, lines and noise; the network's own picture is
judged (no region snap). colour: minus the mean distance of colours in cells of 8x8 pixels, of a range of 2, colours that
fill little counting more. memory: the cosine between the video encoder's keys and values of the coloured and of the true
frames. These two are the rewards that the trainer has. pixel and region: share of figure pixels off the lines, whose
colour the reference has, that are right when every pixel, or every region of a frame by vote, takes the nearest colour of
the reference. better: shots on which it rose. Intervals are a bootstrap over shots."""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

import memory_networks
from evaluate import FRAMES, SCALE, Shot, borders, interval, nearest, picture, voted
from evaluate_memory import drawing
from expect_memory import seen
from shim import Model

CELL, LEVELS = 8, 8
ACCURACIES = ("pixel", "region")
BEFORE = "before"


class Encoder:
    """What the service's memory keeps of the first and the last frames of a segment, evenly sampled."""

    def __init__(self, folder):
        read = lambda path: json.loads((folder / path).read_text())  # noqa: E731
        manifest, vision = read("longanimation.json"), read("video_encoder/clip/config.json")["vision_config"]
        self.network = memory_networks.VideoXl(read("video_encoder/config.json"), vision, read("video_encoder/memory_prompt.json"),
                                               manifest["memory_layers"], manifest["compression_ratio"]).eval()
        self.network.load_state_dict({k: v.float() for k, v in load_file(folder / "video_encoder/model.safetensors").items()})
        self.preprocessor, self.frames = read("video_encoder/clip/preprocessor_config.json"), manifest["global_frames_max"]

    @torch.no_grad()
    def __call__(self, frames):
        chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, self.frames).astype(int)]
        return self.network.remember(self.network.visual_tokens(seen(np.stack(chosen), self.preprocessor)[None])).flatten()


def cells(frames):
    x = torch.from_numpy(np.stack(frames).astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
    return torch.nn.functional.avg_pool2d(x, CELL)


def colour_reward(made, truth):
    """As model_shim/train/stage_reward.cc has it."""
    wanted = cells(truth)
    level = ((wanted + 1) * (LEVELS / 2)).floor().clamp(0, LEVELS - 1).long()
    colour = (level[:, 0] * LEVELS + level[:, 1]) * LEVELS + level[:, 2]
    weight = torch.bincount(colour.flatten(), minlength=LEVELS ** 3)[colour].float().rsqrt()
    return -((cells(made) - wanted).abs().mean(1) * weight / weight.mean()).mean().item()


def judge(shot, kind, models, encoder):
    """-> {model: [colour, memory, right and all pixels of ACCURACIES]}"""
    frames, reference = shot.of_kind(kind)
    lines, image = np.stack([drawing(f) for f in frames]), np.asarray(picture(reference, shot.colours))
    frames = [f[::SCALE, ::SCALE] for f in frames]
    truth = [shot.colours[f] for f in frames]
    known = np.unique(shot.colours[np.unique(reference)], axis=0)
    found = {}
    for name, model in models.items():
        delivered, _ = model.run(lines, image, True)
        made = [delivered[i] for i in range(FRAMES)]
        memory = torch.cosine_similarity(encoder(made), encoder(truth), 0).item()
        counts = np.zeros(2 * len(ACCURACIES))
        for picture_made, regions, true in zip(made, frames, truth):
            ink = borders(regions)
            counted = ~ink & (true[..., None, :] == known).all(-1).any(-1) & (regions > shot.background)
            for i, result in enumerate((nearest(picture_made, known), voted(picture_made, regions, ink, known))):
                counts[2 * i:2 * i + 2] += ((result == true).all(-1) & counted).sum(), counted.sum()
        found[name] = np.array([colour_reward(made, truth), memory, *counts])
    return found


def table(rows, name):
    """Before, after and the difference of everything that was judged, with 95 % intervals of the difference."""
    before, after = (np.array([r[n] for r in rows]) for n in (BEFORE, name))
    draws = np.random.default_rng(1).integers(0, len(rows), (2000, len(rows)))
    measures = {"colour": lambda x: x[..., 0].mean(-1), "memory": lambda x: x[..., 1].mean(-1)}
    for i, name in enumerate(ACCURACIES):
        measures[name] = lambda x, i=i: x[..., 2 + 2 * i].sum(-1) / np.maximum(x[..., 3 + 2 * i].sum(-1), 1)
    return {name: {"before": round(float(of(before)), 4), "after": round(float(of(after)), 4),
                   "difference": interval(of(after) - of(before), of(after[draws]) - of(before[draws])),
                   "better": int((of(after[:, None]) > of(before[:, None])).sum())} for name, of in measures.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shots", type=Path)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="+")
    parser.add_argument("--library", type=Path, default=Path("build/libmodel_shim.so"))
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--skip", type=int, default=0, help="shots that are left out before these")
    parser.add_argument("--kinds", default="near,far")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folders = {BEFORE: arguments.before} | {str(folder): folder for folder in arguments.after}
    models = {name: Model(arguments.library.resolve(), folder, 1) for name, folder in folders.items()}
    encoder, files = Encoder(arguments.before), sorted(arguments.shots.glob("*.npz"))
    for kind in arguments.kinds.split(","):
        rows = []
        for number, file in list(enumerate(files))[arguments.skip:arguments.skip + arguments.count]:
            rows.append(judge(Shot(file, number), kind, models, encoder))
            if len(rows) % 10 == 0 or len(rows) == arguments.count:
                for name in list(models)[1:]:
                    print(json.dumps({"reference": kind, "model": name, "shots": len(rows), **table(rows, name)}), flush=True)


if __name__ == "__main__":
    main()
