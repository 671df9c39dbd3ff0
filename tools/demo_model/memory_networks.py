"""The memory of a model folder in PyTorch: the video encoder (CLIP vision tower, projector, Qwen2 with summary tokens)
and the memory module that reads its keys and values. Names of tensors are those of the published checkpoints, numbers
those of model_shim/video_xl and model_shim/longanimation/dglm.cc (tools/demo_model/check.py holds them to the goldens)."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from networks import attend

ACTIVATIONS = {"quick_gelu": lambda x: x * torch.sigmoid(1.702 * x), "gelu": F.gelu, "silu": F.silu}


def split_heads(x, heads):
    """[B,n,heads*d] -> [B,heads,n,d]"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x):
    return x.transpose(1, 2).flatten(2)


# ---- vision tower and projector ----
class ClipAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        q, k, v = (split_heads(f(x), self.heads) for f in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(join_heads(attend(q, k, v)))


class ClipMlp(nn.Module):
    def __init__(self, width, hidden, activation):
        super().__init__()
        self.fc1, self.fc2, self.activation = nn.Linear(width, hidden), nn.Linear(hidden, width), activation

    def forward(self, x):
        return self.fc2(self.activation(self.fc1(x)))


class ClipLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, eps = c["hidden_size"], c.get("layer_norm_eps", 1e-5)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.self_attn = ClipAttention(width, c["num_attention_heads"])
        self.mlp = ClipMlp(width, c["intermediate_size"], ACTIVATIONS[c.get("hidden_act", "quick_gelu")])

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class ClipEmbeddings(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(c["hidden_size"]))
        self.patch_embedding = nn.Conv2d(3, c["hidden_size"], c["patch_size"], c["patch_size"], bias=False)
        self.position_embedding = nn.Embedding(1 + (c["image_size"] // c["patch_size"]) ** 2, c["hidden_size"])

    def forward(self, pixels):
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(patches), 1, -1).to(patches.dtype)
        return torch.cat([first, patches], 1) + self.position_embedding.weight


class ClipVision(nn.Module):
    """pixels [n,3,image,image] -> the hidden state that mm_vision_select_layer names, without the class token."""

    def __init__(self, c, layers):
        super().__init__()
        self.embeddings = ClipEmbeddings(c)
        self.pre_layrnorm = nn.LayerNorm(c["hidden_size"], eps=c.get("layer_norm_eps", 1e-5))  # published under this name
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList([ClipLayer(c) for _ in range(layers)])

    def forward(self, pixels):
        x = self.pre_layrnorm(self.embeddings(pixels))
        for layer in self.encoder.layers:
            x = layer(x)
        return x[:, 1:]


def projector(c):
    linears = int(c.get("mm_projector_type", "mlp2x_gelu")[3])
    parts = [nn.Linear(c["mm_hidden_size"], c["hidden_size"])]
    for _ in range(linears - 1):
        parts += [nn.GELU(), nn.Linear(c["hidden_size"], c["hidden_size"])]
    return nn.Sequential(*parts)


def pooled(x, stride):
    """[n,grid*grid,d] -> [n,tokens,d], averages of stride x stride."""
    side = round(x.shape[1] ** 0.5)
    return F.avg_pool2d(x.transpose(1, 2).unflatten(2, (side, side)), stride).flatten(2).transpose(1, 2)


# ---- language model ----
class RmsNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype)


class Projections(nn.Module):
    """q, k, v and o of a layer; summary tokens have q, k and v of their own. keys_only: what the last layer needs."""

    def __init__(self, c, head_dim, keys_only):
        super().__init__()
        width, q, kv = c["hidden_size"], c["num_attention_heads"] * head_dim, c["num_key_value_heads"] * head_dim
        for prefix in ("", "beacon_"):
            if not keys_only:
                setattr(self, prefix + "q_proj", nn.Linear(width, q))
            setattr(self, prefix + "k_proj", nn.Linear(width, kv))
            setattr(self, prefix + "v_proj", nn.Linear(width, kv))
        if not keys_only:
            self.o_proj = nn.Linear(q, width, bias=False)

    def rows(self, kind, x, ratio):
        """x [B,n,width]; with a ratio every (ratio+1)th row is a summary."""
        token, summary = getattr(self, kind), getattr(self, "beacon_" + kind)
        if not ratio:
            return token(x)
        groups = x.unflatten(1, (-1, ratio + 1))
        return torch.cat([token(groups[:, :, :ratio]), summary(groups[:, :, ratio:])], 2).flatten(1, 2)


class GatedMlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class BeaconLayer(nn.Module):
    def __init__(self, c, head_dim, keys_only):
        super().__init__()
        eps = c.get("rms_norm_eps", 1e-6)
        self.heads, self.kv_heads, self.keys_only = c["num_attention_heads"], c["num_key_value_heads"], keys_only
        self.input_layernorm = RmsNorm(c["hidden_size"], eps)
        self.self_attn = Projections(c, head_dim, keys_only)
        if not keys_only:
            self.post_attention_layernorm = RmsNorm(c["hidden_size"], eps)
            self.mlp = GatedMlp(c["hidden_size"], c["intermediate_size"])

    def forward(self, x, memory, ratio, rope, mask):
        """x [B,n,width], memory (keys, values) or None -> x, memory with this step's rows."""
        normed = self.input_layernorm(x)
        k, v = (split_heads(self.self_attn.rows(kind, normed, ratio), self.kv_heads) for kind in ("k_proj", "v_proj"))
        if not self.keys_only:
            keys, values = (k, v) if memory is None else (torch.cat([m, y], 2) for m, y in zip(memory, (k, v)))
            q = split_heads(self.self_attn.rows("q_proj", normed, ratio), self.heads)
            group, n = self.heads // self.kv_heads, q.shape[2]
            q, keys = turn(q, rope[0][-n:], rope[1][-n:]), turn(keys, *rope)
            y = attend(q, keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1), mask)
            x = x + self.self_attn.o_proj(join_heads(y))
            x = x + self.mlp(self.post_attention_layernorm(x))
        if ratio:
            k, v = (t.unflatten(2, (-1, ratio + 1))[:, :, :, ratio] for t in (k, v))
        return x, ((k, v) if memory is None else tuple(torch.cat([m, y], 2) for m, y in zip(memory, (k, v))))


