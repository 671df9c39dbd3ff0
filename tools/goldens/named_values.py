"""The numbers that golden files are made of: a weight is generated from its name and shape, an input from its label.

    unit(s)[i] = splitmix64(fnv1a64(s) + (i+1)*0x9E3779B97F4A7C15), its upper 24 bits as a number in [-1, 1)

The same in C++: model_shim/parity/golden.cc. A salt in front of the names gives another network of the same shapes."""
import numpy as np

MASK = (1 << 64) - 1


def unit(name, count):
    h = 14695981039346656037
    for byte in name.encode():
        h = ((h ^ byte) * 1099511628211) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return 2 * ((z >> np.uint64(40)).astype(np.float64) * 2.0**-24) - 1


def weight(name, shape, salt=""):
    """float32: matrices of variance 1 / inputs, vectors near 1 (.weight) or near 0."""
    u = unit(salt + name, int(np.prod(shape)))
    if "pos_embedding" in name:
        u = u * 0.02 * 3**0.5
    elif len(shape) >= 2:
        u = u * (3 / np.prod(shape[1:])) ** 0.5
    else:
        u = 0.1 * u + (1 if name.endswith(".weight") else 0)
    return u.astype(np.float32).reshape(shape)


def given(label, shape, scale=1.0, salt=""):
    """float32, variance scale^2."""
    u = unit(salt + "input:" + label, int(np.prod(shape))) * 3**0.5 * scale
    return u.astype(np.float32).reshape(shape)
