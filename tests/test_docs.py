"""The Python of the documentation runs as it is printed, and does what it says."""

import contextlib
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mmengine')

import cpm_plugin.mmpose  # noqa: I001  (stock modules can be imported after this only)
from cpm_testing.data import make_five
from matplotlib import cbook
from mmengine.config import Config
from mmpose.apis import inference_topdown, init_model
from mmpose.registry import DATASETS, MODELS
from PIL import ExifTags, Image

import cpm_plugin
from cpm_plugin.apps.zoo import pose2d

REPO = Path(__file__).resolve().parents[1]
DOCS = REPO / 'docs'
# Not run, for it needs:
NOT_RUN = {
    'docs/appendix/experiments.md': 'a place among the configs of the repository',
    'docs/tutorials/authors-weights.md': "the authors' weights, which are not ours to pass on",
    'docs/tutorials/publish.md': 'a model that the reader has trained',
}
OTHERWISE = (*NOT_RUN, 'docs/getting-started.md', 'docs/tutorials/own-data.md')
# What is printed stands in a comment.
PRINTED = (
    'docs/how-it-works/coordinates.md',
    'docs/how-it-works/data-flow.md',
    'docs/how-it-works/several-people.md',
    'docs/how-it-works/speed-gpu.md',
)


def blocks_of(page):
    """The Python blocks of a page, and the name in `mine` under which it says to save each."""
    parts = re.split(r'```python\n(.*?)```', (REPO / page).read_text(), flags=re.DOTALL)
    for number, (text, block) in enumerate(zip(parts[::2], parts[1::2])):
        saved = re.findall(r'(?:mine/|save it\s+there as `)([\w-]+\.py)`', text.split('\n\n')[-2])
        yield block, saved[0] if saved else f'block_{number}.py' if '_base_ =' in block else None


def run(page):
    """The blocks in order, in one namespace, which it returns, with what they print.

    A block to be saved is, and runs if the page says ``python mine/NAME``. A config is read, and
    its model is built.
    """
    seen, out = {'__name__': 'documentation'}, io.StringIO()
    for block, name in blocks_of(page):
        if name:
            Path('mine', name).write_text(block)
        if '_base_ =' in block:
            MODELS.build(Config.fromfile(f'mine/{name}').model)
        elif not name or f'python mine/{name}' in (REPO / page).read_text():
            with contextlib.redirect_stdout(out):
                exec(compile(block, page, 'exec'), seen)
    return seen, out.getvalue()


PAGES = {
    page: [block for block, _ in blocks_of(page)]
    for path in (REPO / 'README.md', *sorted(DOCS.rglob('*.md')))
    for page in [path.relative_to(REPO).as_posix()]
}


def save_photo(path, size, turned=False):
    with cbook.get_sample_data('grace_hopper.jpg') as photo:
        image = Image.open(photo).resize(size, Image.Resampling.LANCZOS)
    exif = Image.Exif()
    if turned:  # as cameras do it: stored on its side, with a note to turn it by 90 degrees
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[ExifTags.Base.Orientation] = 6
    image.save(path, exif=exif)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in as in the clone, with an image, and without what it registers later."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / 'mine')
    monkeypatch.setattr(DATASETS, '_module_dict', dict(DATASETS.module_dict))
    (tmp_path / 'mine').mkdir()
    for name in ('configs', 'cpm_plugin'):
        (tmp_path / name).symlink_to(REPO / name)
    save_photo('image.jpg', (150, 180))
    yield tmp_path
    sys.modules.pop('csv_dataset', None)


@pytest.mark.parametrize('page', [page for page in PAGES if PAGES[page] and page not in OTHERWISE])
def test_the_python_of_a_page_runs(page, here):
    if any('timm/' in block for block in PAGES[page]):
        pytest.importorskip('timm', reason='needs the extra [timm]')
    _, out = run(page)
    if page in PRINTED:
        assert out
        blocks = '\n'.join(PAGES[page])
        assert [line for line in out.splitlines() if f'# {line}' not in blocks] == []


@pytest.mark.parametrize('page', NOT_RUN)
def test_what_cannot_run_here_is_python(page):
    assert [compile(block, page, 'exec') for block in PAGES[page]]


def test_own_data_are_the_same_people_in_both_formats(here):
    make_five(here, 4)
    run('docs/tutorials/own-data.md')
    coco, csv = (
        DATASETS.build(Config.fromfile(f'mine/{name}.py').val_dataloader.dataset)
        for name in ('five', 'csv_five')
    )
    assert len(coco) == len(csv) == 3
    for key in ('keypoint_id2name', 'flip_indices', 'skeleton_links'):
        assert coco.metainfo[key] == csv.metainfo[key]
    for one, other in zip(coco, csv):
        np.testing.assert_array_equal(one['inputs'], other['inputs'])
        positions = (sample['data_samples'].gt_instances.keypoints for sample in (one, other))
        np.testing.assert_array_equal(*positions)


@pytest.mark.parametrize(
    ('width', 'turned'),
    [(150, False), (150, True), (800, False)],
    ids=['small', 'turned', 'averaged'],
)
def test_the_example_gives_the_positions_of_mmpose(width, turned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_photo('image.jpg', (width, width * 6 // 5), turned)
    seen, _ = run('docs/getting-started.md')

    found = pose2d('cpm_movenet_3s')
    model = init_model(found['pose2d'], found['pose2d_weights'], 'cpu')
    poses = seen['poses']
    if width > 150:  # the same person, in a crop that is averaged
        poses = cpm_plugin.predict('image.jpg', poses.boxes * width / 150)
    (people,) = inference_topdown(model, 'image.jpg', poses.boxes)
    points, scores = people.pred_instances.keypoints, people.pred_instances.keypoint_scores
    assert (scores > 0.2).sum() >= 6
    np.testing.assert_allclose(poses.keypoints, points, atol=0.01)
    np.testing.assert_allclose(poses.scores, scores, atol=1e-4)
    assert Image.open('poses.png').size == (width, width * 6 // 5)
    # and drawn
    (whole,) = seen['result']['predictions'][0]
    assert np.shape(whole['keypoints']) == (14, 2)
    assert Path('out/visualizations/image.jpg').is_file()
