"""What the documentation shows runs as it is printed, and does what it says."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mmpose')

import cpm_plugin.mmpose  # noqa: F401, I001  (stock modules can be imported after this only)
from matplotlib import cbook
from mmpose.apis import inference_topdown, init_model
from PIL import ExifTags, Image

from cpm_plugin.apps.zoo import pose2d

DOCS = Path(__file__).resolve().parents[1] / 'docs'


@pytest.mark.parametrize(
    ('width', 'turned'),
    [(150, False), (150, True), (800, False)],
    ids=['small', 'turned', 'averaged'],
)
def test_the_plain_example_gives_the_positions_of_mmpose(width, turned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cbook.get_sample_data('grace_hopper.jpg') as photo:
        size = width, width * 6 // 5
        image = Image.open(photo).resize(size, Image.Resampling.LANCZOS)
    exif = Image.Exif()
    if turned:  # as cameras do it: stored on its side, with a note to turn it by 90 degrees
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[ExifTags.Base.Orientation] = 6
    image.save('image.jpg', exif=exif)
    page = (DOCS / 'getting-started.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    seen: dict = {}
    for block in blocks:
        exec(block, seen)

    found = pose2d('cpm_lite0_3s')
    options = dict(model=dict(test_cfg=dict(flip_test=False)))
    model = init_model(found['pose2d'], found['pose2d_weights'], 'cpu', cfg_options=options)
    # the box, for MMPose takes that of the image as it is stored, but turns the image
    (people,) = inference_topdown(model, 'image.jpg', [[0, 0, *size]])
    points, scores = people.pred_instances.keypoints[0], people.pred_instances.keypoint_scores[0]
    seen_well = scores > 0.2
    assert seen_well.sum() >= 6
    # they average a large image differently, which can move a broad peak far, but not all peaks
    apart = (seen['keypoints'] - points)[seen_well]
    assert np.median(np.linalg.norm(apart, axis=1)) < width / 100
    assert (np.abs(np.median(apart, axis=0)) < width / 250).all()
    np.testing.assert_allclose(seen['scores'], scores, atol=0.1)
    # with the mirrored image, and drawn
    (whole,) = seen['result']['predictions'][0]
    assert np.shape(whole['keypoints']) == (14, 2)
    assert Path('out/visualizations/image.jpg').is_file()