def turn(x, cos, sin):
    a, b = x.float().chunk(2, -1)
    return (x.float() * cos + torch.cat([-b, a], -1) * sin).to(x.dtype)


class VideoXl(nn.Module):
    """config: config.json of the folder; vision: clip/config.json's vision_config; prompt: memory_prompt.json."""

    def __init__(self, config, vision, prompt, memory_layers, ratio):
        super().__init__()
        self.config, self.vision, self.memory_layers, self.ratio = config, vision, list(memory_layers), ratio
        self.head_dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
        self.pool, self.window = config.get("mm_spatial_pool_stride", 2), config["beacon_window"]
        self.register_buffer("prefix", torch.tensor(prompt["prefix_ids"]), persistent=False)
        self.register_buffer("suffix", torch.tensor(prompt["suffix_ids"]), persistent=False)
        select, last = config.get("mm_vision_select_layer", -2), max(memory_layers)
        model = self.model = nn.Module()
        model.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        model.beacon_embed_tokens = nn.Embedding(1, config["hidden_size"])
        model.layers = nn.ModuleList([BeaconLayer(config, self.head_dim, i == last) for i in range(last + 1)])
        model.mm_projector = projector(config)
        model.vision_tower = nn.Module()
        model.vision_tower.vision_tower = nn.Module()
        layers = vision["num_hidden_layers"] + 1 + select if select < 0 else select
        model.vision_tower.vision_tower.vision_model = ClipVision(vision, layers)

    def visual_tokens(self, pixels):
        """[B,F,3,image,image], normalised -> [B,F*tokens,width]"""
        features = self.model.vision_tower.vision_tower.vision_model(pixels.flatten(0, 1))
        return pooled(self.model.mm_projector(features), self.pool).unflatten(0, pixels.shape[:2]).flatten(1, 2)

    def step(self, memory, x, ratio):
        if ratio:
            beacon = self.model.beacon_embed_tokens.weight.to(x.dtype)
            groups = x.unflatten(1, (-1, ratio))
            x = torch.cat([groups, beacon.expand(*groups.shape[:2], 1, -1)], 2).flatten(1, 2)
        before, n = (0 if memory[0] is None else memory[0][0].shape[2]), x.shape[1]
        theta = self.config.get("rope_theta", 1e6) ** (-torch.arange(0, self.head_dim, 2, device=x.device) / self.head_dim)
        angle = (torch.arange(before + n, device=x.device)[:, None] * theta).repeat(1, 2)
        mask = torch.ones(n, before + n, dtype=torch.bool, device=x.device).tril(before)
        for i, layer in enumerate(self.model.layers):
            x, memory[i] = layer(x, memory[i], ratio, (angle.cos(), angle.sin()), mask)

    def remember(self, visual):
        """visual [B,n,width] -> [B,2 (keys, values),layers,rows,kv_width]"""
        memory, batch = [None] * len(self.model.layers), len(visual)
        text = lambda ids: self.model.embed_tokens(ids).expand(batch, -1, -1).to(visual.dtype)  # noqa: E731
        if len(self.prefix):
            self.step(memory, text(self.prefix), 0)
        for i in range(0, visual.shape[1], self.window):
            self.step(memory, visual[:, i:i + self.window], self.ratio)
        if len(self.suffix):
            self.step(memory, text(self.suffix), 0)
        return torch.stack([torch.stack([join_heads(memory[i][kind]) for i in self.memory_layers], 1)
                            for kind in (0, 1)], 1)


