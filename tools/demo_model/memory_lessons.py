"""What the memory learns before it remembers: SketchDiT to tell the place of each token, the video encoder to carry the colours
and the place of each patch. Neither stage runs the transformer, so a step costs a tenth of one in which all learn together."""
import copy
import math
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

import data
import memory_data
import networks
import train

MEMORY, MODULE = train.CONFIG["video_encoder"], train.CONFIG["memory"]
SUPERVISED_HEADS = 2  # heads of the memory module's first layer that are shown where to look
HARMONICS, SHARPNESS = 8, 2.5


def places(rows, columns, device):
    """Cosines and sines of where the cells of a grid are: [rows*columns, 4*HARMONICS]."""
    y, x = ((torch.arange(n, device=device) + .5) / n for n in (rows, columns))
    k = torch.arange(1, HARMONICS + 1, device=device) * math.pi
    wave = lambda u: torch.cat([(u[:, None] * k).cos(), (u[:, None] * k).sin()], 1)  # noqa: E731
    return torch.cat([wave(y)[:, None].expand(-1, columns, -1), wave(x)[None].expand(rows, -1, -1)], 2).flatten(0, 1)


def query_loss(network, z, shape):
    """How far the supervised heads' queries are from telling their places (times SHARPNESS: they become logits)."""
    attention, width, told = network.memory.layers[0][0], network.memory.config["dim_head"], 4 * HARMONICS
    q = attention.to_q(attention.norm2(z)).float().unflatten(-1, (-1, width))
    want = places(shape[3] // 2, shape[4] // 2, z.device).repeat(shape[1] // 2, 1)[None, :, None] * SHARPNESS
    return ((q[:, :, :SUPERVISED_HEADS, :told] - want) ** 2).mean()


def key_loss(network, memory, frames):
    """The same of the keys."""
    attention, width, told = network.memory.layers[0][0], network.memory.config["dim_head"], 4 * HARMONICS
    side = MEMORY["clip"]["vision_config"]["image_size"] // MEMORY["clip"]["vision_config"]["patch_size"]
    k = attention.to_k(attention.norm1(network.memory.key_mapping_0(memory[:, 0, 0]))).float()
    k = k.unflatten(-1, (-1, width))
    first = len(MEMORY["prompt"]["prefix_ids"])
    k = k[:, first:first + frames * side * side]
    want = places(side, side, memory.device).repeat(frames, 1)[None, :, None] * SHARPNESS
    return ((k[:, :, :SUPERVISED_HEADS, :told] - want) ** 2).mean()


def update(adam, muon, lr, trained):
    """A step of both optimisers; what no loss reached has a gradient of zero."""
    for group in adam.param_groups:
        group["lr"] = lr
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    for p in trained:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    adam.step()
    muon.step(lr)


def learn_places(state, pool, minutes, log):
    """SketchDiT learns to tell where in the picture a token is, and otherwise stays as it was."""
    network, c, clock = state["network"], state["network"].colouriser, train.Clock(state["place_seconds"])
    sketch, attention = c.sketch_dit, network.memory.layers[0][0]
    before = copy.deepcopy(sketch).requires_grad_(False)
    named = [(n, p) for n, p in sketch.named_parameters()]
    muon = train.Muon([p for n, p in named if train.is_matrix(n, p)] + [attention.to_q.weight])
    adam = torch.optim.AdamW([p for n, p in named if not train.is_matrix(n, p)] + list(attention.norm2.parameters()),
                             lr=1e-3, betas=(.9, .98), weight_decay=0.0)
    trained, sums, step = [p for _, p in named] + [attention.to_q.weight, *attention.norm2.parameters()], {}, 0
    while clock.seconds() < minutes * 60:
        lr = train.rate(step, clock.seconds() / (minutes * 60), 1.5e-3, 30, .5)
        if step % 12 == 0:
            pool.fill(1)
        item = pool.draw()
        b = len(item.colour)
        _, image, lines, _, _ = item.inputs(state["scale"], torch.rand(b) < .5, torch.full((b,), True))
        t = torch.where(torch.rand(b) < .25, 999, (1000 * torch.rand(b).sqrt()).long().clamp(0, 999))
        f, h, w = image.shape[1], image.shape[3], image.shape[4]
        rope, x = networks.rope_tables(f // 2, h // 2, w // 2, c.head, "cpu"), torch.cat([lines, image], 2)
        text = torch.zeros(b, c.config["max_text_seq_length"], c.config["text_embed_dim"])
        with torch.autocast("cpu", torch.bfloat16):
            z = sketch(x, text, t, rope)
            with torch.no_grad():
                was = before(x, text, t, rope).float()
            query = query_loss(network, z, image.shape)
        change = ((z.float() - was) ** 2).mean() / (was ** 2).mean()
        (query + 10 * change).backward()
        update(adam, muon, lr, trained)
        network.zero_grad(set_to_none=True)
        for k, v in (("place_q", query), ("change", change)):
            sums.setdefault(k, []).append(v.item())
        step += 1
        if step % 50 == 0:
            log(stage="place", step=step, seconds=round(clock.seconds()), pool=pool.made,
                **{k: round(sum(v) / len(v), 4) for k, v in sums.items()})
            sums = {}
    state["place_seconds"] = clock.seconds()
    state["average"].load_state_dict(network.state_dict())


def quarters(pictures, patch):
    """Pictures [B,F,3,s,s] -> mean colours of the four quarters of each patch [B,F*patches,12]."""
    b, f, _, side, _ = pictures.shape
    cells, n = F.avg_pool2d(pictures.flatten(0, 1), patch // 2), side // patch
    return cells.unflatten(-1, (n, 2)).unflatten(-3, (n, 2)).permute(0, 2, 4, 1, 3, 5).reshape(b, f * n * n, 12)


def learn_colours(state, shots, minutes, log):
    """The encoder and the memory module's way in learn to carry the colours of each patch, and the keys its place."""
    network, clock, patch = state["network"], train.Clock(state["colour_seconds"]), MEMORY["clip"]["vision_config"]["patch_size"]
    memory, image = network.memory, MEMORY["clip"]["vision_config"]["image_size"]
    inner = MODULE["heads"] * MODULE["dim_head"]
    heads = nn.ModuleList([nn.Linear(inner, 12) for _ in range(memory.depth)])
    ways = [m for i in range(memory.depth) for m in (
        getattr(memory, f"key_mapping_{i}"), getattr(memory, f"value_mapping_{i}"), memory.layers[i][0].norm1,
        memory.layers[i][0].to_k, memory.layers[i][0].to_v)]
    named = [(n, p) for module in (network.encoder, *ways) for n, p in module.named_parameters()]
    matrices = [p for n, p in named if p.ndim == 2 and "embed" not in n]
    muon = train.Muon(matrices)
    adam = torch.optim.AdamW([p for n, p in named if not (p.ndim == 2 and "embed" not in n)] + list(heads.parameters()),
                             lr=1e-3, betas=(.9, .98), weight_decay=0.0)
    trained, sums, step = [p for _, p in named] + list(heads.parameters()), {}, 0
    first = len(MEMORY["prompt"]["prefix_ids"])
    while clock.seconds() < minutes * 60:
        lr = train.rate(step, clock.seconds() / (minutes * 60), 3e-3, 20, .5)
        frames, count = random.choice(((1, 9), (2, 5), (3, 4)))
        which = torch.randint(0, len(shots), (count,))
        regions = shots.pick(which, torch.randint(0, shots.frames, (count, frames)))
        pictures = data.paint(regions, shots.groups[which], data.palettes(count, regions.device)).transpose(1, 2)
        pictures = memory_data.encoder_pixels(pictures, image).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            rows = network.encoder.remember(network.encoder.visual_tokens(pictures))
            key = key_loss(network, rows, frames)
            want, colour = quarters(pictures, patch), 0.0
            for i, head in enumerate(heads):
                v = memory.layers[i][0]
                v = v.to_v(v.norm1(getattr(memory, f"value_mapping_{i}")(rows[:, 1, i])))
                told = head(v[:, first:first + want.shape[1]]).float()
                colour = colour + ((told - want) ** 2).mean() / want.var() / len(heads)
        (colour + .1 * key).backward()
        update(adam, muon, lr, trained)
        network.zero_grad(set_to_none=True)
        heads.zero_grad(set_to_none=True)
        for k, v in (("unexplained", colour), ("place_k", key)):
            sums.setdefault(k, []).append(v.item())
        step += 1
        if step % 50 == 0:
            log(stage="colour", step=step, seconds=round(clock.seconds()),
                **{k: round(sum(v) / len(v), 4) for k, v in sums.items()})
            sums = {}
    state["colour_seconds"] = clock.seconds()
    state["average"].load_state_dict(network.state_dict())
