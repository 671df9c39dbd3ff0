#!/usr/bin/env python3
"""Trains the demo model's line extractor: the generator of model_shim/longanimation/lineart.h with narrow layers.

usage: tools/demo_model/lineart.py OUT.safetensors --shots TRAIN [--minutes 6]
From a colour frame, with ink or without, to 1 on paper and 0 on lines."""
import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

import data

WIDTH = 8


def norm(channels):
    return nn.InstanceNorm2d(channels, eps=1e-5)


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv_block = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), norm(width), nn.ReLU(),
                                        nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), norm(width))

    def forward(self, x):
        return x + self.conv_block(x)


class Lineart(nn.Module):
    def __init__(self, width):
        super().__init__()
        a, b, c = width, 2 * width, 4 * width
        self.model0 = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(3, a, 7), norm(a), nn.ReLU())
        self.model1 = nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), norm(b), nn.ReLU(), nn.Conv2d(b, c, 3, 2, 1), norm(c), nn.ReLU())
        self.model2 = nn.Sequential(Residual(c), Residual(c))
        self.model3 = nn.Sequential(nn.ConvTranspose2d(c, b, 3, 2, 1, 1), norm(b), nn.ReLU(),
                                    nn.ConvTranspose2d(b, a, 3, 2, 1, 1), norm(a), nn.ReLU())
        self.model4 = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(a, 1, 7), nn.Sigmoid())

    def forward(self, x):
        return self.model4(self.model3(self.model2(self.model1(self.model0(x)))))


def batch(shots, count):
    device = shots.device
    which = torch.randint(0, len(shots), (count,), device=device)
    regions = shots.pick(which, torch.randint(0, shots.frames, (count, 1), device=device))
    thin = torch.ones(count, dtype=torch.bool, device=device)
    inked = torch.rand(count, device=device) < .7
    ink = torch.where(inked, torch.rand(count, device=device) * .3, torch.full((count,), -1., device=device))
    picture = data.paint(regions, shots.groups[which], data.palettes(count, device), ink)[:, :, 0] * .5 + .5
    noise = torch.rand(count, 1, 1, 1, device=device) * .02
    return (picture + torch.randn_like(picture) * noise).clamp(0, 1), data.lines(regions, thin).float()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shots", required=True)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    shots, network = data.Shots(arguments.shots, torch.device("cpu")), Lineart(WIDTH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    started, step = time.monotonic(), 0
    while (spent := time.monotonic() - started) < 60 * arguments.minutes:
        optimiser.param_groups[0]["lr"] = 3e-3 * max(.02, 1 - spent / (60 * arguments.minutes))
        picture, line = batch(shots, 4)
        paper = network(picture)
        loss = F.binary_cross_entropy(paper, 1 - line, weight=1 + 3 * line)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        if step % 200 == 0:
            found, true = paper <= .78, line > .5
            print(json.dumps({"step": step, "seconds": round(spent), "loss": round(loss.item(), 4),
                              "recall": round((found & true).sum().item() / true.sum().item(), 3),
                              "precision": round((found & true).sum().item() / max(1, found.sum().item()), 3)}), flush=True)
    save_file({k: v.detach().to(torch.float16).contiguous() for k, v in network.state_dict().items()}, arguments.out)


if __name__ == "__main__":
    main()
