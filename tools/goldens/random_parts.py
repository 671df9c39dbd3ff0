#!/usr/bin/env python3
"""Makes golden files with random sizes of what random_networks.py leaves out: transformers of version 1.0, rotary tables,
embeddings, schedulers, the image-to-video flow, resizing, line art, memory module, fusion, segments, tokens.

usage: python tools/goldens/random_parts.py OUT [--seed N] [--count N] [--tokenizer spiece.model] [KIND…]
Needs torch, diffusers==0.32.0, transformers, sentencepiece, Pillow. What no library has (memory module, beacon tokens,
fusion, segments) is written here a second time, from its formulas and with plain operators."""
import argparse
import json
import random
import re
import shutil
from pathlib import Path

import cogvideox_odd as odd
import named_values
import numpy as np
import sentencepiece
import torch
import torch.nn.functional as F
from diffusers import (AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXDPMScheduler,
                       CogVideoXTransformer3DModel)
from diffusers.models.embeddings import (get_3d_rotary_pos_embed, get_3d_sincos_pos_embed, get_timestep_embedding)
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from PIL import Image

import random_beacon


def image_u8(label, shape):
    u = named_values.unit(odd.SALT + "input:" + label, int(np.prod(shape)))
    return torch.from_numpy(np.floor((u + 1) * 128).astype(np.uint8)).view(*shape)


def fnv(data):
    h = 14695981039346656037
    for byte in data:
        h = ((h ^ byte) * 1099511628211) & named_values.MASK
    return str(h)


def bytes_record(x):
    return {**odd.record(x), "fnv1a64": fnv(x.contiguous().numpy().tobytes())}


def head(kind, **more):
    return dict(kind=kind, name_salt=odd.SALT, **more)


# ---- CogVideoX ----

