#!/usr/bin/env python3
"""Makes tests/goldens/cogvideox_odd/: CogVideoX networks of unusual configurations, computed by diffusers.

usage: python tools/goldens/cogvideox_odd.py OUT     (needs torch, numpy, diffusers==0.32.0)
Weights and inputs are generated from names, see tests/goldens/README.md."""
import json
import sys
from pathlib import Path

import named_values
import torch
from diffusers import (AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXDPMScheduler,
                       CogVideoXTransformer3DModel)
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

SALT = "odd/"


def weight(name, shape):
    return torch.from_numpy(named_values.weight(name, shape, SALT))


def given(label, shape, scale=1.0):
    return torch.from_numpy(named_values.given(label, shape, scale, SALT))


def record(x, values=256):
    x = x.detach().double().contiguous()
    flat = [float(f"{v:.9g}") for v in x.flatten().tolist()]
    r = {"shape": list(x.shape), "sum": float(x.sum()), "abs_sum": float(x.abs().sum()), "min": float(x.min()),
         "max": float(x.max()), "first": flat[:12], "last": flat[-12:]}
    if len(flat) <= values:
        r["values"] = flat
    return r


def fill(net):
    state = {k: weight(k, tuple(v.shape)) for k, v in net.state_dict().items()}
    net.load_state_dict(state)
    return {k: list(v.shape) for k, v in state.items()}


