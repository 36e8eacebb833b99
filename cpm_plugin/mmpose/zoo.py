"""Published models for MMPose: their configs and weights by name, metafiles and tables.

A metafile is MMPose's: ``cpm_<dataset>.yml`` in the config's folder, imported by
``model-index.yml``. The table in ``cpm_<dataset>.md`` beside it is made of the same entries.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..core.zoo import read_index, weights_file

# Where configs are: in the package in a wheel (as mim wants them), beside it in a clone.
_PACKAGE = Path(__file__).parents[1]
_ROOTS = (_PACKAGE / '.mim', _PACKAGE.parent)

COLLECTION = {
    'Name': 'Convolutional Pose Machines (cpm_plugin)',
    'Paper': {'Title': 'Convolutional Pose Machines', 'URL': 'https://arxiv.org/abs/1602.00134'},
    'README': 'README.md',
}
# The table is put between these lines of its Markdown file.
TABLE_BEGIN = '<!-- begin: made of the metafile by tools/publish_model.py -->'
TABLE_END = '<!-- end -->'


def config_file(name: str) -> Path:
    """A config by its path from the project's root, ``configs/...``, wherever it is installed.

    Raises:
        ValueError: naming the places looked at.
    """
    places = [root / name for root in _ROOTS]
    for place in places:
        if place.is_file():
            return place
    raise ValueError(f'no config {name}; looked at {", ".join(map(str, places))}')


def pose2d(name: str, zoo: str | Path | None = None) -> dict[str, str]:
    """A published model as arguments of stock ``MMPoseInferencer``.

    For example, without a detector, for pictures of one person::

        MMPoseInferencer(**pose2d('cpm_lite0_3s'), det_model='whole_image', device='cpu')

    Args:
        name: one of ``cpm_plugin.list_models(pretrained=True)``.
        zoo: the folder of another zoo than the package's (:mod:`cpm_plugin.core.zoo`).

    Returns:
        ``pose2d``, the config's path, and ``pose2d_weights``, the verified file of weights.

    Raises:
        ValueError: for a name without weights, or if they or the config cannot be had.
    """
    weights = weights_file(name, zoo)
    return dict(
        pose2d=str(config_file(read_index(zoo)[name].config)),
        pose2d_weights=str(weights),
    )


def metrics_of(results: Mapping[str, float]) -> dict[str, float]:
    """Metrics as ``tools/test.py`` writes them -> as a metafile has them, two digits.

    Times and counts are left out. ``torso/PCK`` is PCK@0.2, the default of its metric.
    """
    metrics = {}
    for key, value in results.items():
        name = key.rpartition('/')[2]
        if name in ('time', 'data_time') or name.startswith('num_'):
            continue
        name = 'PCK@0.2' if name == 'PCK' else name.removeprefix('PCK_')
        metrics[name] = round(float(value), 2)
    return metrics


def read_metafile(path: Path) -> dict[str, Any]:
    """A metafile, or an empty one of the collection if there is no such file.

    Raises:
        ValueError: naming the file, if it is no metafile.
    """
    if not path.exists():
        return {'Collections': [COLLECTION], 'Models': []}
    try:
        found = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f'{path} is no YAML: {error}') from error
    if not isinstance(found, dict) or not isinstance(found.get('Models'), list):
        raise ValueError(f'{path} is no metafile: it has no list of Models')
    return found


def render_table(models: Iterable[Mapping[str, Any]]) -> str:
    """The models of a metafile as a Markdown table, a row each.

    Columns of metrics are those of the first model; figures as in the metafile.
    """
    models = list(models)
    metrics = list(models[0]['Results'][0]['Metrics']) if models else []
    rows: list[Sequence[str]] = [
        ['Config', 'Name', 'Input', 'Parameters', *metrics, 'Weights', 'Trained', 'Licence']
    ]
    for model in models:
        about, result = model['Metadata'], model['Results'][0]
        rows.append(
            [
                f'[{model["Name"]}]({Path(model["Config"]).name})',
                f'`{model["Alias"]}`',
                about['Input Size'],
                f'{about["Parameters"] / 1e6:.2f} M',
                *(f'{result["Metrics"][name]:.2f}' for name in metrics),
                f'{model["Weights"]}, sha256 {about["SHA256"][:8]}',
                f'{about["Training"]}; tested on {result["Dataset"]}',
                about['Licence'],
            ]
        )
    lines = ['| ' + ' | '.join(row) + ' |' for row in rows]
    return '\n'.join([lines[0], '|' + ' --- |' * len(rows[0]), *lines[1:]])


def replace_table(text: str, table: str) -> str:
    """A Markdown file's text with another table between :data:`TABLE_BEGIN` and TABLE_END.

    They are added at the end of a text that has neither.
    """
    if TABLE_BEGIN not in text:
        text = f'{text}\n{TABLE_BEGIN}\n{TABLE_END}\n'
    before, rest = text.split(TABLE_BEGIN, 1)
    _, end, after = rest.partition(TABLE_END)
    return f'{before}{TABLE_BEGIN}\n{table}\n{TABLE_END if end else ""}{after}'


def write_text(path: Path, text: str) -> None:
    """Write a file, all of it or nothing; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        part.write_text(text)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_metafile(path: Path, content: Mapping[str, Any]) -> None:
    """Write a metafile and the table beside it; adds the metafile to the model index, if the
    project has one."""
    write_text(path, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=100))
    table_path = path.with_suffix('.md')
    text = table_path.read_text() if table_path.exists() else f'# {path.stem}\n'
    write_text(table_path, replace_table(text, render_table(content['Models'])))
    for root in path.resolve().parents:
        index = root / 'model-index.yml'
        if index.is_file():
            relative = path.resolve().relative_to(root).as_posix()
            imports = yaml.safe_load(index.read_text())['Import']
            if relative not in imports:
                write_text(index, yaml.safe_dump({'Import': sorted([*imports, relative])}))
            return