def transformer(r):
    """Version 1.0 (no temporal patches; computed, rotary or stored positions) and 1.5 with odd temporal patches."""
    patch, pt = r.choice([1, 2, 3]), r.choice([None, None, 1, 2, 3])
    rotary = pt is not None or r.random() < 0.7
    learned = pt is None and rotary and r.random() < 0.5
    h, w = patch * r.randint(1, 5), patch * r.randint(1, 5)
    frames = r.choice([1, 2, 3, 4])
    config = dict(num_attention_heads=r.randint(1, 4), attention_head_dim=16 * r.randint(1, 3),
                  in_channels=r.randint(1, 7), out_channels=r.randint(1, 5), num_layers=r.randint(1, 4),
                  time_embed_dim=r.choice([4, 10, 16]), text_embed_dim=r.randint(1, 9),
                  max_text_seq_length=r.randint(1, 7), patch_size=patch, patch_size_t=pt, sample_height=h,
                  sample_width=w, sample_frames=(frames - 1) * 4 + 1, patch_bias=pt is None and r.random() < 0.5,
                  temporal_compression_ratio=4, attention_bias=r.random() < 0.7,
                  use_rotary_positional_embeddings=rotary, use_learned_positional_embeddings=learned,
                  spatial_interpolation_scale=r.choice([1.0, 1.875]), norm_eps=r.choice([1e-5, 1e-3]),
                  activation_fn=r.choice(["gelu-approximate", "gelu"]),
                  timestep_activation_fn=r.choice(["silu", "gelu", "mish"]), flip_sin_to_cos=r.random() < 0.7,
                  freq_shift=r.choice([0, 1]), norm_elementwise_affine=r.random() < 0.8)
    config["ofs_embed_dim"] = config["time_embed_dim"] if pt and r.random() < 0.6 else None
    net = CogVideoXTransformer3DModel(**config).eval()
    out = head("cogvideox.transformer", tolerance=2e-5, config=config, state_dict=odd.fill(net), cases=[])
    for _ in range(3):
        batch, f = r.choice([1, 2, 3]), (pt or 1) * r.randint(1, 3)
        hh, ww = (h, w) if learned else (patch * r.randint(1, h // patch), patch * r.randint(1, w // patch))
        t = [r.randint(0, 999) for _ in range(batch)]
        x = odd.given("hidden_states", (batch, f, config["in_channels"], hh, ww))
        e = odd.given("encoder_hidden_states", (batch, config["max_text_seq_length"], config["text_embed_dim"]))
        ofs = torch.full((1,), 2.0) if config["ofs_embed_dim"] else None
        y = net(x, e, torch.tensor(t), ofs=ofs, image_rotary_emb=odd.rope(net.config, f, hh, ww), return_dict=False)[0]
        out["cases"].append(dict(B=batch, F=f, h=hh, w=ww, L=e.shape[1], t=t, output=odd.record(y)))
    return out


def rope(r):
    out = dict(kind="cogvideox.rope", crop_regions={})
    for _ in range(4):
        dim, h, w, t = 16 * r.randint(1, 5), r.randint(1, 9), r.randint(1, 9), r.randint(1, 6)
        top_h, top_w = h + r.randint(0, 5), w + r.randint(0, 5)
        cos, sin = get_3d_rotary_pos_embed(dim, None, (h, w), t, grid_type="slice", max_size=(top_h, top_w))
        out[f"slice_d{dim}_grid{h}x{w}_t{t}_max{top_h}x{top_w}"] = dict(cos=odd.record(cos), sin=odd.record(sin))
        base_h, base_w = r.randint(1, 40), r.randint(1, 40)
        crop = get_resize_crop_region_for_grid((h, w), base_w, base_h)
        cos, sin = get_3d_rotary_pos_embed(dim, crop, (h, w), t)
        out[f"linspace_d{dim}_grid{h}x{w}_t{t} base{base_h}x{base_w}"] = dict(crop=crop, cos=odd.record(cos),
                                                                              sin=odd.record(sin))
        for _ in range(20):
            grid, base_w, base_h = (r.randint(1, 120), r.randint(1, 120)), r.randint(1, 100), r.randint(1, 100)
            out["crop_regions"][str((grid, base_w, base_h))] = get_resize_crop_region_for_grid(grid, base_w, base_h)
    return out


def embeddings(r):
    out = dict(kind="cogvideox.embeddings")
    for _ in range(4):
        dim, t = r.choice([2, 6, 8, 31, 96]), [r.choice([0, 1, 999, 2.0, 0.5, 371.25]) for _ in range(r.randint(1, 5))]
        made = get_timestep_embedding(torch.tensor(t, dtype=torch.float), dim, flip_sin_to_cos=True, downscale_freq_shift=0)
        out[f"timestep_embedding dim={dim} t={t}"] = odd.record(made)
        dim, w, h, f, s = 16 * r.randint(1, 4), r.randint(1, 7), r.randint(1, 7), r.randint(1, 5), r.choice([1.0, 1.875, 2.5])
        made = torch.as_tensor(get_3d_sincos_pos_embed(dim, (w, h), f, s, 1.0, output_type="np"))
        out[f"sincos3d dim={dim} spatial=(w{w},h{h}) t{f} scale{s}"] = odd.record(made)
    return out


def schedulers(r):
    import diffusers.schedulers.scheduling_dpm_cogvideox as module
    train = r.choice([1000, 1000, 250])
    config = dict(num_train_timesteps=train, beta_start=r.choice([0.00085, 0.002]), beta_end=r.choice([0.012, 0.03]),
                  beta_schedule=r.choice(["scaled_linear", "linear"]), set_alpha_to_one=r.random() < 0.6,
                  prediction_type=r.choice(["v_prediction", "sample", "epsilon"]), steps_offset=r.choice([0, 1]),
                  timestep_spacing=r.choice(["trailing", "leading", "linspace"]), rescale_betas_zero_snr=r.random() < 0.5)
    if config["prediction_type"] == "epsilon":
        config["rescale_betas_zero_snr"] = False  # alpha 0 would divide by 0
    out = head("cogvideox.schedulers", tolerance=2e-5, config=config, timesteps={}, alphas_cumprod={}, dpm=[], ddim=[])
    for spacing in ("trailing", "leading", "linspace"):
        for steps in r.sample(range(2, 60), 5):
            s = CogVideoXDDIMScheduler(**{**config, "timestep_spacing": spacing})
            s.set_timesteps(steps)
            if len(s.timesteps) == steps:
                out["timesteps"][f"{spacing}/{steps}"] = s.timesteps.tolist()
    for scale in (1.0, r.choice([2.0, 3.0, 0.5])):
        table = CogVideoXDDIMScheduler(**config, snr_shift_scale=scale).alphas_cumprod
        out["alphas_cumprod"][str(scale)] = {str(t): repr(float(table[t])) for t in (0, 1, train // 2, train - 2, train - 1)}
    shape = (r.randint(1, 2), r.randint(1, 3), 3, r.randint(1, 4), 2)
    for solver, dtype in (("dpm", torch.float32), ("dpm", torch.bfloat16), ("ddim", torch.float32)):
        scale, steps = r.choice([1.0, 3.0]), r.choice([1, 2, 4, 6, 7, 13])
        s = (CogVideoXDPMScheduler if solver == "dpm" else CogVideoXDDIMScheduler)(**config, snr_shift_scale=scale)
        s.set_timesteps(steps)
        drawn, count = [], [0]

        def randn(size, **_):
            drawn.append(f"noise{count[0]}")
            count[0] += 1
            return odd.given(drawn[-1], tuple(size)).to(dtype)

        module.randn_tensor = randn
        x, last, back, log = odd.given("latents", shape).to(dtype), None, None, []
        for i, t in enumerate(s.timesteps):
            drawn.clear()
            v = odd.given(f"model_output{i}", shape)
            prev, x0 = s.step(v, last, t, back, x, return_dict=False) if solver == "dpm" else s.step(v, t, x, return_dict=False)
            x, last, back = prev.to(dtype), x0, t
            log.append(dict(t=int(t), noise_drawn=list(drawn), prev=odd.record(x), x0=odd.record(x0)))
        if all(torch.isfinite(torch.tensor(step["prev"]["sum"])) for step in log):
            out[solver].append(dict(N=steps, dtype=str(dtype), snr_shift_scale=scale, steps=log))
    return out


def pipeline(r):
    """The flow of CogVideoX's image-to-video pipeline around diffusers' modules."""
    latents = r.choice([2, 4])
    dit = dict(num_attention_heads=r.randint(1, 3), attention_head_dim=16, in_channels=2 * latents, out_channels=latents,
               time_embed_dim=8, ofs_embed_dim=r.choice([8, None]), text_embed_dim=r.randint(2, 9),
               num_layers=r.randint(1, 3), patch_size=2, patch_size_t=2, sample_width=20, sample_height=20,
               sample_frames=9, max_text_seq_length=r.randint(1, 6), use_rotary_positional_embeddings=True,
               patch_bias=False)
    shape = dict(block_out_channels=[4, 8, 8, 8], latent_channels=latents, layers_per_block=1, norm_num_groups=2,
                 temporal_compression_ratio=4, sample_height=96, sample_width=80, scaling_factor=r.choice([0.7, 1.15]),
                 invert_scale_latents=r.random() < 0.5)
    schedule = dict(prediction_type=r.choice(["v_prediction", "sample"]), timestep_spacing="trailing",
                    rescale_betas_zero_snr=True, snr_shift_scale=r.choice([1.0, 3.0]))
    net = CogVideoXTransformer3DModel(**dit).eval()
    vae = AutoencoderKLCogVideoX(**shape, down_block_types=["CogVideoXDownBlock3D"] * 4,
                                 up_block_types=["CogVideoXUpBlock3D"] * 4).eval()
    odd.fill(net), odd.fill(vae)
    solver = CogVideoXDPMScheduler(**schedule)
    n, height, width, frames, guidance = r.randint(1, 5), 16 * r.randint(1, 3), 16 * r.randint(1, 3), r.choice([1, 5, 9, 13]), 4.5
    count = [0]

    def draw(size):
        count[0] += 1
        return odd.given(f"noise{count[0] - 1}", tuple(size))

    import diffusers.schedulers.scheduling_dpm_cogvideox as module
    module.randn_tensor = lambda size, **_: draw(size)
    f = (frames - 1) // 4 + 1
    padding = f % 2
    f += padding
    moments = vae._encode(odd.given("image", (1, 3, height, width), 0.5).unsqueeze(2))
    mean, logvar = moments.chunk(2, 1)
    z = mean + torch.exp(0.5 * logvar.clamp(-30, 20)) * draw(mean.shape)
    z = z.transpose(1, 2) * (1 / vae.config.scaling_factor if shape["invert_scale_latents"] else vae.config.scaling_factor)
    image = torch.cat([z, z.new_zeros(1, f - 1, *z.shape[2:])], 1)
    text = torch.cat([odd.given(name, (1, dit["max_text_seq_length"], dit["text_embed_dim"]))
                      for name in ("negative_prompt_embeds", "prompt_embeds")])
    out = dict(transformer=dit, vae=shape, scheduler=schedule, height=height, width=width, num_frames=frames, steps_n=n,
               guidance_scale=guidance, ofs=2.0, image_latents=odd.record(image), steps=[])
    x, last, back = draw(image.shape), None, None
    turns = odd.rope(net.config, f, height // 8, width // 8)
    solver.set_timesteps(n)
    for t in solver.timesteps:
        v = net(torch.cat([torch.cat([x, image], 2)] * 2), text, t.expand(2),
                ofs=torch.full((1,), 2.0) if dit["ofs_embed_dim"] else None, image_rotary_emb=turns, return_dict=False)[0]
        guided = v[:1] + guidance * (v[1:] - v[:1])
        x, last = solver.step(guided, last, t, back, x, return_dict=False)
        back = t
        out["steps"].append(dict(t=int(t), noise_pred=odd.record(v), latents=odd.record(x)))
    decoded = vae.decode(x[:, padding:].transpose(1, 2) / vae.config.scaling_factor).sample
    out.update(decoded=odd.record(decoded), post=odd.record((decoded * 0.5 + 0.5).clamp(0, 1)))
    return head("cogvideox.pipeline_i2v", tolerance=5e-5, cases=[out])


# ---- pictures ----

def pillow(x, size, how):
    return torch.from_numpy(np.asarray(Image.fromarray(x.numpy()).resize(size, how)).copy())


def cover(h, w, to_h, to_w):
    return (to_h, int(w * to_h / h)) if w / h > to_w / to_h else (int(h * to_w / w), to_w)


def lineart_shapes(a, b, c):
    shapes = {"model0.1.weight": [a, 3, 7, 7], "model1.0.weight": [b, a, 3, 3], "model1.3.weight": [c, b, 3, 3],
              "model3.0.weight": [c, b, 3, 3], "model3.3.weight": [b, a, 3, 3], "model4.1.weight": [1, a, 7, 7]}
    shapes |= {f"model2.{i}.conv_block.{j}.weight": [c, c, 3, 3] for i in range(3) for j in (1, 5)}
    bias = {"model3.0.weight": b, "model3.3.weight": a}
    return shapes | {k.replace("weight", "bias"): [bias.get(k, v[0])] for k, v in shapes.items()}


def lineart_net(x, p):
    norm = lambda y: F.instance_norm(y, eps=1e-5)
    y = F.relu(norm(F.conv2d(F.pad(x, (3,) * 4, "reflect"), p["model0.1.weight"], p["model0.1.bias"])))
    for n in (0, 3):
        y = F.relu(norm(F.conv2d(y, p[f"model1.{n}.weight"], p[f"model1.{n}.bias"], stride=2, padding=1)))
    for n in range(3):
        b = f"model2.{n}.conv_block."
        z = F.relu(norm(F.conv2d(F.pad(y, (1,) * 4, "reflect"), p[b + "1.weight"], p[b + "1.bias"])))
        y = y + norm(F.conv2d(F.pad(z, (1,) * 4, "reflect"), p[b + "5.weight"], p[b + "5.bias"]))
    for n in (0, 3):
        y = F.relu(norm(F.conv_transpose2d(y, p[f"model3.{n}.weight"], p[f"model3.{n}.bias"], stride=2, padding=1,
                                           output_padding=1)))
    return torch.sigmoid(F.conv2d(F.pad(y, (3,) * 4, "reflect"), p["model4.1.weight"], p["model4.1.bias"]))


def lineart(r):
    shapes = lineart_shapes(64, 128, 256)
    p = {k: odd.weight(k, tuple(v)) for k, v in shapes.items()}
    out = head("lineart", tolerance=2e-5, state_dict=shapes, cases=[],
               config=dict(input_channels=3, output_channels=1, residual_blocks=3, threshold=0.78))
    shape = [r.randint(1, 3), 3, 4 * r.randint(2, 8), 4 * r.randint(2, 8)]
    y = lineart_net(image_u8("net", shape).float() / 255, p)
    if (y - 0.78).abs().min() > 1e-4:
        rows = ["".join("1" if v else "0" for v in row) for row in (y > 0.78).reshape(-1, shape[3]).tolist()]
        out["cases"].append(dict(op="network", input=dict(image_u8="net", shape=shape), output=odd.record(y),
                                 above_threshold=dict(rows=rows)))
    while len(out["cases"]) < 8:
        label, h, w = f"frame{len(out['cases'])}", r.choice([1, 2, 7, 33, 90, 181]), r.choice([1, 2, 5, 47, 64, 250])
        to = [16 * r.randint(1, 5), 16 * r.randint(1, 5)]
        x, size = image_u8(label, [2, 3, h, w]), cover(h, w, *to)
        if max(size) > 4000:
            continue
        y = F.interpolate(x.float(), size, mode="bicubic", antialias=True).clamp(0, 255) if size != (h, w) else x.float()
        if size != (h, w) and ((y - y.floor() - 0.5).abs().min() < 1e-4):
            continue
        top, left = (size[0] - to[0]) // 2, (size[1] - to[1]) // 2
        done = y.round().to(torch.uint8)[..., top:top + to[0], left:left + to[1]]
        out["cases"].append(dict(op="resize", tolerance=0, input=dict(image_u8=label, shape=[2, 3, h, w]), target=to,
                                 resized=size, top=top, left=left, output=bytes_record(done)))
    while len(out["cases"]) < 14:
        label, h, w = f"frame{len(out['cases'])}", r.choice([1, 3, 40, 97, 320]), r.choice([1, 4, 31, 128, 333])
        to = [r.randint(1, 140), r.randint(1, 140)]
        y = pillow(image_u8(label, [h, w, 3]), (to[1], to[0]), Image.LANCZOS)
        out["cases"].append(dict(op="lanczos", tolerance=1e-6, input=dict(image_u8=label, shape=[h, w, 3]), target=to,
                                 resized_u8=bytes_record(y),
                                 output=odd.record((y.float() / 255 * 2 - 1).permute(2, 0, 1).unsqueeze(0))))
    return out


MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def clip_preprocess(r):
    out = head("video_xl.clip_preprocess", image_mean=MEAN, image_std=STD, cases=[])
    for n in range(6):
        size, h, w, blocks = r.choice([14, 28, 42]), r.randint(3, 130), r.randint(3, 130), r.random() < 0.3
        u = image_u8(f"picture{n}", (h, w, 3))
        if blocks:
            u = u[torch.arange(h) // 4 * 4][:, torch.arange(w) // 4 * 4]
        long = int(size * max(h, w) / min(h, w))
        to = (size, long) if h <= w else (long, size)
        y = pillow(u.contiguous(), (to[1], to[0]), Image.BICUBIC)
        top, left = (to[0] - size) // 2, (to[1] - size) // 2
        y = y[top:top + size, left:left + size]
        pixels = ((y.double() / 255).float() - torch.tensor(MEAN)) / torch.tensor(STD)
        out["cases"].append(dict(label=f"picture{n}", size=size, height=h, width=w, blocks=blocks, resized_height_width=to,
                                 crop_top_left=[top, left], input_sum=int(u.long().sum()),
                                 cropped_uint8=y.flatten().tolist(), pixel_values=odd.record(pixels.permute(2, 0, 1))))
    return out


# ---- LongAnimation ----

def dglm_shapes(c):
    inner, wide, (a, b) = c["heads"] * c["dim_head"], c["dim"] * c["ff_mult"], c["mapping_dims"]
    dim, shapes = c["dim"], {"proj_out": [c["dim"], c["output_dim"]]}
    for i in range(c["depth"]):
        q = f"layers.{i}."
        for norm in ("0.norm1", "0.norm2", "1.0"):
            shapes |= {f"{q}{norm}.weight": [dim], f"{q}{norm}.bias": [dim]}
        shapes |= {f"{q}0.to_{n}.weight": [inner, dim] for n in "qkv"} | {f"{q}0.to_out.weight": [dim, inner]}
        shapes |= {f"{q}1.1.weight": [wide, dim], f"{q}1.3.weight": [dim, wide]}
        for m in ("key", "value"):
            m = f"{m}_mapping_{i}."
            for n, rows, columns in ((0, a, c["memory_dim"]), (3, b, a), (6, dim, b)):
                shapes |= {f"{m}{n}.weight": [rows, columns], f"{m}{n}.bias": [rows]}
            for n, rows in ((1, a), (4, b)):
                shapes |= {f"{m}{n}.weight": [rows], f"{m}{n}.bias": [rows]}
    return shapes


def dglm_net(c, p, z, g, l):
    norm = lambda x, n: F.layer_norm(x, x.shape[-1:], p[n + ".weight"], p[n + ".bias"])
    lin = lambda x, n: F.linear(x, p[n + ".weight"], p.get(n + ".bias"))
    split = lambda x: x.unflatten(-1, (c["heads"], c["dim_head"])).transpose(1, 2)

    def mapped(x, m):
        x = F.leaky_relu(norm(lin(x, m + "0"), m + "1"), 0.01)
        return lin(F.leaky_relu(norm(lin(x, m + "3"), m + "4"), 0.01), m + "6")

    for i in range(c["depth"]):
        q = f"layers.{i}.0."
        k, v = (norm(mapped(torch.cat([g[:, kind, i], l[:, kind, i]], 1), f"{m}_mapping_{i}."), q + "norm1")
                for kind, m in ((0, "key"), (1, "value")))
        scores = split(lin(norm(z, q + "norm2"), q + "to_q")) @ split(lin(k, q + "to_k")).transpose(2, 3)
        got = (scores * c["dim_head"]**-0.5).softmax(-1) @ split(lin(v, q + "to_v"))
        z = z + lin(got.transpose(1, 2).flatten(2), q + "to_out")
        z = z + lin(F.gelu(lin(norm(z, f"layers.{i}.1.0"), f"layers.{i}.1.1")), f"layers.{i}.1.3")
    return z @ p["proj_out"]


def dglm(r):
    dim, depth = r.choice([16, 24, 40]), 3
    config = dict(dim=dim, depth=depth, dim_head=r.choice([4, 8, 12]), heads=r.randint(1, 4), output_dim=dim,
                  ff_mult=r.choice([2, 4]), memory_dim=r.choice([8, 20]), mapping_dims=[r.choice([6, 12]), r.choice([10, 18])])
    shapes = dglm_shapes(config)
    p = {k: odd.weight(k, tuple(v)) for k, v in shapes.items()}
    out = head("dglm", tolerance=5e-5, config=config, state_dict=shapes, cases=[])
    for _ in range(3):
        batch, n, many, few, scale = r.randint(1, 3), r.randint(1, 20), r.randint(1, 30), r.randint(1, 9), r.choice([0.5, 1.0])
        inputs = {"control": [batch, n, dim], "global_memory": [1, 2, depth, many, config["memory_dim"]],
                  "local_memory": [1, 2, depth, few, config["memory_dim"]]}
        control, *memories = (odd.given(k, tuple(v), scale) for k, v in inputs.items())
        y = dglm_net(config, p, control, *memories)
        out["cases"].append(dict(B=batch, N=n, S_global=many, S_local=few, input_scale=scale, inputs=inputs,
                                 output=odd.record(y), output_plus_control=odd.record(control + y)))
    return out


def fusion(r):
    out = head("fusion", tolerance=1e-6, config=dict(latent_frames_fused=4), cases=[])
    for dtype in (torch.float32, torch.bfloat16, torch.float32):
        frames, c, h, w, first = 2 * r.randint(3, 8), r.randint(1, 5), r.randint(1, 5), r.randint(1, 5), r.randint(0, 9)
        inputs = dict(latents=[1, frames, c, h, w], previous=[1, 4, c, h, w])
        x, old = (odd.given(k, tuple(v)).to(dtype) for k, v in inputs.items())
        case = dict(frames=frames, channels=c, h=h, w=w, dtype=str(dtype)[6:], first_step=first,
                    weights_previous=[0.8, 0.6, 0.4, 0.2], inputs=inputs, results=[])
        for step in sorted({0, first - 1 if first else 0, first, first + 3}):
            y = x.clone()
            for a in range(1, 5) if step >= first else ():
                y[:, a + 1] = 0.2 * (5 - a) * old[:, a - 1] + 0.2 * a * x[:, a + 1]
            case["results"].append(dict(step=step, fused=step >= first, output=odd.record(y), saved_tail=odd.record(y[:, -4:])))
        out["cases"].append(case)
    return out


def plan(r):
    out = dict(kind="plan", config=dict(frames_per_latent=4), cases=[])
    for _ in range(40):
        frames, overlap = 8 * r.randint(1, 12) + 1, 2 * r.randint(0, 12)
        if overlap >= frames:
            continue
        total, segments, start, half = r.randint(1, 700), [], 0, overlap // 2
        while start + frames <= total:
            k = len(segments)
            keep = (1 if k == 0 else half, frames - half)
            segments.append(dict(segment=k, start=start, end=start + frames, keep_from=keep[0], keep_to=keep[1],
                                 global_first=start + keep[0], global_last=start + keep[1] - 1))
            start += frames - overlap
        tail = total if not segments else total - segments[-1]["end"]
        out["cases"].append(dict(total_frames=total, segment_frames=frames, overlap_frames=overlap, segments=segments,
                                 final_frames=sum(s["keep_to"] - s["keep_from"] for s in segments), dropped_tail=tail))
    return out


# ---- Video-XL ----

def projector(r):
    out = head("video_xl.video_xl_projector", cases=[])
    for label in "ab":
        config = dict(mm_projector_type="mlp2x_gelu", mm_hidden_size=r.randint(3, 30), hidden_size=r.randint(3, 30),
                      grid=2 * r.randint(1, 5), frames=r.randint(1, 4), mm_spatial_pool_mode="average", mm_spatial_pool_stride=2)
        d, m, g = config["hidden_size"], config["mm_hidden_size"], config["grid"]
        shapes = {"mm_projector.0.weight": [d, m], "mm_projector.0.bias": [d], "mm_projector.2.weight": [d, d],
                  "mm_projector.2.bias": [d]}
        p = {k: odd.weight(k, tuple(v)) for k, v in shapes.items()}
        x = odd.given("features_" + label, (config["frames"], g * g, m))
        y = F.gelu(F.linear(x, p["mm_projector.0.weight"], p["mm_projector.0.bias"]))
        y = F.linear(y, p["mm_projector.2.weight"], p["mm_projector.2.bias"])
        pooled = F.avg_pool2d(y.transpose(1, 2).unflatten(2, (g, g)), 2).flatten(2).transpose(1, 2).flatten(0, 1)
        out["cases"].append(dict(label=label, config=config, state_dict=shapes, before_pool=odd.record(y),
                                 input=dict(label="features_" + label, shape=list(x.shape), scale=1.0),
                                 visual_tokens=odd.record(pooled)))
    return out


TEXTS = ["", " ", "\t\n  ", "a", "  Two  girls\u3000talk. ", "Ünïcödé ﬁ ﬂ ½ ①", "你好，世界！", "👩‍👩‍👧 wave", "</s>", "a</s>", "</s>b", "<pad><unk>",
         "<extra_id_0> x <extra_id_99><extra_id_100>", "<extra_id_7", "e\u0301 vs é", "ｆｕｌｌ ｗｉｄｔｈ", "\u200bzero\u200dwidth\ufeff", "A" * 600,
         "High quality, masterpiece. " * 60, "▁under▁score", "tab\tnew\nline\r\nend", "\u00a0nbsp\u00a0", "100% & <b>", "\U0001f600" * 40,
         "< pad >", "</S>", "<extra_id_01>", "x <unk>y", "\x01\x02control", "…—“quotes”"]


def t5_ids(model, text, length):
    """Not padded. `model` is a SentencePieceProcessor."""
    fixed = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {f"<extra_id_{k}>": model.get_piece_size() + 99 - k for k in range(100)}
    ids = []
    for part in re.split("(" + "|".join(fixed) + ")", text):
        ids += [fixed[part]] if part in fixed else model.encode(part) if part else []
    ids = ids[:length - 1]
    return ids if ids and ids[-1] == 1 else ids + [1]


def tokenizer(r, spiece):
    model = sentencepiece.SentencePieceProcessor(model_file=str(spiece))
    words = ["girl", "é", "猫", "</s>", " ", "  ", "<extra_id_3>", "xyzzy", ",", "ﬃ", "\n", "Q"]
    texts = TEXTS + ["".join(r.choice(words) for _ in range(r.randint(1, 300))) for _ in range(20)]
    out = dict(kind="video_xl.tokenizer", model=Path(spiece).name, piece_count=model.get_piece_size(), pad_id=0, eos_id=1, max_length=226,
               cases=[], other_max_length=[])
    for text in texts:
        out["cases"].append(dict(text=text, ids=t5_ids(model, text, 226)))
        length = r.choice([1, 2, 3, 9, 64, 512])
        ids = t5_ids(model, text, length)
        out["other_max_length"].append(dict(text=text, max_length=length, ids=ids + [0] * (length - len(ids))))
    return out


KINDS = dict(transformer=transformer, rope=rope, embeddings=embeddings, schedulers=schedulers, pipeline=pipeline,
             lineart=lineart, clip_preprocess=clip_preprocess, dglm=dglm, fusion=fusion, plan=plan, projector=projector,
             beacon_memory=random_beacon.make)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--tokenizer", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for n in range(arguments.seed, arguments.seed + arguments.count):
        for kind in arguments.kinds:
            odd.SALT = f"{kind}-{n}/"
            with torch.no_grad():
                golden = KINDS[kind](random.Random(odd.SALT))
            (arguments.out / f"{kind}-{n}.json").write_text(json.dumps(golden) + "\n")
    if arguments.tokenizer:
        shutil.copy(arguments.tokenizer, arguments.out)
        golden = tokenizer(random.Random(arguments.seed), arguments.tokenizer)
        (arguments.out / "tokenizer.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
