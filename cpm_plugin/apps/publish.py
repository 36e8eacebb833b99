"""Publication of a trained model: its weights, and its entries in a zoo, a metafile and a table."""

from __future__ import annotations

import datetime
import json
import math
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.models.registry import MODELS, create_model
from ..core.weights.checkpoints import describe_mismatch, read_checkpoint, write_checkpoint
from ..core.weights.files import locked, write_whole
from ..core.weights.zoo import INDEX, ZooEntry, file_sha256, read_index
from .configs import build_model, keypoints_apart, read_config
from .errors import one_line
from .metafile import add_model, default_metafile, model_index, read_metafile
from .outputs import write_text
from .results import metrics_of
from .zoo import in_project


@dataclass(frozen=True)
class Publication:
    """What is to be published, and what users are told about it.

    Args:
        name: Name of the model in the zoo. ``create_model`` can load it if it is one of
            ``cpm_plugin.list_models()``.
        config: Path of the config of the training.
        checkpoint: Path of the checkpoint of the training.
        results: Path of the JSON file that ``tools/test.py`` wrote for this checkpoint.
        dataset: Dataset of the results.
        training_data: Dataset of the training.
        training: Seed, epochs, time and hardware, in one line.
        license: Who may use the weights, and for what.
        url: Address of the folder that the file will be downloaded from. None: no download.
    """

    name: str
    config: Path
    checkpoint: Path
    results: Path
    dataset: str
    training_data: str
    training: str
    license: str
    url: str | None = None


def publish(
    what: Publication,
    zoo: Path,
    *,
    metafile: Path | None = None,
    half: bool = True,
    averaged: bool = True,
) -> Path:
    """Write the weights into a zoo, and enter them in its index, the metafile and the table.

    The metafile is entered in the nearest ``model-index.yml`` above it, if there is one.

    The file is ``<config>-<first 8 digits of sha256>_<date>.pth``. No existing file is
    overwritten. A config that is not of this project is copied into the zoo, merged with its
    bases.

    Args:
        what: What is to be published.
        zoo: Folder of the zoo.
        metafile: Path of the metafile. By default ``cpm_<folder>.yml`` in the folder of the config.
        half: Write the weights of convolutions in float16. The rest, a hundredth of the file,
            stays in float32.
        averaged: After a training with ``EMAHook``, take the averaged weights. False: the last
            ones.

    Returns:
        Path of the file of weights.

    Raises:
        ValueError: If something is wrong with the arguments or the files. The message names it,
            and nothing has been written.
    """
    for path in (what.config, what.checkpoint, what.results):
        if not path.is_file():
            raise ValueError(f'{path}: no such file')
    metafile = metafile or default_metafile(what.config)
    changed = {zoo.resolve(), metafile.resolve(), model_index(metafile) or metafile.resolve()}
    # Two publications at a time would each write these files without the model of the other.
    with ExitStack() as stack:
        for path in sorted(changed):  # the same order for all, so that none waits in a circle
            stack.enter_context(locked(path))
        return _publish(what, zoo, metafile, half=half, averaged=averaged)


def _publish(what: Publication, zoo: Path, metafile: Path, *, half: bool, averaged: bool) -> Path:
    """Publish under the locks of the files to change; see ``publish``."""
    content = read_metafile(metafile)
    index = read_index(zoo) if (zoo / INDEX).exists() else {}
    title = what.config.stem
    if what.name in index:
        raise ValueError(
            f'{zoo / INDEX} has a {what.name!r}; remove its entry and file first, or give another '
            'name'
        )
    config = read_config(what.config, needs=('model',))
    joined = config.pretty_text  # before build_model, which removes parts of the config
    metrics = _read_results(what.results)
    state = published_state(what.checkpoint, half=half, averaged=averaged)
    config_name = in_project(what.config) or f'{title}.py'

    with tempfile.TemporaryDirectory() as scratch:
        part = Path(scratch) / 'weights.pth'
        facts = {'config': config_name, 'license': what.license}
        write_checkpoint(part, state, facts | keypoints_apart(config, what.checkpoint))
        model = build_model(config, part, device='cpu')  # raises if they do not fit
        if problem := describe_mismatch(model.state_dict(), state):  # MMEngine only warns
            raise ValueError(f'{what.checkpoint} does not fit {what.config}: {problem}')
        decoder = getattr(model.head, 'decoder', None)
        if decoder is None:
            raise ValueError(
                f'{what.config}: its head has no decoder, so it gives no positions; add one'
            )
        if what.name in MODELS:
            _agree(what.name, part, model, decoder.input_size)
        sha256 = file_sha256(part)
        weights = part.read_bytes()

    orphan = _orphan(zoo, f'{title}-{sha256[:8]}_*.pth', sha256, index)
    models = content['Models']
    if orphan is not None:  # what the stopped publication of the same weights has entered
        same = (title, what.name, sha256)
        models = [m for m in models if (m['Name'], m['Alias'], m['Metadata']['SHA256']) != same]
    if any(model['Name'] == title for model in models):
        raise ValueError(
            f'{metafile} has a {title!r}: a config has one entry. Publish with a copy of the '
            'config by another name, or with another metafile; or remove the entry first'
        )
    date = datetime.date.today().strftime('%Y%m%d')
    target = orphan or zoo / f'{title}-{sha256[:8]}_{date}.pth'
    if any(entry.file == target.name for entry in index.values()):
        raise ValueError(f'{target} exists; take it away first')
    index[what.name] = ZooEntry(
        file=target.name,
        sha256=sha256,
        config=config_name,
        license=what.license,
        url=None if what.url is None else f'{what.url.rstrip("/")}/{target.name}',
    )
    entry = {
        'Name': title,
        'Alias': what.name,
        'Config': config_name,
        'In Collection': content['Collections'][0]['Name'],
        'Metadata': {
            'Architecture': [type(model.backbone).__name__, type(model.head).__name__],
            'Training Data': what.training_data,
            'Input Size': '{}x{}'.format(*decoder.input_size),
            'Parameters': sum(p.numel() for p in model.parameters()),
            'Training': what.training,
            'License': what.license,
            'SHA256': sha256,
        },
        'Results': [{'Task': 'Body 2D Keypoint', 'Dataset': what.dataset, 'Metrics': metrics}],
        'Weights': index[what.name].url or target.name,
    }
    texts = {}
    if not in_project(what.config):
        own = zoo / config_name
        if own.exists() and (orphan is None or own.read_text() != joined):
            raise ValueError(
                f'{own} exists: it is of another model; publish with a copy of {what.config} that '
                'has another name'
            )
        texts[own] = joined
    texts |= add_model(metafile, {**content, 'Models': models}, entry)
    lines = {name: asdict(entry) for name, entry in sorted(index.items())}
    texts[zoo / INDEX] = json.dumps(lines, indent=2) + '\n'  # the last: with it, it is published
    _write_all(target, weights, texts)
    return target


