#!/usr/bin/env python3
"""Trains the four ways of control injection side by side, for the same short budget.

usage: tools/demo_model/injections.py TRAINED WORK --shots TRAIN --held-out TEST [--steps 900] [--seed 1]
TRAINED holds the VAE that stays as it is (train.py's OUT). Four colourisers with the same first weights see the same
batches, references, time steps and noise in the same order at the same rates; only the blocks of the transformer that
SketchDiT's control is added behind differ. Nothing is drawn by the clock: a call with the same seed on the same machine
gives the same weights. WORK keeps the state (a second call goes on), WORK/MODE what package.py takes. Prints the error
of the clean latents predicted from pure noise, means over held-out samples, and the difference from skip_layer over the same samples with a
95 % bootstrap interval."""
import argparse
import json
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

import data
import networks
import train

CONFIG = train.CONFIG
PLAN = CONFIG["dit_plan"][0]["batches"]
SAVE_STEPS, PEAK, WARM, FLAT = 30 * train.REUSE, 2.5e-3, 60, .5


def fresh():
    """A row per mode; the same first weights in all."""
    rows = {}
    for mode in networks.INJECTIONS:
        torch.manual_seed(0)
        make = lambda: networks.Colouriser(CONFIG["transformer"], CONFIG["transformer"] | CONFIG["sketch_dit"], mode)  # noqa: E731
        network, average = make(), make()
        train.initialise(network)
        average.load_state_dict(network.state_dict())
        average.requires_grad_(False).eval()
        adam, muon = train.optimisers(network)
        rows[mode] = {"network": network, "average": average, "adam": adam, "muon": muon, "seconds": 0.0, "losses": []}
    return rows


def save(rows, step, path):
    partial = path.with_suffix(".partial")
    torch.save({"step": step, "rows": {mode: {k: v.momentum if k == "muon" else v if k in ("seconds", "losses") else v.state_dict()
                                              for k, v in row.items()} for mode, row in rows.items()}}, partial)
    partial.replace(path)


def load(rows, path):
    kept = torch.load(path, weights_only=True)
    for mode, row in rows.items():
        for k, v in kept["rows"][mode].items():
            if k == "muon":
                row[k].momentum.update(v)
            elif k in ("seconds", "losses"):
                row[k] = v
            else:
                row[k].load_state_dict(v)
    return kept["step"]


def train_on(rows, latents, scale, table, step, steps):
    x0, image, sketch = latents.sample(scale)
    t = train.times(len(x0), x0.device)
    noisy, lr = train.noised(x0, t, table), train.rate(step, step / steps, PEAK, WARM, FLAT)
    for row in rows.values():
        began = time.process_time()
        loss = train.dit_loss(row["network"], x0, image, sketch, t, noisy)
        loss.backward()
        train.learn(row["network"], row["average"], row["adam"], row["muon"], step, lr)
        row["losses"].append(loss.item())
        row["seconds"] += time.process_time() - began


def held_out_batches(vae, shots, count):
    torch.manual_seed(1)
    return {name: [train.Latents(vae, shots, size, video, frames) for _ in range(count // size)]
            for name, size, video, frames in (("stills", 8, False, 6), ("shots", 4, True, 25))}


@torch.no_grad()
def errors(network, batches, scale):
    """Of every sample, from pure noise: the mean square of the clean latents' error, without the padding frame."""
    torch.manual_seed(2)
    found = []
    for latents in batches:
        x0, image, sketch = latents.sample(scale)
        noise, t = torch.randn_like(x0), torch.full((len(x0),), 999)
        with torch.autocast("cpu", torch.bfloat16):
            y = network(noise, image, sketch, t)
        found.append(((y.float() - x0)[:, 1:] ** 2).mean((1, 2, 3, 4)))
    return torch.cat(found)


def copied(batches, scale):
    """The error of the reference's latents taken for every frame's."""
    torch.manual_seed(2)
    found = []
    for latents in batches:
        x0, _, _ = latents.sample(scale)
        torch.randn_like(x0)
        found.append(((x0[:, :1] - x0[:, 1:]) ** 2).mean((1, 2, 3, 4)))
    return torch.cat(found)


def interval(values):
    draws = values[torch.randint(0, len(values), (2000, len(values)), generator=torch.Generator().manual_seed(1))].mean(1)
    return [round(v.item(), 4) for v in torch.quantile(draws, torch.tensor([.025, .975]))]


def validate(rows, step, batches, scale, log):
    for name, some in batches.items():
        found = {mode: errors(row["average"], some, scale) for mode, row in rows.items()}
        line = {"step": step, "held_out": name, "samples": len(found["skip_layer"]), "copy": round(copied(some, scale).mean().item(), 4)}
        for mode, row in rows.items():
            line[mode] = {"error": round(found[mode].mean().item(), 4)}
            if mode != "skip_layer":
                less = found[mode] - found["skip_layer"]
                line[mode] |= {"over_skip_layer": round(less.mean().item(), 4), "interval": interval(less)}
        log(line)


def export(rows, step, trained, scale, work):
    for mode, row in rows.items():
        out = work / mode
        out.mkdir(exist_ok=True)
        (out / "vae.safetensors").write_bytes((trained / "vae.safetensors").read_bytes())
        train.save_networks({"transformer": row["average"].transformer, "sketch_dit": row["average"].sketch_dit}, out)
        (out / "scale.json").write_text(json.dumps({"scaling_factor": scale, "steps": step, "injection": mode}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--shots", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=96, help="held-out samples of each kind")
    parser.add_argument("--report-steps", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    journal = open(arguments.work / "log.jsonl", "a", encoding="utf-8")

    def log(fields):
        print(json.dumps(fields), flush=True)
        journal.write(json.dumps(fields) + "\n")
        journal.flush()

    vae = networks.Vae(CONFIG["vae"])
    vae.load_state_dict({k: v.float() for k, v in load_file(arguments.trained / "vae.safetensors").items()})
    vae.eval().requires_grad_(False)
    scale = json.loads((arguments.trained / "scale.json").read_text())["scaling_factor"]
    shots, held_out = (data.Shots(folder, torch.device("cpu")) for folder in (arguments.shots, arguments.held_out))
    batches, table, rows, first = held_out_batches(vae, held_out, arguments.count), networks.alphas(), fresh(), 0
    if (arguments.work / "state.pt").exists():
        first = load(rows, arguments.work / "state.pt")
    for step in range(first, arguments.steps):
        if step % train.REUSE == 0:
            torch.manual_seed(arguments.seed * 1000003 + step)
            video, frames, count, zoom = PLAN[(step // train.REUSE) % len(PLAN)]
            latents = train.Latents(vae, shots, count, video, frames, zoom)
        train_on(rows, latents, scale, table, step, arguments.steps)
        done = step + 1
        if done % SAVE_STEPS == 0 or done == arguments.steps:
            save(rows, done, arguments.work / "state.pt")
            log({"step": done, **{mode: {"loss": round(sum(row["losses"][-SAVE_STEPS:]) / len(row["losses"][-SAVE_STEPS:]), 4),
                                         "processor_seconds": round(row["seconds"])} for mode, row in rows.items()}})
        if done % arguments.report_steps == 0 or done == arguments.steps:
            validate(rows, done, batches, scale, log)
            export(rows, done, arguments.trained, scale, arguments.work)


if __name__ == "__main__":
    main()