# ---- memory module ----
def mapping(c):
    parts, width = [], c["memory_dim"]
    for out in c["mapping_dims"]:
        parts += [nn.Linear(width, out), nn.LayerNorm(out), nn.LeakyReLU(0.01)]
        width = out
    return nn.Sequential(*parts, nn.Linear(width, c["dim"]))


class CrossAttention(nn.Module):
    def __init__(self, dim, heads, dim_head):
        super().__init__()
        inner, self.heads = heads * dim_head, heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)  # of the memory, of the control
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, inner, bias=False) for _ in range(3))
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, z, keys, values):
        q, k, v = self.to_q(self.norm2(z)), self.to_k(self.norm1(keys)), self.to_v(self.norm1(values))
        return self.to_out(join_heads(attend(*(split_heads(t, self.heads) for t in (q, k, v)))))


class Dglm(nn.Module):
    """control [B,n,dim], memory [B,2,depth,rows,memory_dim] -> what is added to the control."""

    def __init__(self, c):
        super().__init__()
        self.config, self.depth = c, c["depth"]
        for i in range(self.depth):
            setattr(self, f"key_mapping_{i}", mapping(c))
            setattr(self, f"value_mapping_{i}", mapping(c))
        dim, hidden = c["dim"], c["dim"] * c.get("ff_mult", 4)
        self.layers = nn.ModuleList([nn.ModuleList([
            CrossAttention(dim, c["heads"], c["dim_head"]),
            nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden, bias=False), nn.GELU(),
                          nn.Linear(hidden, dim, bias=False))]) for _ in range(self.depth)])
        self.proj_out = nn.Parameter(torch.zeros(dim, c.get("output_dim", dim)))

    def states(self, control, memory):
        z = control
        for i, (attention, feed_forward) in enumerate(self.layers):
            keys, values = (getattr(self, f"{kind}_mapping_{i}")(memory[:, n, i]) for n, kind in enumerate(("key", "value")))
            z = z + attention(z, keys, values)
            z = z + feed_forward(z)
        return z

    def forward(self, control, memory):
        return self.states(control, memory) @ self.proj_out
