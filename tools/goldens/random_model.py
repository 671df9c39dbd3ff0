#!/usr/bin/env python3
"""Makes model folders of random sizes with expected/: a whole run in the reference's order, every tensor on the way kept.
`longanim parity OUT` then compares.

usage: python tools/goldens/random_model.py OUT --tokenizer spiece.model [--seed N] [--count N]
Needs torch, diffusers==0.32.0, transformers, safetensors, sentencepiece, Pillow. Networks are diffusers' and transformers';
control goes in by hooks. Every second folder has a video encoder, whose memories come from what was delivered."""
import argparse
import random
import shutil
from pathlib import Path

import cogvideox_odd as odd
import diffusers.schedulers.scheduling_dpm_cogvideox as dpm_module
import numpy as np
import random_networks
import random_parts as parts
import random_video_xl as video
import sentencepiece
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX, CogVideoXDPMScheduler, CogVideoXTransformer3DModel
from PIL import Image
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel

HEAD = ("norm_final", "norm_out", "proj_out")  # of the transformer; SketchDiT has none


def limits(segments, encoder):
    """Of values near 1; larger ones are rounded more. An encoder sees frames of which some are one level off."""
    largest = max(float(out[n].abs().max()) for out in segments for n in out if n.startswith(("decode", "latents", "v_")))
    wide = max(1.0, largest) * (20 if encoder else 1)
    return [dict(tensors=["output_u8"], tolerance=1, largest_share_of_different_values=0.005),
            dict(tensors=["*_ids", "frames", "reference_cropped", "reference_resized"], tolerance=0),
            dict(tensors=["rope_cos", "rope_sin", "image_in"], tolerance=1e-6),
            dict(tensors=["global_memory", "local_memory"], tolerance=0.05 if encoder else 0),
            dict(tensors=["latents_step*", "v_*", "decoder_input", "decoded*"], tolerance=2e-4 * wide),
            dict(tensors=["*"], tolerance=1e-4 * (20 if encoder else 1))]


class Part:
    """Weights of one component as stored, and as they are computed with."""

    def __init__(self, r, shapes, place, stem):
        self.place, self.stem, self.r = place, stem, r
        kind = r.choice(["float32", "float32", "bfloat16", "float16", "mixed"])
        self.files = video.stored({k: odd.weight(f"{place}/{k}", tuple(v)) for k, v in shapes.items()}, kind, r)
        self.p = {k: v.float() for k, v in self.files.items()}

    def load(self, net):
        missing = net.load_state_dict(self.p, strict=False).missing_keys
        assert all(k.startswith(HEAD) or k == "encoder.embed_tokens.weight" for k in missing), missing
        return net.eval()

    def write(self, folder, config=None):
        video.save(folder / self.place, self.stem, self.files, self.r.choice([1, 1, 2, 3]), self.r)
        if config is not None:
            video.put(folder / self.place / "config.json", config)


def shapes_of(net):
    return {k: list(v.shape) for k, v in net.state_dict().items()}


