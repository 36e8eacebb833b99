"""A training's checkpoint -> a file of weights, its entry in a zoo, a metafile and a table."""

from __future__ import annotations

import datetime
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmpose.apis import init_model
from torch import Tensor

from ..core.checkpoints import read_checkpoint, write_checkpoint
from ..core.models import MODELS, create_model
from ..core.zoo import INDEX, ZooEntry, file_sha256, read_index
from .zoo import metrics_of, read_metafile, write_metafile, write_text


@dataclass(frozen=True)
class Publication:
    """What is to be published, and what people are told about it.

    Args:
        name: of the model in the zoo; one of ``cpm_plugin.list_models()`` to be loaded by
            ``create_model``.
        config, checkpoint: of the training.
        results: the JSON file that ``tools/test.py`` wrote for this checkpoint.
        dataset: what the results are of.
        training_data: what it was trained on.
        training: seed, epochs, time, hardware, in a line.
        licence: who may use the weights, for what.
        url: where the file will be downloaded from, without its name; None: nowhere.
    """

    name: str
    config: Path
    checkpoint: Path
    results: Path
    dataset: str
    training_data: str
    training: str
    licence: str
    url: str | None = None


def publish(
    what: Publication,
    zoo: Path,
    *,
    metafile: Path | None = None,
    half: bool = True,
    averaged: bool = True,
) -> Path:
    """Write ``<config>-<first 8 digits of sha256>_<date>.pth`` into ``zoo``, and enter it in its
    index, the metafile and the table. Nothing that is there is overwritten.

    Args:
        metafile: by default ``cpm_<folder>.yml`` in the config's folder.
        half: convolutions' weights in float16; the rest, a hundredth of the file, in float32.
        averaged: after a training with ``EMAHook``, the averaged weights; else the last ones.

    Returns:
        The file of weights.

    Raises:
        ValueError: naming what is wrong with the arguments, before anything is written.
    """
    for path in (what.config, what.checkpoint, what.results):
        if not path.is_file():
            raise ValueError(f'{path}: no such file')
    metafile = metafile or what.config.parent / f'cpm_{what.config.parent.name}.yml'
    content = read_metafile(metafile)
    entries = read_index(zoo) if (zoo / INDEX).exists() else {}
    title = what.config.stem
    if what.name in entries:
        raise ValueError(
            f'{zoo / INDEX} has a {what.name!r}; take its entry and file away first, or give '
            'another name'
        )
    if any(model['Name'] == title for model in content['Models']):
        raise ValueError(f'{metafile} has a {title!r}; take its entry away first')
    results = _read_results(what.results)
    state = published_state(what.checkpoint, half=half, averaged=averaged)
    config = Config.fromfile(what.config)
    meta = {
        'dataset_meta': read_checkpoint(what.checkpoint)[1].get('dataset_meta', {}),
        'config': _from_root(what.config),
        'licence': what.licence,
    }

    zoo.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=zoo, prefix='.publishing') as folder:
        part = Path(folder) / 'weights.pth'
        write_checkpoint(part, state, meta)
        model = init_model(config, str(part), device='cpu')  # raises if they do not fit
        if what.name in MODELS:
            create_model(what.name, checkpoint=part)
        sha256 = file_sha256(part)
        date = datetime.date.today().strftime('%Y%m%d')
        target = zoo / f'{title}-{sha256[:8]}_{date}.pth'
        try:
            os.link(part, target)
        except FileExistsError as error:
            raise ValueError(f'{target} exists; take it away first') from error

    url = None if what.url is None else f'{what.url.rstrip("/")}/{target.name}'
    entries[what.name] = ZooEntry(
        file=target.name,
        sha256=sha256,
        config=_from_root(what.config),
        licence=what.licence,
        url=url,
    )
    content['Models'].append(
        {
            'Name': title,
            'Alias': what.name,
            'Config': _from_root(what.config),
            'In Collection': content['Collections'][0]['Name'],
            'Metadata': {
                'Architecture': [model.backbone.__class__.__name__, model.head.__class__.__name__],
                'Training Data': what.training_data,
                'Input Size': '{}x{}'.format(*model.head.decoder.input_size),
                'Parameters': sum(p.numel() for p in model.parameters()),
                'Training': what.training,
                'Licence': what.licence,
                'SHA256': sha256,
            },
            'Results': [
                {
                    'Task': 'Body 2D Keypoint',
                    'Dataset': what.dataset,
                    'Metrics': metrics_of(results),
                }
            ],
            'Weights': url or target.name,
        }
    )
    index = {key: asdict(entry) for key, entry in sorted(entries.items())}
    write_text(zoo / INDEX, json.dumps(index, indent=2) + '\n')
    write_metafile(metafile, content)
    return target


def published_state(path: Path, *, half: bool, averaged: bool) -> dict[str, Tensor]:
    """The weights of a checkpoint, read safely, without optimiser and the like.

    Raises:
        ValueError: naming the file, if it cannot be read, or there is no average in it to be
            left out.
    """
    state, _ = read_checkpoint(path)
    if not averaged:
        # MMEngine's EMAHook exchanges the two when it saves: state_dict has the average
        whole = torch.load(path, map_location='cpu', weights_only=True)
        if 'ema_state_dict' not in whole:
            raise ValueError(f'{path} is not of a training with EMAHook: it has no average')
        last = whole['ema_state_dict']
        state = {key: last[f'module.{key}'] for key in state if f'module.{key}' in last}
    return {
        key: value.half() if half and value.is_floating_point() and value.ndim > 1 else value
        for key, value in state.items()
    }


def _read_results(path: Path) -> Mapping[str, float]:
    try:
        results: Any = json.loads(path.read_text())
        if not metrics_of(results):
            raise ValueError('no metric in it')
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} has no results of a test: {error}; give the JSON file that tools/test.py '
            'writes into its work directory'
        ) from error
    return results


def _from_root(config: Path) -> str:
    """A config's path from the folder that ``configs`` is in, if it is in one."""
    parts = config.resolve().parts
    if 'configs' not in parts:
        return str(config.resolve())
    return '/'.join(parts[len(parts) - 1 - parts[::-1].index('configs') :])
