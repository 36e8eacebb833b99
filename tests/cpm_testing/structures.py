"""Graphs of few nodes on few cells, and their best positions by trying all."""

import itertools

import numpy as np

from cpm_plugin.core.structure import Springs


def springs(pairs, seed=0):
    generator = np.random.default_rng(seed)
    pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    means = generator.normal(size=(len(pairs), 2))
    return Springs(pairs, means, generator.uniform(0.1, 1.5, size=(len(pairs), 2)))


def marginals_of_all(unaries, springs, repulsions=None):
    """Max-marginals (V, h, w) by the score of every pose."""
    nodes, height, width = unaries.shape
    cells = np.array([(x, y) for y in range(height) for x in range(width)])
    poses = np.array(list(itertools.product(range(len(cells)), repeat=nodes)))
    scores = unaries.reshape(nodes, -1)[np.arange(nodes), poses].sum(axis=1)
    for (first, second), mean, cost in zip(*springs):
        offset = cells[poses[:, second]] - cells[poses[:, first]] - mean
        scores = scores - (offset**2 * cost).sum(axis=1)
    if repulsions is not None:
        for (first, second), distance, penalty in zip(*repulsions):
            offset = cells[poses[:, second]] - cells[poses[:, first]]
            scores = scores - penalty * (np.linalg.norm(offset, axis=1) < distance)
    found = np.array(
        [
            [scores[poses[:, node] == cell].max() for cell in range(len(cells))]
            for node in range(nodes)
        ]
    )
    return found.reshape(unaries.shape), cells[poses[scores.argmax()]]