def _write_all(target: Path, content: bytes, texts: Mapping[Path, str]) -> None:
    """Write a new file and new texts of other files, all of them or none; raise ValueError."""
    before = {path: path.read_text() if path.exists() else None for path in texts}
    written: list[Path] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_new(target, content)
        written.append(target)
        for path, text in texts.items():
            write_text(path, text)
            written.append(path)
    except (OSError, ValueError) as error:
        for path in written:
            old = before.get(path)
            if old is None:
                path.unlink()
            else:
                write_text(path, old)
        raise ValueError(
            f'nothing is published, for a file cannot be written: {one_line(error)}'
        ) from error


def _orphan(zoo: Path, pattern: str, sha256: str, index: Mapping[str, ZooEntry]) -> Path | None:
    """Find the weights that a publication has left that was killed before it wrote the index."""
    named = {entry.file for entry in index.values()}
    found = (path for path in sorted(zoo.glob(pattern)) if path.name not in named)
    return next((path for path in found if file_sha256(path) == sha256), None)


def _write_new(target: Path, content: bytes) -> None:
    """Write a file completely or not at all; raise ValueError if another one has its name."""
    for part in target.parent.glob('.*.part'):  # of killed publications: this one has the lock
        part.unlink()
    if target.exists() and target.read_bytes() != content:
        raise ValueError(f'{target} exists; take it away first')
    write_whole(target, content)


@torch.no_grad()
def _agree(name: str, weights: Path, model: Any, input_size: tuple[int, int]) -> None:
    """Raise ValueError unless ``create_model`` makes the same function from the weights."""
    width, height = input_size
    image = torch.rand(1, 3, height, width) - 0.5
    expected = _maps(model.head(model.backbone(image)))
    found = _maps(create_model(name, checkpoint=weights).eval()(image))
    largest = max(float(beliefs.abs().max()) for beliefs in expected)
    if len(found) != len(expected) or not all(
        float((one - other).abs().max()) <= 1e-4 * largest for one, other in zip(found, expected)
    ):
        raise ValueError(
            f"create_model({name!r}) gives other maps with these weights than the config's "
            'model; give a name that is not in cpm_plugin.list_models()'
        )


def _maps(stages: Iterable[Any]) -> list[Tensor]:
    """Return the maps of all stages, of one person or of several (``PartMaps``)."""
    return [
        maps
        for stage in stages
        for maps in ([stage] if isinstance(stage, Tensor) else stage)
        if maps is not None
    ]


def published_state(path: Path, *, half: bool, averaged: bool) -> dict[str, Tensor]:
    """Read the weights of a checkpoint safely, without the optimizer and other content.

    Args:
        path: Path of the checkpoint.
        half: Convert weights of convolutions to float16.
        averaged: See ``publish``.

    Returns:
        State dict.

    Raises:
        ValueError: If the file cannot be read, it has no average to leave out, or a weight is not
            finite, also after rounding. The message names the file.
    """
    state, _ = read_checkpoint(path)
    if not averaged:
        # MMEngine's EMAHook exchanges the two when it saves, so state_dict has the average.
        whole = torch.load(path, map_location='cpu', weights_only=True)
        if 'ema_state_dict' not in whole:
            raise ValueError(f'{path} is not of a training with EMAHook: it has no average')
        last = whole['ema_state_dict']
        state = {key: last[f'module.{key}'] for key in state if f'module.{key}' in last}
    state = {
        key: value.half() if half and value.is_floating_point() and value.ndim > 1 else value
        for key, value in state.items()
    }
    broken = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise ValueError(
            f'{path}: {broken[0]} is not finite{" as float16" if half else ""}: the training has '
            f'diverged{", or --float32 is needed" if half else ""}'
        )
    return state


def _read_results(path: Path) -> Mapping[str, float]:
    """Read the metrics that ``tools/test.py`` wrote; raise ValueError if there are none."""
    try:
        metrics = metrics_of(json.loads(path.read_text()))
        if not metrics:
            raise ValueError('no metric in it')
        if broken := [name for name, value in metrics.items() if not math.isfinite(value)]:
            raise ValueError(f'{broken[0]} is not finite')
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} has no results of a test: {error}; give the JSON file that tools/test.py '
            'writes into its work directory'
        ) from error
    return metrics
