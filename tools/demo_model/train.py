#!/usr/bin/env python3
"""Trains the demo model on one GPU (or, slowly, on a CPU).

usage: tools/demo_model/train.py WORK OUT --shots TRAIN --held-out TEST [--vae-minutes 5] [--dit-minutes 13] [--stop-after S]
WORK keeps the state; a second call goes on where the first one stopped. OUT gets the weights in half precision
(vae, transformer, sketch_dit) and log.jsonl. The recipe and its reasons: tools/demo_model/README.md."""
import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

import data
import haar
import networks

CONFIG = json.loads((Path(__file__).resolve().parent / "config.json").read_text())
REUSE = 3  # steps per encoded batch, each with another reference, order and noise


class Clock:
    def __init__(self, spent=0.0):
        self.started, self.spent = time.monotonic(), spent

    def seconds(self):
        return self.spent + time.monotonic() - self.started


def rate(step, progress, peak, warm, flat):
    decay = 1.0 if progress < flat else max(0.02, 1 - (progress - flat) / (1 - flat))
    return peak * min(1.0, (step + 1) / warm) * decay


# ---- stage 0: VAE ----
def vae_batch(shots, count, frames, height, width):
    device = shots.device
    which = torch.randint(0, len(shots), (count,), device=device)
    stride = 1 if frames == 1 else int(torch.randint(1, 3, ()))
    first = torch.randint(0, shots.frames - (frames - 1) * stride, (count, 1), device=device)
    regions = shots.pick(which, first + torch.arange(frames, device=device) * stride)
    h2, w2 = regions.shape[-2:]
    y, x = (int(torch.randint(0, n // 2 - k + 1, ())) * 2 for n, k in ((h2, height), (w2, width)))
    regions = data.mirror(regions[..., y:y + 2 * height, x:x + 2 * width],
                          (torch.rand(count, 1, device=device) < .5).expand(-1, frames))
    mask = data.lines(regions, torch.rand(count, device=device) < .7)
    draw = torch.rand(count, device=device)
    ink = torch.where(draw < .2, torch.rand(count, device=device) * .25, torch.full((count,), -1., device=device))
    colour = data.paint(regions, shots.groups[which], data.palettes(count, device), ink)
    as_lines = (draw > .65)[:, None, None, None, None]
    picture = torch.where(as_lines, data.sketch(mask), colour)
    return picture, 1 + 2 * (mask[:, None] & as_lines).float()


def vae_loss(vae, picture, weight, noise):
    mean, std = vae.moments(picture)
    z = mean + std * torch.randn_like(mean)
    y = vae.decode(z + noise * torch.randn_like(z) if noise else z)
    d = y - picture
    gradient = (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
    divergence = 0.5 * (mean ** 2 + std ** 2 - 1 - 2 * std.log()).mean()
    return (weight * (2 * d ** 2 + .4 * d.abs())).mean() + .1 * gradient + 2e-4 * divergence, (d ** 2).mean()


def train_vae(state, shots, minutes, stop, log):
    vae, optimiser, clock = state["vae"], state["vae_optimiser"], Clock(state["vae_seconds"])
    limit, sums = minutes * 60, []
    while clock.seconds() < limit and not stop():
        step, progress = state["vae_step"], clock.seconds() / limit
        decoder_only = progress > .85
        for group in optimiser.param_groups:
            group["lr"] = rate(step, progress, 2e-3, 100, .3)
        batches = next(stage["batches"] for stage in CONFIG["vae_plan"] if progress <= stage["until"])
        chosen = torch.multinomial(torch.tensor([b[0] for b in batches]), 1).item()
        picture, weight = vae_batch(shots, *batches[chosen][1:])
        vae.encoder.requires_grad_(not decoder_only)
        with torch.autocast(picture.device.type, torch.bfloat16):
            loss, mse = vae_loss(vae, picture, weight, [0, .05, .15][step % 3] if decoder_only else 0)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
        sums.append(mse.detach())
        state["vae_step"] += 1
        if state["vae_step"] % 100 == 0:
            log(stage="vae", step=state["vae_step"], seconds=round(clock.seconds()),
                psnr=round(10 * math.log10(4 / torch.stack(sums).mean().item()), 2))
            sums = []
        if state["vae_step"] % 1000 == 0:
            state["vae_seconds"] = clock.seconds()
            state["checkpoint"]()
    state["vae_seconds"] = clock.seconds()
    return clock.seconds() >= limit


# ---- stage 1: transformer and SketchDiT ----
class Latents:
    """One encoded batch: colour, inked reference and line latents [B,K,C,h,w], unscaled."""

    @torch.no_grad()
    def __init__(self, vae, shots, count, video, generator_frames, zoom=1.0):
        device = shots.device
        which = torch.randint(0, len(shots), (count,), device=device)
        frames = generator_frames
        if video:
            stride = int(torch.randint(1, 3, ())) if (frames - 1) * 2 < shots.frames else 1
            first = torch.randint(0, shots.frames - (frames - 1) * stride, (count, 1), device=device)
            index = first + torch.arange(frames, device=device) * stride
            u = torch.rand(count, 1, device=device)
            near = first + (torch.log(torch.rand(count, 1, device=device)) / math.log(.88)).long()
            reference = torch.where(u < .45, near, torch.randint(0, shots.frames, (count, 1), device=device))
            index = torch.cat([reference.clamp(0, shots.frames - 1), index], 1)
        else:
            spread = torch.tensor([6., 16., 60.], device=device)[torch.randint(0, 3, (count, 1), device=device)]
            centre = torch.randint(0, shots.frames, (count, 1), device=device)
            index = (centre + torch.randn(count, frames, device=device) * spread).long().clamp(0, shots.frames - 1)
        regions = data.zoomed(shots.pick(which, index), zoom)
        turned = torch.rand(index.shape, device=device)
        moved = torch.rand(index.shape, device=device)
        if video:
            turned[:, 1:], moved[:, 1:] = 1, 1
        regions = data.mirror(regions, turned < (.15 if video else .12))
        h2, w2 = regions.shape[-2:]
        regions = data.shift(regions, moved < (.25 if video else .2), h2 // 8, w2 // 7)
        regions = data.mirror(regions, (torch.rand(count, 1, device=device) < .5).expand_as(turned))
        mask = data.lines(regions, torch.rand(count, device=device) < .7)
        palette = data.palettes(count, device)
        ink = torch.where(torch.rand(count, device=device) < .6, torch.rand(count, device=device) * .25,
                          torch.full((count,), -1., device=device))
        colour = data.paint(regions, shots.groups[which], palette)
        with torch.autocast(device.type, torch.bfloat16):
            if video:
                inked = data.paint(regions[:, :1], shots.groups[which], palette, ink)
                stills = self.stills(vae, torch.cat([colour[:, :, :1], inked, data.sketch(mask[:, :1])], 2))
                self.image = stills[:, 1:2]
                self.colour = torch.cat([stills[:, :1], vae.encode(colour[:, :, 1:]).transpose(1, 2)], 1)
                self.lines = torch.cat([stills[:, 2:], vae.encode(data.sketch(mask[:, 1:])).transpose(1, 2)], 1)
            else:
                inked = data.paint(regions, shots.groups[which], palette, ink)
                self.colour, self.image, self.lines = (
                    self.stills(vae, x) for x in (colour, inked, data.sketch(mask)))
        self.video = video

    @staticmethod
    def stills(vae, x):
        b, c, k, h, w = x.shape
        z = vae.encode(x.transpose(1, 2).reshape(b * k, c, 1, h, w))
        return z[:, :, 0].unflatten(0, (b, k))

    def sample(self, scale):
        """Target, image and sketch inputs [B,F,C,h,w]; bags take any still as the reference."""
        colour, image, sketch = self.colour, self.image, self.lines
        if not self.video:
            order = torch.rand(colour.shape[:2], device=colour.device).argsort(1)[:, :, None, None, None]
            colour, image, sketch = (x.gather(1, order.expand_as(x)) for x in (colour, image, sketch))
        first = torch.zeros_like(colour)
        first[:, 0] = image[:, 0]
        return colour * scale, first, sketch * scale


def orthogonalise(g):
    """Newton-Schulz over a stack of matrices [n,r,c] (Muon)."""
    x = g.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Muon:
    def __init__(self, parameters):
        self.groups = {}
        for p in parameters:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.momentum = {shape: torch.zeros(len(ps), *shape, device=ps[0].device) for shape, ps in self.groups.items()}

    @torch.no_grad()
    def step(self, lr):
        for shape, parameters in self.groups.items():
            gradient, momentum = torch.stack([p.grad for p in parameters]), self.momentum[shape]
            momentum.mul_(.95).add_(gradient)
            update = orthogonalise(gradient + .95 * momentum) * (lr * .2 * math.sqrt(max(shape)))
            torch._foreach_mul_(parameters, 1 - lr * .05)
            torch._foreach_sub_(parameters, list(update.unbind(0)))


def is_matrix(name, p):
    return p.ndim == 2 and ("attn1.to" in name or "ff.net" in name or "zero_conv" in name)


def optimisers(network):
    matrices = [p for n, p in network.named_parameters() if is_matrix(n, p)]
    rest = [p for n, p in network.named_parameters() if not is_matrix(n, p)]
    return torch.optim.AdamW(rest, lr=1e-3, betas=(.9, .98), weight_decay=.01), Muon(matrices)


def initialise(network):
    layers = network.config["num_layers"] + network.sketch_config["num_layers"]
    for dit in (network.transformer, network.sketch_dit):
        for module in dit.modules():
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    torch.nn.init.zeros_(module.bias)
        for block in dit.transformer_blocks:
            for norm in (block.norm1, block.norm2):
                torch.nn.init.normal_(norm.linear.weight, std=.01)
                norm.linear.bias.data[2 * dit.dim:3 * dit.dim] = 1
                norm.linear.bias.data[5 * dit.dim:] = 1
            block.attn1.to_out[0].weight.data.mul_(1 / math.sqrt(2 * layers))
            block.ff.net[2].weight.data.mul_(1 / math.sqrt(2 * layers))
    torch.nn.init.zeros_(network.transformer.proj_out.weight)
    torch.nn.init.normal_(network.transformer.norm_out.linear.weight, std=.01)
    torch.nn.init.normal_(network.sketch_dit.zero_conv.weight, std=.5 / math.sqrt(network.sketch_dit.dim))


def noised(x0, t, table):
    a = table[t].view(-1, 1, 1, 1, 1)
    return a.sqrt() * x0 + (1 - a).sqrt() * torch.randn_like(x0)


def times(count, device):
    """A quarter at pure noise, the others the likelier the noisier."""
    u = torch.rand(count, device=device)
    return torch.where(torch.rand(count, device=device) < .25, 999, (1000 * u.sqrt()).long().clamp(0, 999))


def dit_loss(network, x0, image, sketch, t, noisy):
    with torch.autocast(x0.device.type, torch.bfloat16):
        y = network(noisy, image, sketch, t)
    weight = torch.ones(1, x0.shape[1], 1, 1, 1, device=x0.device)
    weight[:, 0] = .4
    return ((y.float() - x0) ** 2 * weight).mean()


def learn(network, average, adam, muon, step, lr):
    """One update from the gradients that are there, which it drops; every fourth goes into the average. -> their norm."""
    parameters = list(network.parameters())
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    if torch.isfinite(norm):
        for group in adam.param_groups:
            group["lr"] = lr
        adam.step()
        muon.step(lr)
    for p in parameters:
        p.grad = None
    if step % 4 == 3:
        keep = min(.998, (step + 1) / (step + 20)) ** 4
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), parameters, 1 - keep)
    return norm


@torch.no_grad()
def validate(network, batches, scale, table):
    result = {}
    for name, latents in batches.items():
        for t in (999, 800):
            torch.manual_seed(1)
            x0, image, sketch = latents.sample(scale)
            errors = []
            for i in range(0, len(x0), 16):
                s = slice(i, i + 16)
                step = torch.full((len(x0[s]),), t, device=x0.device)
                with torch.autocast(x0.device.type, torch.bfloat16):
                    y = network(noised(x0[s], step, table), image[s], sketch[s], step)
                errors.append(((y.float() - x0[s])[:, 1:] ** 2).mean((1, 2, 3, 4)))
            result[f"{name}_{t}"] = round(torch.cat(errors).mean().item(), 4)
        result[f"{name}_copy"] = round(((x0[:, :1] - x0[:, 1:]) ** 2).mean().item(), 4)
    return result


def train_dit(state, shots, held_out, minutes, stop, log):
    vae, network, average, clock = state["vae"], state["network"], state["average"], Clock(state["dit_seconds"])
    device, limit = shots.device, minutes * 60
    table = networks.alphas().to(device)
    vae.eval().requires_grad_(False)
    if state["scale"] is None:
        bag = Latents(vae, shots, 64, False, 6)
        state["scale"] = 1 / torch.cat([bag.colour.flatten(), bag.lines.flatten()]).std().item()
        log(stage="dit", scale=state["scale"])
    torch.manual_seed(1)
    batches = {"bags": Latents(vae, held_out, CONFIG["validation"]["bags"], False, 6),
               "shots": Latents(vae, held_out, CONFIG["validation"]["shots"], True, 25),
               "large": Latents(vae, held_out, CONFIG["validation"]["shots"], False, 6, 2.0)}
    torch.manual_seed(int(time.time()))
    latents, sums, last = None, [], clock.seconds()
    while clock.seconds() < limit and not stop():
        step, progress = state["dit_step"], clock.seconds() / limit
        if latents is None or step % REUSE == 0:
            plan = next(stage["batches"] for stage in CONFIG["dit_plan"] if progress <= stage["until"])
            video, frames, count, zoom = plan[(step // REUSE) % len(plan)]
            latents = Latents(vae, shots, count, video, frames, zoom)
        x0, image, sketch = latents.sample(state["scale"])
        lr = rate(step, progress, 2.5e-3, 150, .6)
        t = times(len(x0), device)
        loss = dit_loss(network, x0, image, sketch, t, noised(x0, t, table))
        loss.backward()
        norm = learn(network, average, state["adam"], state["muon"], step, lr)
        sums.append(loss.detach())
        state["dit_step"] += 1
        if state["dit_step"] % 300 == 0:
            log(stage="dit", step=state["dit_step"], seconds=round(clock.seconds()), lr=round(lr, 6),
                loss=round(torch.stack(sums).mean().item(), 4), norm=round(norm.item(), 3))
            sums = []
        if clock.seconds() - last > 240:
            last = clock.seconds()
            state["dit_seconds"] = last
            state["checkpoint"]()
            log(stage="dit", step=state["dit_step"], seconds=round(last), held_out=validate(average, batches, state["scale"], table))
    state["dit_seconds"] = clock.seconds()
    log(stage="dit", step=state["dit_step"], seconds=round(clock.seconds()),
        held_out=validate(average, batches, state["scale"], table))


# ---- state ----
def fresh(device):
    torch.manual_seed(0)
    vae = haar.initialise(networks.Vae(CONFIG["vae"])).to(device)
    network = networks.Colouriser(CONFIG["transformer"], {**CONFIG["transformer"], **CONFIG["sketch_dit"]})
    initialise(network)
    network.to(device)
    adam, muon = optimisers(network)
    return {"vae": vae, "network": network, "average": copy.deepcopy(network).requires_grad_(False).eval(),
            "vae_optimiser": torch.optim.AdamW(vae.parameters(), lr=1e-3, betas=(.9, .98), weight_decay=1e-4),
            "adam": adam, "muon": muon,
            "vae_step": 0, "dit_step": 0, "vae_seconds": 0.0, "dit_seconds": 0.0, "scale": None}


MODULES = ("vae", "network", "average", "vae_optimiser", "adam")


def save_state(state, path):
    partial = path.with_suffix(".partial")
    torch.save({k: v.state_dict() if k in MODULES else v.momentum if k == "muon" else v
                for k, v in state.items() if k != "checkpoint"}, partial)
    partial.replace(path)


def load_state(state, path, device):
    for k, v in torch.load(path, map_location=device, weights_only=True).items():
        if k in MODULES:
            state[k].load_state_dict(v)
        elif k == "muon":
            for shape, momentum in v.items():
                state["muon"].momentum[shape].copy_(momentum)
        else:
            state[k] = v


def half(tensors):
    return {k: v.detach().to(torch.float16).contiguous().cpu() for k, v in tensors.items()}


def save_networks(networks, out):
    """{name: module} -> out/name.safetensors, as package.py takes them."""
    for name, module in networks.items():
        save_file(half(module.state_dict()), out / f"{name}.safetensors")


def export(state, out):
    average = state["average"]
    save_networks({"vae": state["vae"], "transformer": average.transformer, "sketch_dit": average.sketch_dit}, out)
    (out / "scale.json").write_text(json.dumps({"scaling_factor": state["scale"], "steps": state["dit_step"]}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shots", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--vae-minutes", type=float, default=5)
    parser.add_argument("--dit-minutes", type=float, default=13)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--stop-after", type=float, default=1e9, help="seconds of this call")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    clock, journal = Clock(), open(arguments.work / "log.jsonl", "a", encoding="utf-8")

    def log(**fields):
        line = json.dumps(fields)
        print(line, flush=True)
        journal.write(line + "\n")
        journal.flush()

    def stop():
        return clock.seconds() > arguments.stop_after

    state = fresh(device)
    log(parameters={n: sum(p.numel() for p in m.parameters()) for n, m in
                    (("vae", state["vae"]), ("transformer", state["network"].transformer),
                     ("sketch_dit", state["network"].sketch_dit))})
    if (arguments.work / "state.pt").exists():
        load_state(state, arguments.work / "state.pt", device)
    def checkpoint():
        save_state(state, arguments.work / "state.pt")
        export(state, arguments.out)
        (arguments.out / "log.jsonl").write_text((arguments.work / "log.jsonl").read_text())

    state["checkpoint"] = checkpoint
    shots, held_out = data.Shots(arguments.shots, device), data.Shots(arguments.held_out, device)
    log(shots=len(shots), held_out=len(held_out), loaded_seconds=round(clock.seconds()))
    if train_vae(state, shots, arguments.vae_minutes, stop, log):
        train_dit(state, shots, held_out, arguments.dit_minutes, stop, log)
    checkpoint()


if __name__ == "__main__":
    main()