def rope(c, frames, h, w):
    p, pt = c.patch_size, c.patch_size_t
    grid, base = (h // p, w // p), (c.sample_height // p, c.sample_width // p)
    if not c.use_rotary_positional_embeddings:
        return None
    if pt:
        return get_3d_rotary_pos_embed(c.attention_head_dim, None, grid, (frames + pt - 1) // pt, grid_type="slice",
                                       max_size=base)
    return get_3d_rotary_pos_embed(c.attention_head_dim, get_resize_crop_region_for_grid(grid, base[1], base[0]), grid,
                                   frames)


TRANSFORMERS = {
    "no_bias_no_ofs": (dict(num_attention_heads=3, attention_head_dim=32, in_channels=6, out_channels=5, num_layers=3,
                            time_embed_dim=10, text_embed_dim=7, max_text_seq_length=5, patch_size=2, patch_size_t=2,
                            sample_width=20, sample_height=16, sample_frames=9, attention_bias=False, patch_bias=False,
                            use_rotary_positional_embeddings=True),
                       [(1, 2, 4, 6, 5, [3]), (3, 4, 6, 4, 2, [999, 1, 500])]),
    "odd_waves": (dict(num_attention_heads=1, attention_head_dim=16, in_channels=3, out_channels=3, num_layers=1,
                       time_embed_dim=9, ofs_embed_dim=9, text_embed_dim=8, max_text_seq_length=4, patch_size=2,
                       patch_size_t=1, sample_width=12, sample_height=12, flip_sin_to_cos=False, freq_shift=1,
                       norm_elementwise_affine=False, norm_eps=1e-3, timestep_activation_fn="gelu",
                       activation_fn="gelu", use_rotary_positional_embeddings=True, patch_bias=False),
                  [(2, 3, 4, 8, 4, [7, 7])]),
    "large_patches": (dict(num_attention_heads=2, attention_head_dim=16, in_channels=2, out_channels=4, num_layers=2,
                           time_embed_dim=6, text_embed_dim=5, max_text_seq_length=3, patch_size=4, sample_width=24,
                           sample_height=16, sample_frames=5, patch_bias=False, temporal_compression_ratio=2,
                           use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True),
                      [(1, 3, 16, 24, 3, [10]), (2, 2, 16, 24, 3, [0, 999])]),
    "computed_positions": (dict(num_attention_heads=4, attention_head_dim=8, in_channels=4, out_channels=4,
                                num_layers=2, time_embed_dim=8, text_embed_dim=6, max_text_seq_length=7,
                                sample_width=16, sample_height=8, sample_frames=9, spatial_interpolation_scale=1.5,
                                temporal_interpolation_scale=2.0),
                           [(1, 3, 8, 16, 7, [1]), (2, 5, 4, 6, 7, [400, 401])]),
}


def transformer(name):
    config, cases = TRANSFORMERS[name]
    net = CogVideoXTransformer3DModel(**config).eval()
    out = {"kind": "cogvideox.transformer", "name_salt": SALT, "tolerance": 2e-5, "config": config,
           "state_dict": fill(net), "cases": []}
    for batch, frames, h, w, text, t in cases:
        x = given("hidden_states", (batch, frames, config["in_channels"], h, w))
        e = given("encoder_hidden_states", (batch, text, config["text_embed_dim"]))
        ofs = torch.full((1,), 2.0) if config.get("ofs_embed_dim") else None
        y = net(x, e, torch.tensor(t), ofs=ofs, image_rotary_emb=rope(net.config, frames, h, w), return_dict=False)[0]
        out["cases"].append(dict(B=batch, F=frames, h=h, w=w, L=text, t=t, output=record(y)))
    return out


def vae():
    config = dict(in_channels=3, out_channels=3, block_out_channels=[6, 12, 18], latent_channels=5, layers_per_block=1,
                  norm_num_groups=3, temporal_compression_ratio=2, sample_height=40, sample_width=56, norm_eps=1e-4,
                  scaling_factor=0.9, down_block_types=["CogVideoXDownBlock3D"] * 3,
                  up_block_types=["CogVideoXUpBlock3D"] * 3)
    net = AutoencoderKLCogVideoX(**config).eval()
    out = {"kind": "cogvideox.vae", "name_salt": SALT, "tolerance": 2e-5, "config": config, "state_dict": fill(net),
           "encode": [], "decode": [], "tiled": []}
    for batch, frames in [(1, 1), (2, 3), (1, 10)]:
        shape = (batch, 3, frames, 12, 20)
        out["encode"].append(dict(frames=frames, input=f"video{frames}", input_scale=0.5, input_shape=shape,
                                  moments=record(net._encode(given(f"video{frames}", shape, 0.5)))))
    for batch, frames in [(1, 1), (2, 2), (1, 5)]:
        shape = (batch, 5, frames, 3, 5)
        y = net._decode(given(f"latent{frames}", shape)).sample
        out["decode"].append(dict(frames=frames, input=f"latent{frames}", input_shape=shape, sample=record(y)))
    net.enable_tiling()
    shape = (1, 3, 3, 36, 60)
    out["tiled"].append(dict(op="encode", input="tilevideo", input_scale=0.5, input_shape=shape,
                             moments=record(net._encode(given("tilevideo", shape, 0.5)))))
    shape = (1, 5, 3, 9, 15)
    out["tiled"].append(dict(op="decode", input="tilelatent", input_shape=shape,
                             sample=record(net._decode(given("tilelatent", shape)).sample)))
    return out


def schedulers():
    config = dict(num_train_timesteps=500, beta_start=0.001, beta_end=0.02, beta_schedule="linear",
                  set_alpha_to_one=False, prediction_type="epsilon", timestep_spacing="leading", steps_offset=1,
                  rescale_betas_zero_snr=False)
    out = {"kind": "cogvideox.schedulers", "name_salt": SALT, "tolerance": 2e-5, "config": config, "timesteps": {},
           "dpm": [], "ddim": []}
    for spacing in ("trailing", "leading", "linspace"):
        for steps in (2, 9, 50):
            s = CogVideoXDDIMScheduler(**{**config, "timestep_spacing": spacing, "steps_offset": 1})
            s.set_timesteps(steps)
            out["timesteps"][f"{spacing}/{steps}"] = s.timesteps.tolist()
    shape = (2, 2, 3, 2, 2)
    import diffusers.schedulers.scheduling_dpm_cogvideox as module
    for prediction in ("epsilon", "sample", "v_prediction"):
        for solver, dtype in (("dpm", torch.float32), ("dpm", torch.bfloat16), ("ddim", torch.float32)):
            make = CogVideoXDPMScheduler if solver == "dpm" else CogVideoXDDIMScheduler
            s = make(**{**config, "prediction_type": prediction}, snr_shift_scale=2.0)
            s.set_timesteps(5)
            drawn, count = [], [0]

            def randn(size, **_):
                drawn.append(f"noise{count[0]}")
                count[0] += 1
                return given(drawn[-1], tuple(size)).to(dtype)

            module.randn_tensor = randn
            x, last, back, steps = given("latents", shape).to(dtype), None, None, []
            for i, t in enumerate(s.timesteps):
                drawn.clear()
                v = given(f"model_output{i}", shape)
                if solver == "dpm":
                    prev, x0 = s.step(v, last, t, back, x, return_dict=False)
                else:
                    prev, x0 = s.step(v, t, x, return_dict=False)
                x, last, back = prev.to(dtype), x0, t
                steps.append(dict(t=int(t), noise_drawn=list(drawn), prev=record(x), x0=record(x0)))
            out[solver].append(dict(N=5, dtype=str(dtype), snr_shift_scale=2.0, prediction_type=prediction,
                                    steps=steps))
    return out


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        made = {f"transformer_{name}": transformer(name) for name in TRANSFORMERS}
        made |= {"vae": vae(), "schedulers": schedulers()}
    for name, golden in made.items():
        (folder / f"{name}.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
