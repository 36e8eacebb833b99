"""Metafiles and their tables; those of the project, and the index of its weights, agree."""

from pathlib import Path

import pytest
import yaml

from cpm_plugin import create_model
from cpm_plugin.apps.metafile import (
    TABLE_BEGIN,
    TABLE_END,
    read_metafile,
    render_table,
    replace_table,
)
from cpm_plugin.core.weights.zoo import read_index

REPO = Path(__file__).resolve().parents[2]


def test_a_metafile_that_would_be_its_own_table(tmp_path):
    with pytest.raises(ValueError, match=r'm\.md is no metafile by its name'):
        read_metafile(tmp_path / 'm.md')


def test_the_table_is_replaced_and_what_is_around_it_kept():
    text = replace_table('# Title\n\nWords.\n', 'one')
    assert text.endswith(f'Words.\n\n{TABLE_BEGIN}\none\n<!-- end -->\n')
    assert replace_table(text + 'more\n', 'two') == text.replace('one', 'two') + 'more\n'
    for broken in (TABLE_BEGIN, TABLE_END, f'{TABLE_END} {TABLE_BEGIN}'):
        with pytest.raises(ValueError, match='one is missing'):
            replace_table(broken, 'one')


# The project's own zoo: metafiles, tables and the package's index agree.

METAFILES = [
    REPO / name for name in yaml.safe_load((REPO / 'model-index.yml').read_text())['Import']
]


def test_every_metafile_is_in_the_model_index():
    assert sorted(METAFILES) == sorted((REPO / 'configs').rglob('*.yml'))


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.stem)
def test_tables_have_the_facts_of_the_metafile(path):
    models = read_metafile(path)['Models']
    text = path.with_suffix('.md').read_text()
    assert replace_table(text, render_table(models)) == text
    assert models and all((REPO / model['Config']).is_file() for model in models)
    assert [model['Name'] for model in models] == [Path(m['Config']).stem for m in models]


def test_metafiles_have_the_facts_of_the_index():
    models = {m['Alias']: m for path in METAFILES for m in read_metafile(path)['Models']}
    index = read_index()
    assert set(models) == set(index)
    for name, entry in index.items():
        model, about = models[name], models[name]['Metadata']
        assert (model['Config'], model['Weights']) == (entry.config, entry.url or entry.file)
        assert (about['SHA256'], about['License']) == (entry.sha256, entry.license)
        assert about['Parameters'] == sum(p.numel() for p in create_model(name).parameters())
