"""Trained weights: reading and writing of checkpoints, and the index of the weights that exist."""

from .checkpoints import load_checkpoint, read_checkpoint, write_checkpoint
from .zoo import ZooEntry, read_index, weights_file

__all__ = [
    'ZooEntry',
    'load_checkpoint',
    'read_checkpoint',
    'read_index',
    'weights_file',
    'write_checkpoint',
]
