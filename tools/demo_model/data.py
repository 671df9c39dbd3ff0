"""Training data made on the device: shots as region maps, coloured and lined when they are used."""
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "art"))
import clips  # noqa: E402

PALETTE = 128


def hsv_to_rgb(h, s, v):
    k = (torch.stack([h * 6 + 5, h * 6 + 3, h * 6 + 1], -1)) % 6
    return v[..., None] * (1 - s[..., None] * torch.minimum(k, 4 - k).clamp(0, 1))


def palettes(count, device):
    """[count, PALETTE, 3] in 0..1, by the rules of clips.random_palette."""
    rand = lambda *shape: torch.rand(*shape, device=device)  # noqa: E731
    one_hue, centre = rand(count, 1) >= .75, rand(count, 1)
    hue = torch.where(one_hue, (centre + torch.randn(count, PALETTE, device=device) * .12) % 1, rand(count, PALETTE))
    colour = hsv_to_rgb(hue, .15 + .85 * rand(count, PALETTE), .35 + .65 * rand(count, PALETTE))
    which = torch.randint(0, 3, (count, PALETTE), device=device)
    low, high = (torch.tensor(x, device=device)[which] for x in ([.85, .1, .4], [1., .3, .7]))
    grey = low + (high - low) * rand(count, PALETTE)
    return torch.where((rand(count, PALETTE) < .12)[..., None], grey[..., None], colour)


class Shots:
    """Region maps of all shots in device memory: regions uint8 [N,T,2H,2W], groups uint8 [N,256], background [N]."""

    def __init__(self, folder, device):
        files = sorted(Path(folder).glob("*.npz"))
        with ThreadPoolExecutor() as pool:
            loaded = list(pool.map(clips.load, files))
        self.regions = torch.stack([torch.from_numpy(r.copy()) for r, _, _ in loaded]).to(device)
        self.groups = torch.zeros(len(loaded), 256, dtype=torch.long, device=device)
        for i, (_, groups, _) in enumerate(loaded):
            self.groups[i, :len(groups)] = torch.from_numpy(groups.astype(np.int64))
        self.background = torch.tensor([b for _, _, b in loaded], device=device)
        self.frames, self.device = self.regions.shape[1], device

    def __len__(self):
        return len(self.regions)

    def pick(self, shots, frames):
        """shots [B], frames [B,K] -> regions [B,K,2H,2W]."""
        return self.regions[shots[:, None], frames]


def mirror(regions, which):
    """Mirrors the pictures where `which` (shape of the leading dimensions) is true."""
    return torch.where(which[..., None, None], regions.flip(-1), regions)


def shift(regions, which, dy_max, dx_max):
    """Shifts each picture [B,K,h,w] by a random offset where `which` is true; borders repeat."""
    b, k, h, w = regions.shape
    device = regions.device
    dy = torch.randint(-dy_max, dy_max + 1, (b, k, 1), device=device) * which[..., None]
    dx = torch.randint(-dx_max, dx_max + 1, (b, k, 1), device=device) * which[..., None]
    rows = (torch.arange(h, device=device) + dy).clamp(0, h - 1)
    columns = (torch.arange(w, device=device) + dx).clamp(0, w - 1)
    regions = regions.gather(2, rows[..., None].expand(b, k, h, w))
    return regions.gather(3, columns[..., None, :].expand(b, k, h, w))


def zoomed(regions, zoom):
    """Region maps resampled to the nearest; sizes stay multiples of 32, as twice a network's are."""
    if zoom == 1:
        return regions
    h, w = (round(n * zoom / 32) * 32 for n in regions.shape[-2:])
    rows = (torch.arange(h, device=regions.device) * regions.shape[-2]) // h
    columns = (torch.arange(w, device=regions.device) * regions.shape[-1]) // w
    return regions[..., rows, :][..., columns]


def borders(regions):
    edge = torch.zeros_like(regions, dtype=torch.bool)
    d = regions[..., :, 1:] != regions[..., :, :-1]
    edge[..., :, 1:] |= d
    edge[..., :, :-1] |= d
    d = regions[..., 1:, :] != regions[..., :-1, :]
    edge[..., 1:, :] |= d
    edge[..., :-1, :] |= d
    return edge


def pool(x):
    return F.avg_pool2d(x.flatten(0, -3)[:, None], 2)[:, 0].unflatten(0, x.shape[:-2])


def lines(regions, thin=None):
    """Line masks at half size [B,K,H,W]; thin [B] chooses between 1-2 and 2-3 pixels."""
    share = pool(borders(regions).float())
    if thin is None:
        return share >= .5
    return share >= torch.where(thin, .5, .25)[:, None, None, None]


def sketch(mask):
    """Line mask -> [B,3,K,H,W], +1 on lines."""
    return (mask.float() * 2 - 1)[:, None].expand(-1, 3, -1, -1, -1)


def paint(regions, groups, palette, ink=None):
    """Colours of regions [B,K,2H,2W] -> [B,3,K,H,W] in -1..1. ink: [B] darkness of lines drawn in, < 0 = none."""
    b = regions.shape[0]
    table = palette.gather(1, groups[..., None].expand(-1, -1, 3))  # [B,256,3]
    index = regions.long().flatten(1)
    edge = borders(regions) if ink is not None else None
    planes = []
    for channel in range(3):
        plane = table[..., channel].gather(1, index).view(regions.shape)
        if edge is not None:
            dark = ink[:, None, None, None]
            plane = torch.where(edge & (dark >= 0), dark, plane)
        planes.append(pool(plane))
    return torch.stack(planes, 1).view(b, 3, *planes[0].shape[1:]) * 2 - 1
