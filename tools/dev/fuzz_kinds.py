"""What is fuzzed: kinds of files, their originals, and how the package reads them."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import fuzz_annotations as annotations
import fuzz_mutations as mutations
import numpy as np
import torch
from random_caffe import write_caffemodel

from cpm_plugin.core.conversion import read_caffemodel
from cpm_plugin.core.models import create_model
from cpm_plugin.core.prediction import read_image
from cpm_plugin.core.weights import read_checkpoint, read_index, write_checkpoint
from cpm_plugin.mmpose.lsp import image_middle

from mmpose.registry import TRANSFORMS


@dataclass(frozen=True)
class Kind:
    """A kind of files.

    Attributes:
        name: For the table and for ``--kind``.
        write: Writes the originals, always the same, into a folder, and returns their paths.
        read: Reads a file as the package does. It gets the file and the folder of the originals.
            It may assert what must hold for every value that it returns.
        operations: What is done to the originals.
        may_differ: Tells, from the original and the names of the operations, whether a file may be
            read with another value. Where checksums tell, it may not.
    """

    name: str
    write: Callable[[Path], list[Path]]
    read: Callable[[Path, Path], Any]
    operations: Sequence[mutations.Operation]
    may_differ: Callable[[Path, Sequence[str]], bool] = lambda original, operations: True


def has_no_checksums(original: Path, operations: Sequence[str]) -> bool:
    """Return whether a spoilt checkpoint has right checksums, or none as before PyTorch 1.6."""
    return original.name == 'old.pth' or 'edit_archive' in operations


def write_images(folder: Path) -> list[Path]:
    """Write an image in each format."""
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (48, 36))
    paths = []
    for name in ('a.jpg', 'a.png', 'a.webp', 'a.tif', 'a.bmp'):
        paths.append(folder / name)
        cv2.imwrite(str(paths[-1]), image)
    paths.append(folder / 'gray16.png')
    cv2.imwrite(str(paths[-1]), image[..., 0].astype(np.uint16) * 257)
    return paths


def _image(image: np.ndarray) -> np.ndarray:
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, 'no BGR image'
    assert image.size, 'no pixel'
    return image


def read_by_pipeline(path: Path, folder: Path) -> Any:
    """Read an image as pipelines do, by ``LoadImage``."""
    loaded = TRANSFORMS.build(dict(type='LoadImage'))(dict(img_path=str(path)))
    assert loaded['img_shape'] == loaded['img'].shape[:2], 'another shape'
    return _image(loaded['img'])


SMALL = dict(num_stages=2, channels=2, first_stage_channels=2)


def write_checkpoints(folder: Path) -> list[Path]:
    """Write a checkpoint, a bare state dict, and a file as of before PyTorch 1.6."""
    state = {
        'weight': torch.arange(60.0).reshape(3, 20),
        'half': torch.ones(5, dtype=torch.bfloat16),
        'count': torch.tensor(3),
    }
    write_checkpoint(folder / 'whole.pth', state, {'epoch': 3, 'joints': np.arange(4)})
    torch.save(state, folder / 'bare.pth')
    old = io.BytesIO()
    torch.save({'weight': state['weight']}, old, _use_new_zipfile_serialization=False)
    address = str(state['weight'].untyped_storage()._cdata)  # as which the file keeps the storage
    content = old.getvalue().replace(_unicode(address), _unicode('0' * 14))
    (folder / 'old.pth').write_bytes(content)
    return [folder / f'{name}.pth' for name in ('whole', 'bare', 'old')]


def _unicode(text: str) -> bytes:
    """Return a text as pickle keeps it."""
    return b'X' + struct.pack('<I', len(text)) + text.encode()


def read_weights(path: Path, folder: Path) -> Any:
    """Read a checkpoint; its meta information may have any values."""
    state, meta = read_checkpoint(path)
    return state, repr(meta)


def write_model(folder: Path) -> list[Path]:
    """Write a checkpoint of a small network."""
    torch.manual_seed(0)
    path = folder / 'model.pth'
    write_checkpoint(path, create_model('cpm_slim_3s', **SMALL).state_dict(), {})
    return [path]


def read_model(path: Path, folder: Path) -> Any:
    """Build a network with the weights in a file."""
    return dict(create_model('cpm_slim_3s', checkpoint=path, **SMALL).state_dict())


def write_index(folder: Path) -> list[Path]:
    """Write the index of a zoo."""
    entry = dict(
        file='cpm.pth', sha256='0a' * 32, url=None, config='configs/a.py', license='academic use'
    )
    other = {**entry, 'url': 'https://example.org/cpm.pth'}
    path = folder / 'index.json'
    path.write_text(json.dumps({'cpm_slim_3s': entry, 'cpm_lite0_3s': other}, indent=2))
    return [path]


def read_zoo(path: Path, folder: Path) -> Any:
    """Read the index of a zoo."""
    entries = {name: dataclasses.asdict(entry) for name, entry in read_index(path.parent).items()}
    for name, entry in entries.items():
        url = entry.pop('url')
        texts = (name, *entry.values(), *([] if url is None else [url]))
        assert all(isinstance(text, str) for text in texts), 'a value is no text'
        entry['url'] = url
    return entries


def write_caffemodels(folder: Path) -> list[Path]:
    """Write weights as Caffe does today, and as it did before 2015."""
    layers = {
        'conv1': [np.arange(24.0).reshape(2, 3, 2, 2), np.array([0.5, -0.5])],
        'conv2': [np.ones((3, 2, 1, 1)), np.zeros(3)],
    }
    paths = [folder / 'new.caffemodel', folder / 'old.caffemodel']
    for path, legacy in zip(paths, (False, True)):
        write_caffemodel(path, layers, legacy=legacy)
    return paths


def read_caffe(path: Path, folder: Path) -> Any:
    """Read the weights in a ``.caffemodel``."""
    return read_caffemodel(path)


def write_prototxt(folder: Path) -> list[Path]:
    """Write a deploy file, which has no weights and is refused in any state."""
    size = 'convolution_param { num_output: 128 kernel_size: 9 pad: 4 }'
    path = folder / 'deploy.prototxt'
    path.write_text(
        'input: "data"\ninput_dim: 1\ninput_dim: 4\ninput_dim: 368\ninput_dim: 368\n'
        f'layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1" {size} }}\n'
        'layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }\n'
    )
    return [path]


_BYTES, _TEXT, _ARCHIVE = mutations.BYTES, mutations.TEXT, mutations.ARCHIVE
KINDS = (
    Kind('coco', annotations.write_coco, annotations.read_coco, _TEXT),
    Kind('figures', annotations.write_figures, annotations.read_figures, _TEXT),
    Kind('joints.mat', annotations.write_joints, annotations.read_joints, _BYTES),
    Kind('flic', annotations.write_flic, annotations.read_flic, _BYTES),
    Kind('image', write_images, lambda path, _: _image(read_image(path)), mutations.IMAGE),
    Kind('image in pipeline', write_images, read_by_pipeline, mutations.IMAGE),
    Kind('image header', write_images, lambda path, _: image_middle(path), mutations.IMAGE),
    Kind('checkpoint', write_checkpoints, read_weights, _ARCHIVE, has_no_checksums),
    Kind('model', write_model, read_model, _ARCHIVE, has_no_checksums),
    Kind('zoo index', write_index, read_zoo, _TEXT),
    Kind('caffemodel', write_caffemodels, read_caffe, _BYTES),
    Kind('prototxt', write_prototxt, read_caffe, (*_TEXT, *_BYTES)),
)


def same(one: Any, other: Any) -> bool:
    """Return whether two nested values are equal, in type, shape and every number."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def is_finite(value: Any) -> bool:
    """Return whether no number in a nested value is NaN or infinite."""
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value).all())
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind not in 'fc' or bool(np.isfinite(value).all())
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return True
