"""The README is short and its links lead somewhere; the documentation builds without a warning."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

SENTENCE, CELL = 25, 12  # words, at most


@pytest.fixture(scope='module')
def readme(repo):
    return (repo / 'README.md').read_text()


def prose(text):
    """Without code, tables, images and link targets."""
    text = re.sub(r'```.*?```', '', text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith(('|', '#', '!', '---'))]
    text = re.sub(r'\]\([^)]*\)', ']', '\n'.join(lines))
    return re.sub(r'`[^`]*`', 'code', text)


def words(text):
    return re.findall(r'\S*\w\S*', text)


def cells(text):
    """Of tables, with the targets of links left out."""
    for line in re.sub(r'```.*?```', '', text, flags=re.DOTALL).splitlines():
        if line.startswith('|'):
            yield from re.sub(r'\]\([^)]*\)', ']', line).strip('|').split('|')


def test_readme_is_short(readme):
    assert len(readme.splitlines()) <= 150
    assert [cell for cell in cells(readme) if len(words(cell)) > CELL] == []
    sentences = re.split(r'(?<=[.:;?!])\s+|\n\n|\n- ', prose(readme))
    assert [one for one in sentences if len(words(one)) > SENTENCE] == []


def test_links_of_the_readme_lead_somewhere(readme, repo):
    targets = [t for t in re.findall(r'\]\(([^)]+)\)', readme) if not t.startswith('http')]
    assert len(targets) > 10
    assert [target for target in targets if not (repo / target.partition('#')[0]).exists()] == []


@pytest.mark.slow
@pytest.mark.skipif(not find_spec('mkdocs'), reason='needs the extra [docs]')
def test_the_site_builds_without_a_warning(repo, tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(tmp_path / 'site')],
        cwd=repo,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / 'site' / 'reference' / 'core.html').is_file()


def test_pages_keep_to_short_cells(repo):
    pages = sorted((repo / 'docs').rglob('*.md'))
    assert len(pages) > 10
    long = [(page.name, cell) for page in pages for cell in cells(page.read_text())
            if len(words(cell)) > CELL]  # fmt: skip
    assert long == []
