"""The networks of a model folder in PyTorch, for training the demo model: the same architecture, the same names of
tensors and the same numbers as model_shim/longanimation (tools/demo_model/check.py holds them against the goldens).

Only what a small model needs is here: CogVideoX1.5 with ofs and slice rotary positions, SketchDiT with skip-layer
injection, and the causal VAE with its temporal chunks."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def attend(q, k, v, mask=None):
    """Attention; the plain form in half precision on a CPU, whose fused kernel has a backward twice as slow."""
    if q.dtype != torch.bfloat16 or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, mask)
    with torch.autocast("cpu", enabled=False):
        logits = (q * q.shape[-1] ** -.5) @ k.transpose(-1, -2)
        if mask is not None:
            logits = logits.masked_fill(~mask, -1e4)
        return logits.softmax(-1) @ v


# ---- causal 3-D VAE ----
class CausalConv(nn.Module):
    """conv3d with kernel k x 3 x 3; past frames come from the cache or repeat the first one."""

    def __init__(self, cin, cout, kernel=3):
        super().__init__()
        self.kernel = kernel
        self.conv = nn.Conv3d(cin, cout, kernel, padding=(0, kernel // 2, kernel // 2))

    def forward(self, x, cache):
        if self.kernel == 1:
            return self.conv(x)
        past = cache.get(self)
        if past is None and x.shape[2] == 1 and not cache.get("keep"):
            # One still: the three taps see the same frame, so the sum of the taps is a 2-D kernel.
            return F.conv2d(x[:, :, 0], self.conv.weight.sum(2), self.conv.bias, padding=1)[:, :, None]
        if past is None:
            past = x[:, :, :1].expand(-1, -1, 2, -1, -1)
        x = torch.cat([past, x], 2)
        if cache.get("keep"):
            cache[self] = x[:, :, -2:]
        return self.conv(x)


class SpatialNorm(nn.Module):
    def __init__(self, channels, latent, groups):
        super().__init__()
        self.norm_layer = nn.GroupNorm(groups, channels, eps=1e-6)
        self.conv_y = CausalConv(latent, channels, 1)
        self.conv_b = CausalConv(latent, channels, 1)

    @staticmethod
    def grow(z, frames, height):
        if frames > 1 and frames % 2 == 1:
            rest = z[:, :, 1:]
            z = torch.cat([z[:, :, :1], rest.repeat_interleave((frames - 1) // rest.shape[2], 2)], 2)
        elif z.shape[2] != frames:
            z = z.repeat_interleave(frames // z.shape[2], 2)
        k = height // z.shape[3]
        return z if k == 1 else z.repeat_interleave(k, 3).repeat_interleave(k, 4)

    def forward(self, f, z):
        frames, height = f.shape[2], f.shape[3]
        return torch.addcmul(self.grow(self.conv_b.conv(z), frames, height), self.norm_layer(f),
                             self.grow(self.conv_y.conv(z), frames, height))


class Resnet(nn.Module):
    def __init__(self, cin, cout, groups, latent=None):
        super().__init__()
        norm = (lambda c: SpatialNorm(c, latent, groups)) if latent else (lambda c: nn.GroupNorm(groups, c, eps=1e-6))
        self.spatial = latent is not None
        self.norm1, self.conv1 = norm(cin), CausalConv(cin, cout)
        self.norm2, self.conv2 = norm(cout), CausalConv(cout, cout)
        if cin != cout:
            self.conv_shortcut = nn.Conv3d(cin, cout, 1)

    def forward(self, x, z, cache):
        n = (lambda norm, v: norm(v, z)) if self.spatial else (lambda norm, v: norm(v))
        h = self.conv1(F.silu(n(self.norm1, x)), cache)
        h = self.conv2(F.silu(n(self.norm2, h)), cache)
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


def per_frame(conv, x, **kw):
    b, c, t, h, w = x.shape
    y = F.conv2d(x.transpose(1, 2).reshape(b * t, c, h, w), conv.weight, conv.bias, **kw)
    return y.reshape(b, t, *y.shape[1:]).transpose(1, 2)


class Resample(nn.Module):
    def __init__(self, channels, down, time):
        super().__init__()
        self.down, self.time = down, time
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1)

    def forward(self, x):
        t = x.shape[2]
        if self.down:
            if self.time and t > 1:
                first, rest = (x[:, :, :1], x[:, :, 1:]) if t % 2 else (x[:, :, :0], x)
                x = torch.cat([first, 0.5 * (rest[:, :, ::2] + rest[:, :, 1::2])], 2)
            return per_frame(self.conv, F.pad(x, (0, 1, 0, 1)), stride=2)
        if self.time and t > 1:
            x = torch.cat([x[:, :, :1], x[:, :, 1:].repeat_interleave(2, 2)], 2) if t % 2 else x.repeat_interleave(2, 2)
        return per_frame(self.conv, x.repeat_interleave(2, 3).repeat_interleave(2, 4), padding=1)


class Block(nn.Module):
    def __init__(self, cin, cout, layers, groups, latent, resample, key):
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(cin if j == 0 else cout, cout, groups, latent) for j in range(layers)])
        if resample:
            setattr(self, key, nn.ModuleList([resample]))
        self.key = key

    def forward(self, x, z, cache):
        for resnet in self.resnets:
            x = resnet(x, z, cache)
        return getattr(self, self.key)[0](x) if hasattr(self, self.key) else x


class Coder(nn.Module):
    """Encoder (latent None) or decoder."""

    def __init__(self, config, decode):
        super().__init__()
        widths, groups, lat = list(config["block_out_channels"]), config["norm_num_groups"], config["latent_channels"]
        n, layers = len(widths), config["layers_per_block"] + (1 if decode else 0)
        if decode:
            widths = widths[::-1]
        key, z = ("upsamplers", lat) if decode else ("downsamplers", None)
        self.conv_in = CausalConv(lat if decode else 3, widths[0])
        blocks = nn.ModuleList([
            Block(widths[max(i - 1, 0)], widths[i], layers, groups, z,
                  Resample(widths[i], not decode, i < 2) if i < n - 1 else None, key) for i in range(n)])
        setattr(self, "up_blocks" if decode else "down_blocks", blocks)
        self.mid_block = Block(widths[0 if decode else -1], widths[0 if decode else -1], 2, groups, z, None, key)
        self.norm_out = SpatialNorm(widths[-1], lat, groups) if decode else nn.GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = CausalConv(widths[-1], 3 if decode else 2 * lat)
        self.decode = decode

    def forward(self, x, cache):
        z, h = x, self.conv_in(x, cache)
        if self.decode:
            h = self.mid_block(h, z, cache)
            for block in self.up_blocks:
                h = block(h, z, cache)
            h = self.norm_out(h, z)
        else:
            for block in self.down_blocks:
                h = block(h, z, cache)
            h = self.norm_out(self.mid_block(h, z, cache))
        return self.conv_out(F.silu(h), cache)


def slices(n, batch):
    count, rest = max(n // batch, 1), n % batch
    return [(0, batch + rest)] + [(batch * i + rest, batch * (i + 1) + rest) for i in range(1, count)]


class Vae(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Coder(config, False), Coder(config, True)

    @staticmethod
    def run(coder, x, batch):
        parts, cache = slices(x.shape[2], batch), {}
        cache["keep"] = len(parts) > 1
        return torch.cat([coder(x[:, :, a:b], cache) for a, b in parts], 2)

    def moments(self, x):
        """x [B,3,T,H,W] in -1..1 -> mean, standard deviation [B,C,t,h,w]."""
        mean, logvar = self.run(self.encoder, x, 8).float().chunk(2, 1)
        return mean, torch.exp(0.5 * logvar.clamp(-30, 20))

    def encode(self, x):
        mean, std = self.moments(x)
        return mean + std * torch.randn_like(mean)

    def decode(self, z):
        return self.run(self.decoder, z, 2).float()


# ---- transformer and SketchDiT ----
INJECTIONS = {"skip_layer": lambda n, blocks: n % 2 == 0, "full": lambda n, blocks: True,
              "former_half": lambda n, blocks: n < blocks // 2, "latter_half": lambda n, blocks: n >= blocks // 2}


def sinusoid(t, width):
    half = width // 2
    angle = t.float()[:, None] * torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
    return torch.cat([angle.cos(), angle.sin()], 1)


def rope_tables(frames, height, width, dim, device):
    sizes, axes = (dim // 4, 3 * dim // 8, 3 * dim // 8), (frames, height, width)
    grid = torch.meshgrid(*[torch.arange(n, device=device).float() for n in axes], indexing="ij")
    angle = torch.cat([g.reshape(-1, 1) * (10000 ** (-torch.arange(0, n, 2, device=device) / n)) for g, n in
                       zip(grid, sizes)], 1).repeat_interleave(2, 1)
    return angle.cos(), angle.sin()


def rotate(x, rope):
    x = x.float()
    turned = torch.stack([-x[..., 1::2], x[..., 0::2]], -1).flatten(-2)
    return x * rope[0] + turned * rope[1]


class Mlp(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(cin, cout), nn.Linear(cout, cout)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


class AdaNorm(nn.Module):
    def __init__(self, emb, dim, chunks):
        super().__init__()
        self.linear, self.norm, self.chunks = nn.Linear(emb, chunks * dim), nn.LayerNorm(dim, eps=1e-5), chunks


class Attention(nn.Module):
    def __init__(self, dim, head):
        super().__init__()
        self.heads = dim // head
        self.norm_q, self.norm_k = nn.LayerNorm(head, eps=1e-6), nn.LayerNorm(head, eps=1e-6)
        self.to_q, self.to_k, self.to_v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])

    def forward(self, x, text, rope):
        b, n, d = x.shape
        q, k, v = (f(x).view(b, n, self.heads, -1).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v))
        q, k = self.norm_q(q), self.norm_k(k)
        q = torch.cat([q[:, :, :text].float(), rotate(q[:, :, text:], rope)], 2).to(v.dtype)
        k = torch.cat([k[:, :, :text].float(), rotate(k[:, :, text:], rope)], 2).to(v.dtype)
        return self.to_out[0](attend(q, k, v).transpose(1, 2).reshape(b, n, d))


class Gelu(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, 4 * dim)

    def forward(self, x):
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.net = nn.ModuleList([Gelu(dim), nn.Identity(), nn.Linear(4 * dim, dim)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class DitBlock(nn.Module):
    def __init__(self, dim, head, emb):
        super().__init__()
        self.norm1, self.attn1 = AdaNorm(emb, dim, 6), Attention(dim, head)
        self.norm2, self.ff = AdaNorm(emb, dim, 6), FeedForward(dim)

    def forward(self, x, text, emb, rope):
        for norm, f in ((self.norm1, lambda v: self.attn1(v, text, rope)), (self.norm2, self.ff)):
            shift, scale, gate, shift_t, scale_t, gate_t = norm.linear(F.silu(emb))[:, None].chunk(6, -1)
            y = norm.norm(x)
            y = f(torch.cat([y[:, :text] * (1 + scale_t) + shift_t, y[:, text:] * (1 + scale) + shift], 1))
            x = x + torch.cat([y[:, :text] * gate_t, y[:, text:] * gate], 1)
        return x


class PatchEmbed(nn.Module):
    def __init__(self, channels, dim, text_dim):
        super().__init__()
        self.proj, self.text_proj = nn.Linear(channels * 8, dim), nn.Linear(text_dim, dim)

    def forward(self, x, text):
        b, f, c, h, w = x.shape
        x = x.reshape(b, f // 2, 2, c, h // 2, 2, w // 2, 2).permute(0, 1, 4, 6, 3, 2, 5, 7).flatten(4).flatten(1, 3)
        return torch.cat([self.text_proj(text), self.proj(x)], 1)


class Dit(nn.Module):
    """The transformer, or SketchDiT when sketch is true: the same without a head, with zero_conv."""

    def __init__(self, config, sketch, injection="skip_layer"):
        super().__init__()
        self.injects = INJECTIONS[injection]
        heads, head = config["num_attention_heads"], config["attention_head_dim"]
        dim, emb = heads * head, config["time_embed_dim"]
        self.dim, self.ofs, self.out = dim, config["ofs_embed_dim"], config["out_channels"]
        self.patch_embed = PatchEmbed(config["in_channels"], dim, config["text_embed_dim"])
        self.time_embedding, self.ofs_embedding = Mlp(dim, emb), Mlp(self.ofs, self.ofs)
        self.transformer_blocks = nn.ModuleList([DitBlock(dim, head, emb) for _ in range(config["num_layers"])])
        if sketch:
            self.zero_conv = nn.Linear(dim, dim, bias=False)
        else:
            self.norm_final = nn.LayerNorm(dim, eps=1e-5)
            self.norm_out = AdaNorm(emb, dim, 2)
            self.proj_out = nn.Linear(dim, 8 * self.out)

    def forward(self, x, text, t, rope, control=None, control_scale=0.5):
        b, f, _, h, w = x.shape
        two = torch.full((1,), 2.0, device=x.device)
        emb = self.time_embedding(sinusoid(t, self.dim)) + self.ofs_embedding(sinusoid(two, self.ofs))
        length, x = text.shape[1], self.patch_embed(x, text)
        for n, block in enumerate(self.transformer_blocks):
            x = block(x, length, emb, rope)
            if control is not None and self.injects(n, len(self.transformer_blocks)):
                x = torch.cat([x[:, :length], x[:, length:] + control_scale * control], 1)
        x = x[:, length:]
        if hasattr(self, "zero_conv"):
            return self.zero_conv(x)
        shift, scale = self.norm_out.linear(F.silu(emb))[:, None].chunk(2, -1)
        x = self.proj_out(self.norm_out.norm(self.norm_final(x)) * (1 + scale) + shift)
        return x.view(b, f // 2, h // 2, w // 2, self.out, 2, 2, 2).permute(0, 1, 5, 4, 2, 6, 3, 7).reshape(
            b, f, self.out, h, w)


class Colouriser(nn.Module):
    """SketchDiT and transformer together: (noisy, image, sketch) latents [B,F,C,h,w] -> prediction."""

    def __init__(self, config, sketch_config, injection="skip_layer"):
        super().__init__()
        self.config, self.sketch_config = config, sketch_config
        self.transformer, self.sketch_dit = Dit(config, False, injection), Dit(sketch_config, True)
        self.head, self.tables = config["attention_head_dim"], {}

    def forward(self, noisy, image, sketch, t):
        b, f, _, h, w = noisy.shape
        if (f, h, w) not in self.tables:
            self.tables[f, h, w] = rope_tables(f // 2, h // 2, w // 2, self.head, noisy.device)
        rope = self.tables[f, h, w]
        text = torch.zeros(b, self.config["max_text_seq_length"], self.config["text_embed_dim"], device=noisy.device)
        control = self.sketch_dit(torch.cat([sketch, image], 2), text, t, rope)
        return self.transformer(torch.cat([noisy, image], 2), text, t, rope, control)


def alphas(beta_start=0.00085, beta_end=0.012, steps=1000):
    """Cumulative alphas, scaled-linear, rescaled to zero terminal SNR."""
    betas = torch.linspace(beta_start ** 0.5, beta_end ** 0.5, steps, dtype=torch.float64) ** 2
    root = torch.cumprod(1 - betas, 0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return (root ** 2).float()
