"""Edges and colors of a picture in numbers: what a network is not needed for."""

from __future__ import annotations

import numpy as np

SIDE, CELL, DIRECTIONS, SHADES = 64, 8, 9, 8


def edge_histograms(pixels: np.ndarray) -> np.ndarray:
    """Directions of edges in cells of a picture, and how often each shade occurs.

    Histograms of oriented gradients (Dalal & Triggs 2005): in every cell of 8 x 8 pixels the strengths of edges in nine
    directions, scaled to length 1 over the cells around it. Behind them, shares of eight shades in each channel.

    Args:
        pixels: uint8 `(pictures, channels, 64, 64)`.

    Returns:
        float32 `(pictures, 8 x 8 x 9 + channels x 8)`.
    """
    gray = pixels.astype(np.float32).mean(1) / 255
    down, right = np.gradient(gray, axis=(1, 2))
    strength = np.hypot(down, right)
    turn = np.mod(np.arctan2(down, right), np.pi) / np.pi * DIRECTIONS
    first = np.floor(turn).astype(int)
    share = turn - first
    count, cells = len(pixels), SIDE // CELL
    found = np.zeros((count, cells, cells, DIRECTIONS), np.float32)
    for direction in range(DIRECTIONS):
        # An edge between two directions counts for both, by how near it is to each.
        weight = np.where(first % DIRECTIONS == direction, 1 - share, 0)
        weight += np.where((first + 1) % DIRECTIONS == direction, share, 0)
        blocks = (strength * weight).reshape(count, cells, CELL, cells, CELL)
        found[..., direction] = blocks.sum((2, 4))
    around = np.pad(np.square(found).sum(-1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    near = sum(around[:, y : y + cells, x : x + cells] for y in range(3) for x in range(3))
    found /= np.sqrt(near + 1e-3)[..., None]
    shades = np.clip(pixels.astype(np.int64) * SHADES // 256, 0, SHADES - 1)
    often = np.stack([(shades == shade).mean((2, 3)) for shade in range(SHADES)], -1)
    return np.concatenate([found.reshape(count, -1), np.sqrt(often).reshape(count, -1)], 1).astype(np.float32)