class Model:
    def __init__(self, r, with_encoder, spiece):
        self.r, self.spiece = r, sentencepiece.SentencePieceProcessor(model_file=str(spiece))
        self.encoder = video.Encoder(r) if with_encoder else None
        heads, latents = r.choice([(1, 2), (2, 1), (2, 2), (3, 3)]), r.choice([2, 4, 8])
        dims = {(1, 2): (32, 16), (2, 1): (16, 32), (2, 2): (16, 16), (3, 3): (16, 16)}[heads]  # one width, two ways
        text = r.choice([6, 16])
        self.dit, self.sketch = (self.dit_config(h, d, 2 * latents, latents, text) for h, d in zip(heads, dims))
        net = CogVideoXTransformer3DModel(**self.dit)
        self.parts = dict(transformer=Part(r, shapes_of(net), "transformer", "diffusion_pytorch_model"))
        self.transformer = self.parts["transformer"].load(net)
        net, width = CogVideoXTransformer3DModel(**self.sketch), heads[0] * dims[0]
        shapes = {k: v for k, v in shapes_of(net).items() if not k.startswith(HEAD)}
        self.parts["sketch_dit"] = Part(r, shapes | {"zero_conv.weight": [width, width]}, "sketch_dit", "control_module")
        self.zero_conv = self.parts["sketch_dit"].p.pop("zero_conv.weight")
        self.sketch_dit = self.parts["sketch_dit"].load(net)
        self.make_vae(latents)
        self.t5 = dict(d_model=text, d_ff=r.choice([20, 40]), d_kv=r.choice([4, 6]), num_heads=r.randint(1, 4),
                       num_layers=r.randint(1, 3), vocab_size=self.spiece.get_piece_size() + 100,
                       relative_attention_num_buckets=r.choice([16, 32]), relative_attention_max_distance=r.choice([64, 128]),
                       feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-6)
        net = T5EncoderModel(T5Config(**self.t5))
        shapes = {k: v for k, v in shapes_of(net).items() if k != "encoder.embed_tokens.weight"}
        self.parts["text_encoder"] = Part(r, shapes, "text_encoder", "model")
        self.text_encoder = self.parts["text_encoder"].load(net)
        self.text_encoder.encoder.embed_tokens.weight = self.text_encoder.shared.weight
        self.memory = dict(dim=width, output_dim=width, depth=3, heads=r.randint(1, 3), dim_head=r.choice([4, 12]), ff_mult=2,
                           memory_dim=self.encoder_width() if self.encoder else r.choice([8, 20]), mapping_dims=[12, 18])
        self.parts["memory"] = Part(r, parts.dglm_shapes(self.memory), "memory", "glm_module")
        self.parts["lineart"] = Part(r, parts.lineart_shapes(*r.choice([(8, 16, 24), (12, 20, 32)])), "lineart", "sk_model")
        self.schedule = dict(prediction_type=r.choice(["v_prediction", "v_prediction", "sample"]), timestep_spacing="trailing",
                             rescale_betas_zero_snr=True, snr_shift_scale=r.choice([1.0, 3.0]), clip_sample=False)
        self.manifest = self.make_manifest()

    def encoder_width(self):
        c = self.encoder.language
        return c["num_key_value_heads"] * c["hidden_size"] // c["num_attention_heads"]

    def dit_config(self, heads, dim, channels, out, text):
        r, time = self.r, self.r.choice([6, 16])
        return dict(num_attention_heads=heads, attention_head_dim=dim, in_channels=channels, out_channels=out,
                    num_layers=r.randint(1, 5), time_embed_dim=time, ofs_embed_dim=r.choice([time, time, None]),
                    text_embed_dim=text, max_text_seq_length=0, patch_size=2, patch_size_t=2, sample_width=20,
                    sample_height=16, sample_frames=25, patch_bias=False, temporal_compression_ratio=4,
                    attention_bias=r.random() < 0.7, use_rotary_positional_embeddings=True)

    def make_vae(self, latents):
        r = self.r
        c = dict(block_out_channels=[4, 8, 8, 12], latent_channels=latents, layers_per_block=r.choice([1, 2]),
                 norm_num_groups=r.choice([2, 4]), temporal_compression_ratio=4, sample_height=96,
                 sample_width=r.choice([80, 160]), scaling_factor=r.choice([0.7, 1.15]), invert_scale_latents=True,
                 down_block_types=["CogVideoXDownBlock3D"] * 4, up_block_types=["CogVideoXUpBlock3D"] * 4)
        net = AutoencoderKLCogVideoX(**c)
        self.vae_config, self.parts["vae"] = c, Part(r, shapes_of(net), "vae", "diffusion_pytorch_model")
        self.vae = self.parts["vae"].load(net)

    def make_manifest(self):
        r = self.r
        self.dit["max_text_seq_length"] = self.sketch["max_text_seq_length"] = r.choice([9, 40, 64])
        frames, steps = r.choice([17, 25, 33]), r.randint(1, 6)
        m = dict(format="longanimation-model", version=1, height=16 * r.randint(1, 4), width=16 * r.randint(1, 4),
                 segment_frames=frames, overlap_frames=r.choice([n for n in (2, 4, 8, 14, 16) if n < frames - 2]), steps=steps,
                 guidance_scale=r.choice([6.0, 2.5]), control_scale=r.choice([0.5, 0.3, 1.0]),
                 injection=r.choice(["skip_layer", "full", "former_half", "latter_half"]),
                 fusion=dict(first_step=r.randint(0, steps), weights=r.choice([[0.8, 0.6, 0.4, 0.2], [0.9, 0.5, 0.25, 0.0]])),
                 image_latent_scale=r.choice([1.0, 0.7]), prompt_suffix=r.choice([" High quality.", "", " x"]),
                 vae_tiling=r.random() < 0.6, video_encoder=None, global_frames_max=650, local_frames=20)
        if self.encoder:
            m |= dict(video_encoder="video_xl", memory_layers=self.encoder.layers, compression_ratio=self.encoder.ratio,
                      global_frames_max=r.choice([650, 11]), local_frames=r.choice([3, 20]))
        return m

    def write(self, folder, spiece):
        configs = dict(transformer=self.dit, sketch_dit=self.sketch, vae=self.vae_config, text_encoder=self.t5,
                       memory=self.memory)
        for name, part in self.parts.items():
            part.write(folder, configs.get(name))
        if self.encoder:
            self.encoder.write(folder / "video_xl")
        video.put(folder / "scheduler/scheduler_config.json", dict(self.schedule, _class_name="CogVideoXDDIMScheduler"))
        (folder / "tokenizer").mkdir(exist_ok=True)
        shutil.copy(spiece, folder / "tokenizer/spiece.model")
        video.put(folder / "longanimation.json", self.manifest)


