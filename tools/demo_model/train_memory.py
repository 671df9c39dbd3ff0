#!/usr/bin/env python3
"""Teaches a trained demo model to remember: video encoder and memory module, the transformer and SketchDiT with them.

usage: tools/demo_model/train_memory.py WORK OUT --from TRAINED --shots TRAIN --held-out TEST [--minutes 60] [--stop-after S]
TRAINED is what train.py left (its vae stays as it is). WORK keeps the state; a second call goes on where the first one
stopped. OUT gets the weights in half precision and log.jsonl. The recipe and its reasons: tools/demo_model/README.md."""
import argparse
import copy
import json
import random
import time
from pathlib import Path

import torch
import torch.nn as nn
from safetensors.torch import load_file

import data
import memory_data
import memory_lessons
import memory_networks
import networks
import train

CONFIG = train.CONFIG
MEMORY = CONFIG["video_encoder"]
MODULES, PLAIN = ("network", "average", "optimisers"), ("step", "seconds", "place_seconds", "colour_seconds")
LATENT_STEPS = (999,)


class Rememberer(nn.Module):
    """Everything that trains: colouriser, video encoder, memory module, and heads that are thrown away afterwards."""

    def __init__(self, colouriser):
        super().__init__()
        self.colouriser = colouriser
        self.encoder = memory_networks.VideoXl(MEMORY["config"], MEMORY["clip"]["vision_config"], MEMORY["prompt"],
                                               MEMORY["layers"], MEMORY["ratio"])
        self.memory = memory_networks.Dglm(CONFIG["memory"])
        self.guess = nn.Linear(CONFIG["memory"]["dim"], 8 * CONFIG["vae"]["latent_channels"])

    def remember(self, history):
        """Pictures [B,F,3,s,s] -> memory of all of them and, behind it, of the last ones alone."""
        tokens = self.encoder.visual_tokens(history)
        local = tokens[:, -MEMORY["local_frames"] * tokens.shape[1] // history.shape[1]:]
        return torch.cat([self.encoder.remember(tokens), self.encoder.remember(local)], 3)

    def forward(self, noisy, image, sketch, t, history=None):
        """-> prediction, what the memory module alone makes of it (or None), control before the memory."""
        c = self.colouriser
        b, f, _, h, w = noisy.shape
        rope = networks.rope_tables(f // 2, h // 2, w // 2, c.head, noisy.device)
        text = torch.zeros(b, c.config["max_text_seq_length"], c.config["text_embed_dim"], device=noisy.device)
        z = c.sketch_dit(torch.cat([sketch, image], 2), text, t, rope)
        control, states, memory = z, None, None
        if history is not None:
            memory = self.remember(history)
            states = self.memory.states(z, memory)
            control = z + states @ self.memory.proj_out.to(states.dtype)
        y = c.transformer(torch.cat([noisy, image], 2), text, t, rope, control)
        return y, states, z, memory


def spread(history):
    """As many frames of it as the memory takes, the last one included."""
    return history[:, torch.linspace(0, history.shape[1] - 1, MEMORY["global_frames"]).long()]


def patches(x):
    """Latents [B,F,C,h,w] -> [B,tokens,C*8] in the order of the networks' tokens."""
    b, f, c, h, w = x.shape
    return x.reshape(b, f // 2, 2, c, h // 2, 2, w // 2, 2).permute(0, 1, 4, 6, 3, 2, 5, 7).flatten(4).flatten(1, 3)


# ---- a start from which information flows ----
def initialise(network):
    for module in network.encoder.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=.3)
    for module in network.memory.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(network.guess.weight, std=.02)
    vision = network.encoder.model.vision_tower.vision_tower.vision_model
    for layer in vision.encoder.layers:
        layer.self_attn.out_proj.weight.data.mul_(.2)
        layer.mlp.fc2.weight.data.mul_(.2)
    see_colours_and_places(vision.embeddings)
    look_one_back(network.encoder)


def see_colours_and_places(embeddings):
    """Each patch shows the mean colours of its four quarters and where it is."""
    weight, patch = embeddings.patch_embedding.weight.data, embeddings.patch_embedding.kernel_size[0]
    half, n = patch // 2, 0
    weight.mul_(.05)
    for row in (0, 1):
        for column in (0, 1):
            for channel in range(3):
                for sign in (1, -1):
                    weight[n] = 0
                    weight[n, channel, row * half:(row + 1) * half, column * half:(column + 1) * half] = sign / half ** 2
                    n += 1
    position = embeddings.position_embedding.weight.data
    side = round((len(position) - 1) ** .5)
    position.mul_(.1)[:, :n] = 0
    position[1:, n:n + 4 * memory_lessons.HARMONICS] = memory_lessons.places(side, side, position.device)


def look_one_back(encoder):
    """Summary tokens start by reading the token before them: constant queries and keys whose rotary phases are one apart."""
    d, heads = encoder.head_dim, encoder.config["num_attention_heads"]
    theta = encoder.config.get("rope_theta", 1e6) ** (-torch.arange(0, d, 2) / d)
    key = torch.cat([torch.ones(d // 2), torch.zeros(d // 2)]) * 2.5
    query = torch.cat([theta.cos(), -theta.sin()]) * 2.5  # turned back by one place, so that it meets the key one before
    for layer in encoder.model.layers[:-1]:
        for name, bias in (("beacon_q_proj", query), ("k_proj", key), ("beacon_k_proj", -key)):
            projection = getattr(layer.self_attn, name)
            projection.weight.data.mul_(.2)
            projection.bias.data.copy_(bias.repeat(heads))


# ---- the pool ----
class Pool:
    """Encoded samples, each used a few times; `fill` replaces the oldest. Kept in a folder, for the next call."""

    def __init__(self, vae, shots, size, plan, folder):
        self.vae, self.shots, self.size, self.plan, self.folder, self.items, self.made = vae, shots, size, plan, folder, [], 0
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.glob("*.pt"))[:size]:
            item = memory_data.Sample.__new__(memory_data.Sample)
            item.__dict__.update(torch.load(file, weights_only=True))
            self.items.append(item)
        self.made = len(self.items)

    def fill(self, count):
        image = MEMORY["clip"]["vision_config"]["image_size"]
        for _ in range(count):
            n, frames, zoom, video = self.plan[self.made % len(self.plan)]
            item = memory_data.Sample(self.vae, self.shots, n, frames, zoom, video, image)
            place = self.made % self.size
            self.items[place:place + 1] = [item]
            partial = self.folder / "partial"
            torch.save(item.__dict__, partial)
            partial.replace(self.folder / f"{place:05d}.pt")
            self.made += 1

    def draw(self):
        return random.choice(self.items)


# ---- training ----
def is_matrix(name, p):
    if name.startswith("colouriser."):
        return train.is_matrix(name, p)
    return p.ndim == 2 and "embed" not in name and "guess" not in name and "proj_out" not in name


class Optimisers:
    def __init__(self, network):
        named = list(network.named_parameters())
        part = lambda n: next((k for k in ("colouriser", "encoder") if n.startswith(k + ".")), "memory")  # noqa: E731
        kinds = ("colouriser", "encoder", "memory")
        self.muon = {k: train.Muon([p for n, p in named if is_matrix(n, p) and part(n) == k]) for k in kinds}
        rest = [{"params": [p for n, p in named if not is_matrix(n, p) and part(n) == k], "kind": k} for k in kinds]
        self.adam = torch.optim.AdamW(rest, lr=1e-3, betas=(.9, .98), weight_decay=0.0)

    def step(self, rates):
        """rates: by part."""
        for group in self.adam.param_groups:
            group["lr"] = rates[group["kind"]]
        self.adam.step()
        for kind, muon in self.muon.items():
            muon.step(rates[kind])

    def state_dict(self):
        return {"adam": self.adam.state_dict(), "muon": {k: m.momentum for k, m in self.muon.items()}}

    def load_state_dict(self, state):
        self.adam.load_state_dict(state["adam"])
        for kind, muon in self.muon.items():
            for shape, momentum in state["muon"][kind].items():
                muon.momentum[shape].copy_(momentum)


def errors(y, x0, lost):
    """Squared error of the clean latents: of all, and of the cells whose colour only the history has."""
    d = ((y.float() - x0)[:, 1:] ** 2).mean(2, keepdim=True)
    mask = lost[:, 1:]
    return d.mean().item(), ((d * mask).sum() / mask.sum().clamp(min=1e-6)).item()


@torch.no_grad()
def validate(network, items, scale, table):
    sums = {}
    for item in items:
        b = len(item.colour)
        for lacking in (True, False):
            x0, image, sketch, history, lost = item.inputs(scale, torch.full((b,), lacking), torch.full((b,), True))
            for t in LATENT_STEPS:
                step, generator = torch.full((b,), t), torch.Generator().manual_seed(1)
                a = table[t]
                noisy = a.sqrt() * x0 + (1 - a).sqrt() * torch.randn(x0.shape, generator=generator)
                history = spread(history)
                for name, past in (("on", history), ("off", None)):
                    with torch.autocast(x0.device.type, torch.bfloat16):
                        y = network(noisy, image, sketch, step, past)[0]
                    whole, gone = errors(y, x0, lost)
                    key = f"{'lacking' if lacking else 'whole'}_{t}_{name}"
                    sums.setdefault(key, []).append(whole)
                    if lacking:
                        sums.setdefault(f"lost_{t}_{name}", []).append(gone)
    return {k: round(sum(v) / len(v), 4) for k, v in sums.items()}


def losses(network, teacher, item, scale, table, remember, weights):
    """teacher: the colouriser as it was, whose answers are the target where nothing is remembered."""
    x0, image, sketch, history, lost = item.inputs(
        scale, torch.rand(len(item.colour)) < (.75 if remember else .3), torch.rand(len(item.colour)) < .8)
    b = len(x0)
    t = torch.where(torch.rand(b) < .25, 999, (1000 * torch.rand(b).sqrt()).long().clamp(0, 999))
    weight = torch.ones(1, x0.shape[1], 1, 1, 1)
    weight[:, 0] = .4
    if remember:
        history = spread(history)
        weight = weight * (1 + 4 * lost)
    with torch.autocast(x0.device.type, torch.bfloat16):
        noisy = train.noised(x0, t, table)
        y, states, z, memory = network(noisy, image, sketch, t, history if remember else None)
        parts = {"main": ((y.float() - x0) ** 2 * weight).mean()}
        if not remember:
            with torch.no_grad():
                was = teacher(noisy, image, sketch, t).float()
            parts["change"] = ((y.float() - was) ** 2 * weight).mean()
        if remember:
            guess = network.guess(states).float()
            parts["guess"] = ((guess - patches(x0)) ** 2 * patches((weight * torch.ones_like(x0)))).mean()
            if weights["place"] > 0:
                parts["place_q"] = memory_lessons.query_loss(network, z, x0.shape)
                parts["place_k"] = memory_lessons.key_loss(network, memory, history.shape[1])
    total = parts["main"] + 4 * parts.get("change", 0) + weights["guess"] * parts.get("guess", 0) + weights["place"] * (
        parts.get("place_q", 0) + parts.get("place_k", 0))
    return total, {k: v.item() for k, v in parts.items()}


def run(state, pool, held_out, arguments, log):
    network, average, table = state["network"], state["average"], networks.alphas()
    teacher = load_colouriser(arguments.trained).requires_grad_(False).eval()
    parameters, clock, limit = list(network.parameters()), train.Clock(state["seconds"]), arguments.minutes * 60
    called, saved, sums, step_seconds, fill_seconds = time.monotonic(), time.monotonic(), {}, 0.0, 0.0
    while clock.seconds() < limit and time.monotonic() - called < arguments.stop_after:
        step, progress = state["step"], clock.seconds() / limit
        started = time.monotonic()
        if step % arguments.uses == 0:
            pool.fill(1)
        fill_seconds += time.monotonic() - started
        lr = train.rate(step, progress, arguments.rate, 60, .55)
        remember = step % arguments.off_every != arguments.off_every - 1
        place = .1 if progress < .5 else .03
        started = time.monotonic()
        loss, parts = losses(network, teacher, pool.draw(), state["scale"], table, remember, {"guess": .3, "place": place})
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        if torch.isfinite(norm):
            state["optimisers"].step({"memory": lr, "encoder": lr * arguments.encoder_share,
                                      "colouriser": lr * arguments.old_share})
        for p in parameters:
            p.grad = None
        keep = min(.995, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), parameters, 1 - keep)
        step_seconds += time.monotonic() - started
        for k, v in parts.items():
            sums.setdefault(k if remember else k + "_off", []).append(v)
        state["step"] += 1
        if state["step"] % 50 == 0:
            log(step=state["step"], seconds=round(clock.seconds()), lr=round(lr, 6), norm=round(norm.item(), 2),
                step_s=round(step_seconds / 50, 2), fill_s=round(fill_seconds / 50, 2), pool=pool.made,
                **{k: round(sum(v) / len(v), 4) for k, v in sums.items()})
            sums, step_seconds, fill_seconds = {}, 0.0, 0.0
        if time.monotonic() - saved > arguments.save_every:
            saved, state["seconds"] = time.monotonic(), clock.seconds()
            log(step=state["step"], seconds=round(clock.seconds()),
                held_out=validate(average, held_out.items, state["scale"], table))
            state["checkpoint"]()
    state["seconds"] = clock.seconds()
    log(step=state["step"], seconds=round(clock.seconds()), held_out=validate(average, held_out.items, state["scale"], table))


# ---- state ----
def load_colouriser(folder):
    network = networks.Colouriser(CONFIG["transformer"], {**CONFIG["transformer"], **CONFIG["sketch_dit"]})
    for name in ("transformer", "sketch_dit"):
        getattr(network, name).load_state_dict({k: v.float() for k, v in load_file(folder / f"{name}.safetensors").items()})
    return network


def load_vae(folder):
    vae = networks.Vae(CONFIG["vae"])
    vae.load_state_dict({k: v.float() for k, v in load_file(folder / "vae.safetensors").items()})
    return vae.eval().requires_grad_(False)


def export(average, folder, out):
    out.mkdir(parents=True, exist_ok=True)
    train.save_networks({"transformer": average.colouriser.transformer, "sketch_dit": average.colouriser.sketch_dit,
                         "video_encoder": average.encoder, "memory": average.memory}, out)
    for name in ("vae.safetensors", "scale.json"):
        (out / name).write_bytes((folder / name).read_bytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", dest="trained", type=Path, required=True)
    parser.add_argument("--shots", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--colour-minutes", type=float, default=5)
    parser.add_argument("--place-minutes", type=float, default=8)
    parser.add_argument("--stop-after", type=float, default=1e9, help="seconds of this call")
    parser.add_argument("--save-every", type=float, default=240, help="seconds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pool", type=int, default=300, help="batches of encoded samples that are kept")
    parser.add_argument("--uses", type=int, default=4, help="training steps per new batch of encoded samples")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--old-share", type=float, default=.2, help="rate of the trained networks, as a share")
    parser.add_argument("--off-every", type=int, default=2, help="every how many steps one is without a memory")
    parser.add_argument("--encoder-share", type=float, default=.1, help="rate of the video encoder, as a share")
    parser.add_argument("--plan", default="[[2,25,2.0,false],[4,9,2.0,false],[1,25,2.0,true],[2,9,2.0,true]]",
                        help="kinds of batches: count, frames, zoom, video or stills")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    journal = open(arguments.work / "log.jsonl", "a", encoding="utf-8")

    def log(**fields):
        line = json.dumps(fields)
        print(line, flush=True)
        journal.write(line + "\n")
        journal.flush()

    torch.manual_seed(0)
    network = Rememberer(load_colouriser(arguments.trained))
    initialise(network)
    state = {"network": network, "average": copy.deepcopy(network).requires_grad_(False).eval(),
             "optimisers": Optimisers(network), "step": 0, "seconds": 0.0, "place_seconds": 0.0, "colour_seconds": 0.0,
             "scale": json.loads((arguments.trained / "scale.json").read_text())["scaling_factor"]}
    log(parameters={n: sum(p.numel() for p in m.parameters()) for n, m in network.named_children()})
    path = arguments.work / "state.pt"
    if path.exists():
        stored = torch.load(path, weights_only=True)
        for name in MODULES:
            state[name].load_state_dict(stored[name])
        state.update({k: stored[k] for k in PLAIN})

    def checkpoint():
        partial = path.with_suffix(".partial")
        torch.save({k: state[k].state_dict() for k in MODULES} | {k: state[k] for k in PLAIN}, partial)
        partial.replace(path)
        export(state["average"], arguments.trained, arguments.out)

    state["checkpoint"] = checkpoint
    device, vae, plan = torch.device("cpu"), load_vae(arguments.trained), json.loads(arguments.plan)
    shots, tests = data.Shots(arguments.shots, device), data.Shots(arguments.held_out, device)
    log(shots=len(shots), held_out=len(tests))
    torch.manual_seed(5)
    held_out = Pool(vae, tests, 8, [[4, 9, 2.0, False], [2, 9, 2.0, True]], arguments.work / "held_out")
    held_out.fill(8 - held_out.made)
    torch.manual_seed(1000 + state["step"])
    random.seed(state["step"])
    if state["colour_seconds"] < arguments.colour_minutes * 60:
        memory_lessons.learn_colours(state, shots, arguments.colour_minutes, log)
        checkpoint()
    pool = Pool(vae, shots, arguments.pool, plan, arguments.work / "pool")
    pool.fill(max(0, 12 - pool.made))
    if state["place_seconds"] < arguments.place_minutes * 60:
        memory_lessons.learn_places(state, pool, arguments.place_minutes, log)
        checkpoint()
    run(state, pool, held_out, arguments, log)
    checkpoint()


if __name__ == "__main__":
    main()
