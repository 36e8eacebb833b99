"""Metafiles of published models, and the tables made from them.

A metafile has the format of MMPose. It is ``cpm_<dataset>.yml`` in the folder of the config, and
``model-index.yml`` imports it. The table in ``cpm_<dataset>.md`` next to it is made from the same
entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from .tables import table_row

COLLECTION = {
    'Name': 'Convolutional Pose Machines (cpm_plugin)',
    'Paper': {'Title': 'Convolutional Pose Machines', 'URL': 'https://arxiv.org/abs/1602.00134'},
    'README': 'README.md',
}
# The table stands between these lines of its Markdown file.
TABLE_BEGIN = '<!-- begin: made of the metafile by tools/publish_model.py -->'
TABLE_END = '<!-- end -->'


def read_metafile(path: Path) -> dict[str, Any]:
    """Read a metafile, or make an empty one if there is no such file.

    Args:
        path: Path of the metafile, with the suffix ``.yml`` or ``.yaml``.

    Returns:
        Content, with ``Collections`` and ``Models``.

    Raises:
        ValueError: If the file is not a metafile, or a model lacks what its row of the table
            needs. The message names the file.
    """
    if path.suffix not in ('.yml', '.yaml'):
        raise ValueError(f'{path} is no metafile by its name; give a name that ends in .yml')
    if not path.exists():
        return {'Collections': [COLLECTION], 'Models': []}
    found = _read_yaml(path)
    for key in ('Collections', 'Models'):
        if not isinstance(found, dict) or not isinstance(found.get(key), list):
            raise ValueError(f'{path} is no metafile: it has no list of {key}')
    if not found['Collections']:
        raise ValueError(f'{path} has no collection that a model could belong to')
    try:
        render_table(found['Models'])
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: a model lacks what its row of the table needs ({error!r}); complete it, or '
            'give another --metafile'
        ) from error
    return found


def _read_yaml(path: Path) -> Any:
    """Read a YAML file; raise ValueError if it is not one."""
    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f'{path} is not YAML: {error}') from error


def add_model(path: Path, content: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[Path, str]:
    """Add a model to a metafile, to the table next to it, and the metafile to the model index.

    The index is the nearest ``model-index.yml`` above the metafile, if there is one and it does
    not import the metafile yet.

    Args:
        path: Path of the metafile.
        content: Content of the metafile; see ``read_metafile``.
        entry: Entry of the model.

    Returns:
        Files to write, and their new texts.

    Raises:
        ValueError: If a file cannot be understood. The message names it.
    """
    models = [*content['Models'], entry]
    new = {**content, 'Models': models}
    texts = {path: yaml.safe_dump(new, sort_keys=False, allow_unicode=True, width=100)}
    table_path = path.with_suffix('.md')
    text = table_path.read_text() if table_path.exists() else f'# {path.stem}\n'
    try:
        texts[table_path] = replace_table(text, render_table(models))
    except ValueError as error:
        raise ValueError(f'{table_path}: {error}') from error
    if index := model_index(path):
        relative = path.resolve().relative_to(index.parent).as_posix()
        found = _read_yaml(index)
        if not isinstance(found, dict) or not isinstance(found.get('Import'), list):
            raise ValueError(f'{index} is no model index: it has no list to Import')
        if relative not in found['Import']:
            imports = {'Import': sorted([*found['Import'], relative])}
            texts[index] = yaml.safe_dump({**found, **imports}, sort_keys=False)
    return texts


def default_metafile(config: Path) -> Path:
    """Return the path of the metafile of a config, if no other is given.

    Args:
        config: Path of the config.

    Returns:
        ``cpm_<folder>.yml`` in the folder of the config.
    """
    folder = config.resolve().parent
    return folder / f'cpm_{folder.name}.yml'


def model_index(path: Path) -> Path | None:
    """Find the model index of a metafile: the nearest ``model-index.yml`` above it.

    Args:
        path: Path of the metafile.

    Returns:
        Path of the index, or None if there is none.
    """
    places = (folder / 'model-index.yml' for folder in path.resolve().parents)
    return next((place for place in places if place.is_file()), None)


def render_table(models: Iterable[Mapping[str, Any]]) -> str:
    """Make a Markdown table of the models of a metafile, with one row for each.

    Args:
        models: Entries of the models.

    Returns:
        The table; numbers are written as in the metafile. Below it, an item for each model says
            how it was trained and tested, the license, and the file.
    """
    models = list(models)
    metrics = list(dict.fromkeys(name for model in models for name in _metrics(model)))
    rows = [['Name', 'Input', 'Parameters', *metrics]]
    items = []
    for model in models:
        about = model['Metadata']
        rows.append(
            [
                f'[`{model["Alias"]}`]({Path(model["Config"]).name})',
                about['Input Size'],
                f'{about["Parameters"] / 1e6:.2f} M',
                *(str(_metrics(model).get(name, '')) for name in metrics),
            ]
        )
        items.append(
            f'- `{model["Alias"]}`, trained on {about["Training Data"]}: {about["Training"]}. '
            f'Tested on {model["Results"][0]["Dataset"]}. License: {about["License"]}. '
            f'File: `{model["Weights"]}`, sha256 {about["SHA256"][:8]}.'
        )
    lines = [table_row(row) for row in rows]
    table = [lines[0], '|' + ' --- |' * len(rows[0]), *lines[1:]]
    return '\n'.join([*table, '', *(' '.join(item.split()) for item in items)])


def _metrics(model: Mapping[str, Any]) -> Mapping[str, float]:
    return model['Results'][0]['Metrics']


def replace_table(text: str, table: str) -> str:
    """Replace the table in the text of a Markdown file.

    It stands between ``TABLE_BEGIN`` and ``TABLE_END``. If the text has neither, they are added at
    its end.

    Args:
        text: Text of the file.
        table: New table.

    Returns:
        New text.

    Raises:
        ValueError: If one of the two lines is missing, or they are in the wrong order.
    """
    if TABLE_BEGIN not in text and TABLE_END not in text:
        text = f'{text}\n{TABLE_BEGIN}\n{TABLE_END}\n'
    before, begin, rest = text.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not begin or not end:
        raise ValueError(
            f'the table stands between {TABLE_BEGIN!r} and {TABLE_END!r}; one is missing'
        )
    return f'{before}{TABLE_BEGIN}\n{table}\n{TABLE_END}{after}'