class Run:
    def __init__(self, model, prompt):
        self.n, self.m, self.r, self.prompt = model, model.manifest, model.r, prompt
        m, r = self.m, model.r
        self.stride = m["segment_frames"] - m["overlap_frames"]
        self.count = r.randint(1, 3)
        self.total = m["segment_frames"] + (self.count - 1) * self.stride + r.randint(0, self.stride - 1)
        h, w = r.choice([(m["height"], m["width"]), (r.randint(20, 70), r.randint(20, 70))])
        made = np.random.default_rng(r.randrange(1 << 30))
        coarse = torch.from_numpy(made.integers(0, 256, (self.total, 3, 5, 6)).astype(np.float32))
        noise = torch.from_numpy(made.normal(0, 12, (self.total, 3, h, w)).astype(np.float32))
        smooth = F.interpolate(coarse, (h, w), mode="bicubic") + noise
        self.source = smooth.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        self.reference = torch.from_numpy(made.integers(0, 256, (r.randint(20, 60), r.randint(20, 60), 3), np.uint8))
        self.frames = m["segment_frames"] // 4 + 2  # latent ones, with the padding frame
        self.h, self.w = m["height"] // 8, m["width"] // 8
        self.seed = r.randrange(1 << 31)
        self.solver = CogVideoXDPMScheduler(**model.schedule)
        self.solver.set_timesteps(m["steps"])
        self.timesteps = self.solver.timesteps.tolist()
        self.draw()
        model.vae.enable_tiling() if m["vae_tiling"] else model.vae.disable_tiling()
        self.shared, self.segments, self.memories, self.delivered = {}, [], {}, []
        self.tails = None

    def draw(self):
        c = self.n.vae_config["latent_channels"]
        main, sketch = (torch.Generator().manual_seed(self.seed + n) for n in (0, 1))
        order, whole = [], [1, self.frames, c, self.h, self.w]
        for name, frames in (("sketch", self.frames - 1), ("first_frame_sketch", 1), ("reference_sketch", 1)):
            order.append((sketch, "sketch", f"{name}_posterior", [1, c, frames, self.h, self.w]))
        order += [(main, "main", "image_posterior", [1, c, 1, self.h, self.w]), (main, "main", "init", whole)]
        for i in range(self.m["steps"]):
            if self.draws(i) == 2:
                order.append((main, "main", f"step{i}_discarded", whole))
            order.append((main, "main", f"step{i}", whole))
        self.noise = {name: torch.randn(shape, generator=g) for g, _, name, shape in order}
        self.order = [dict(generator=kind, tensor=name, shape=shape) for _, kind, name, shape in order]

    def draws(self, i):
        return 1 if i == 0 or self.timesteps[i] - 1000 // self.m["steps"] < 0 else 2

    # ---- pictures ----
    def fit(self, x):
        """uint8 [F,3,h,w] -> network size, aspect kept."""
        h, w, size = *x.shape[2:], (self.m["height"], self.m["width"])
        to = parts.cover(h, w, *size)
        y = x.float() if to == (h, w) else F.interpolate(x.float(), to, mode="bicubic", antialias=True).clamp(0, 255)
        top, left = (to[0] - size[0]) // 2, (to[1] - size[1]) // 2
        return y.round().to(torch.uint8)[..., top:top + size[0], left:left + size[1]].contiguous()

    def lines(self, frames):
        raw = parts.lineart_net(frames.float() / 255, self.n.parts["lineart"].p)
        self.nearest = min(getattr(self, "nearest", 1), float((raw - 0.78).abs().min()))
        paper = raw > 0.78
        return raw, paper, torch.where(paper, -1.0, 1.0).expand(-1, 3, -1, -1).transpose(0, 1)[None]

    def sampled(self, moments, name):
        mean, logvar = moments.chunk(2, 1)
        return mean + torch.exp(0.5 * logvar.clamp(-30, 20)) * self.noise[name + "_posterior"]

    def sketch(self, moments, name):
        return (self.sampled(moments, name) * self.n.vae_config["scaling_factor"]).transpose(1, 2)

    # ---- a segment ----
    def embed(self, prompt):
        length = self.n.dit["max_text_seq_length"]
        ids = parts.t5_ids(self.n.spiece, prompt, length)
        ids = torch.tensor([ids + [0] * (length - len(ids))])
        return ids, self.n.text_encoder(ids)[0]

    def condition(self, k, frames, out):
        raw, paper, pixels = self.lines(frames)
        if k == 0:
            out["lineart_raw_frame0"] = raw[:1]
        out["sketch_moments"] = self.n.vae._encode(pixels)
        out["first_frame_sketch_moments"] = first = self.n.vae._encode(pixels[:, :, :1])
        out["sketch_latents"], pad = self.sketch(out["sketch_moments"], "sketch"), self.sketch(first, "first_frame_sketch")
        if k == 0:
            self.shared["reference_cropped"] = cropped = self.fit(self.reference.permute(2, 0, 1)[None])[0]
            raw, self.reference_paper, pixels = self.lines(cropped[None])
            moments = self.n.vae._encode(pixels)
            self.shared |= dict(reference_lineart_raw=raw, reference_sketch_moments=moments)
            pad = self.sketch(moments, "reference_sketch")
            size = (self.m["width"], self.m["height"])
            self.shared["reference_resized"] = y = parts.pillow(self.reference, size, Image.LANCZOS)
            self.shared["image_in"] = image = (y.float() / 255 * 2 - 1).permute(2, 0, 1)[None, :, None]
            self.shared["image_posterior_moments"] = moments = self.n.vae._encode(image)
            z = (self.sampled(moments, "image") * self.m["image_latent_scale"]).transpose(1, 2)
            self.shared["image_latents"] = torch.cat([z, z.new_zeros(1, self.frames - 1, *z.shape[2:])], 1)
        out["pad_sketch_latent"] = pad
        return torch.cat([pad, out["sketch_latents"]], 1), paper

    def recall(self, k):
        """Global and local memory of segment k."""
        if self.n.encoder:
            seen = torch.cat(self.delivered)
            count = min(len(seen), self.m["global_frames_max"])
            chosen = seen[torch.from_numpy(np.linspace(0, len(seen) - 1, count).astype(np.int64))]
            made = [self.n.encoder.memory(x) for x in (chosen, chosen[-self.m["local_frames"]:])]
        else:
            made = [odd.given(f"memory{k}{n}", (1, 2, 3, self.r.randint(1, 40), self.n.memory["memory_dim"])) for n in "gl"]
        self.memories |= {f"segment_{k}.global_memory": made[0], f"segment_{k}.local_memory": made[1]}
        return made

    def step(self, k, i, t, sketch, x, text, memories, turns, out):
        n, seen = self.n, []
        hook = n.sketch_dit.transformer_blocks[-1].register_forward_hook(lambda _, __, y: seen.append(y[0]))
        ofs = lambda c: torch.full((1,), 2.0) if c["ofs_embed_dim"] else None
        n.sketch_dit(sketch, text, t, ofs=ofs(n.sketch), image_rotary_emb=turns[0], return_dict=False)
        hook.remove()
        z = control = seen[0] @ n.zero_conv.T
        if memories:
            more = parts.dglm_net(n.memory, n.parts["memory"].p, z, *(m.expand(2, -1, -1, -1, -1) for m in memories))
            control = z + more
            if i == 0:
                out |= dict(memory_step0=more, control_used_step0=control)
        if i == 0:
            out["control_step0"] = z
        scaled, blocks = self.m["control_scale"] * control, n.transformer.transformer_blocks
        into = random_networks.INJECTED[self.m["injection"]]
        hooks = [b.register_forward_hook(lambda _, __, y: (y[0] + scaled, y[1])) for j, b in enumerate(blocks)
                 if into(j, len(blocks))]
        v = n.transformer(x, text, t, ofs=ofs(n.dit), image_rotary_emb=turns[1], return_dict=False)[0]
        for hook in hooks:
            hook.remove()
        return v

    def fuse(self, i, latents, tails):
        first, weights = self.m["fusion"]["first_step"], self.m["fusion"]["weights"]
        if self.tails is not None and i >= first:
            for a, share in enumerate(weights):
                latents[:, a + 2] = share * self.tails[i][:, a] + (1 - share) * latents[:, a + 2]
        tails.append(latents[:, -4:].clone())

    def segment(self, k, frames):
        out, prompt = {}, self.prompt + self.m["prompt_suffix"] * (k + 1)
        out["prompt_ids"], out["prompt_embeds"] = self.embed(prompt)
        self.shared["negative_ids"], self.shared["negative_embeds"] = self.embed("")
        text = torch.cat([self.shared["negative_embeds"], out["prompt_embeds"]])
        memories = self.recall(k) if k else None
        lines, paper = self.condition(k, frames, out)
        image, turns = self.shared["image_latents"], [odd.rope(n.config, self.frames, self.h, self.w)
                                                      for n in (self.n.sketch_dit, self.n.transformer)]
        self.shared["rope_cos"], self.shared["rope_sin"] = turns[1]
        x, last, back, tails = self.noise["init"], None, None, []
        sketch = torch.cat([torch.cat([lines, image], 2)] * 2)
        for i, t in enumerate(self.solver.timesteps):
            v = self.step(k, i, t.expand(2), sketch, torch.cat([torch.cat([x, image], 2)] * 2), text, memories, turns, out)
            if i == 0:
                out["v_step0"] = v
            names = [f"step{i}_discarded", f"step{i}"][-self.draws(i):]
            dpm_module.randn_tensor = lambda *_, **__: self.noise[names.pop(0)]
            guided = v[:1] + self.m["guidance_scale"] * (v[1:] - v[:1])
            x, last = self.solver.step(guided, last, t, back, x, return_dict=False)
            back = t
            self.fuse(i, x, tails)
            out[f"latents_step{i}"] = x.clone()
        self.tails, out["v_last"] = tails, v
        out["decoder_input"] = z = x[:, 1:].transpose(1, 2) / self.n.vae_config["scaling_factor"]
        out["decoded"] = self.n.vae._decode(z).sample
        shown = ((out["decoded"] * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        out["output_u8"] = shown[0].permute(1, 2, 3, 0)
        half = self.m["overlap_frames"] // 2
        kept = (1 if k == 0 else half, self.m["segment_frames"] - half)
        self.delivered.append(out["output_u8"][slice(*kept)])
        self.segments.append((dict(index=k, start=k * self.stride, end=k * self.stride + self.m["segment_frames"],
                                   prompt=prompt, keep_from=kept[0], keep_to=kept[1]), out))
        return paper

    def write(self, folder):
        frames, ready = self.fit(self.source.permute(0, 3, 1, 2)), {}
        for k in range(self.count):
            start = k * self.stride
            paper = self.segment(k, frames[start:start + self.m["segment_frames"]])
            ready |= {start + i: p[0].to(torch.uint8) * 255 for i, p in enumerate(paper)}
        self.shared["frames"] = frames[:len(ready)]
        inputs = dict(source_frames=self.source, reference_image=self.reference,
                      lineart_frames=torch.stack([ready[i] for i in range(len(ready))]),
                      reference_lineart=self.reference_paper[0, 0].to(torch.uint8) * 255)
        files = dict(inputs=inputs, noise=self.noise, shared=self.shared, memory=self.memories)
        files |= {f"segment_{s['index']}": out for s, out in self.segments}
        video.put(folder / "expected/run.json",
                  dict(mode="reference", prompt=self.prompt, negative_prompt="", seed=self.seed, sketch_seed=self.seed + 1,
                       timesteps=self.timesteps, total_frames=self.total, segments=[s for s, _ in self.segments],
                       generators=dict(draws_segment_0=self.order), tolerances=limits([out for _, out in self.segments], self.n.encoder)))
        for name, tensors in files.items():
            if tensors:
                save_file({k: v.contiguous().clone() for k, v in tensors.items()}, folder / "expected" / f"{name}.safetensors")
        m = self.m
        print(folder.name, f"{m['width']}x{m['height']}", f"{self.count}x{m['segment_frames']}-{m['overlap_frames']} frames",
              f"{m['steps']} steps", m["injection"], "encoder" if self.n.encoder else "no encoder",
              f"nearest to the threshold of lines {self.nearest:.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for n in range(arguments.seed, arguments.seed + arguments.count):
        odd.SALT = f"model-{n}/"
        r, folder = random.Random(odd.SALT), arguments.out / f"model-{n}"
        shutil.rmtree(folder, ignore_errors=True)
        with torch.no_grad():
            model = Model(r, n % 2 == 0, arguments.tokenizer)
            model.write(folder, arguments.tokenizer)
            Run(model, r.choice(parts.TEXTS)).write(folder)


if __name__ == "__main__":
    main()
