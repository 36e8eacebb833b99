"""What the page computes: files it refuses by name, people, and the poses of each stage."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('PIL')
from PIL import Image

from cpm_plugin.apps import page_looks
from cpm_plugin.apps.drawn_people import SCENES, SIZE, draw_scene, joints_of
from cpm_plugin.apps.page_looks import (
    Picture,
    Reading,
    find_boxes,
    look_at,
    open_picture,
    read_maps,
    rows_of,
    spoken,
)
from cpm_plugin.core import LSP, decode_peaks, predict
from cpm_plugin.core.prediction import person_stages, read_image
from cpm_plugin.core.structure import packaged_structure, structured_maps


@pytest.fixture
def nobody(monkeypatch):
    """No search for people, which takes seconds."""
    monkeypatch.setattr(page_looks, 'find_boxes', lambda image: np.zeros((0, 4)))


def noise(width=48, height=40, channels=3):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def save(path):
    Image.fromarray(noise()).save(path)


def frames(path, **options):
    pages = [Image.fromarray(noise()), Image.fromarray(noise()[::-1])]
    pages[0].save(path, save_all=True, append_images=pages[1:], **options)


WRONG = {
    'text.png': (lambda path: path.write_text('text'), 'cannot be read as an image: cannot ident'),
    'empty.jpg': (lambda path: path.touch(), 'cannot be read as an image: it is empty'),
    'cut.png': (
        lambda path: (save(path), path.write_bytes(path.read_bytes()[:900])),
        'cannot be read as an image: ',
    ),
    'moving.gif': (frames, 'has 2 frames or pages; give a still image'),
    'moving.webp': (frames, 'has 2 frames or pages; give a still image'),
    'moving.png': (frames, 'has 2 frames or pages; give a still image'),
    'pages.tif': (frames, 'has 2 frames or pages; give a still image'),
    'small.png': (
        lambda path: Image.fromarray(noise(31, 90)).save(path),
        'is 31 x 90 pixels, too small to see a person; give at least 32 x 32',
    ),
    'float.tif': (
        lambda path: Image.fromarray(noise(channels=1).astype(np.float32)).save(path),
        'has values of 32 bits',
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', WRONG)
def test_a_wrong_file_is_named_without_its_folder(name, tmp_path, nobody):
    write, message = WRONG[name]
    write(tmp_path / name)
    with pytest.raises(ValueError) as caught:
        open_picture(tmp_path / name)
    assert str(caught.value).startswith(f'{name} {message}')
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r'^none\.png: no such file'):
        open_picture(tmp_path / 'none.png')


RIGHT = {
    'deep.png': lambda: Image.fromarray(noise(channels=1).astype(np.uint16) << 8),
    'gray.png': lambda: Image.fromarray(noise(channels=1)),
    'alpha.png': lambda: Image.fromarray(noise(channels=4), 'RGBA'),
    'print.jpg': lambda: Image.fromarray(noise(channels=4), 'CMYK'),
    'palette.gif': lambda: Image.fromarray(noise()).quantize(16),
}


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('name', RIGHT)
def test_other_kinds_of_images_are_read_as_predict_reads_them(name, tmp_path, nobody):
    path = tmp_path / name
    RIGHT[name]().save(path)
    picture = open_picture(path)
    np.testing.assert_array_equal(picture.image, read_image(path))
    assert picture.image.shape == (40, 48, 3) and picture.path == path


def test_a_photograph_with_a_preview_behind_it_is_one_image(tmp_path, nobody):
    path = tmp_path / 'camera.jpg'
    frames(path, format='MPO')
    assert getattr(Image.open(path), 'n_frames', 1) == 2
    assert open_picture(path).image.shape == (40, 48, 3)


@pytest.mark.slow
def test_both_people_of_a_drawn_scene_are_found():
    boxes = find_boxes(draw_scene('two', SIZE))
    assert len(boxes) == 2
    for person in SCENES['two'][1]:
        points = np.array(list(joints_of(person).values()))
        inside = [((points >= box[:2]) & (points <= box[2:])).all(axis=1).mean() for box in boxes]
        assert max(inside) > 0.9 and min(inside) < 0.2


@pytest.fixture(scope='module')
def picture(tmp_path_factory):
    boxes = np.array([[213.0, 20, 363, 248], [20, 20, 184, 248]])
    return Picture(tmp_path_factory.mktemp('page') / 'two.png', draw_scene('two', SIZE), boxes)


@pytest.fixture(scope='module')
def second(picture):
    return look_at(picture, '2', 'cpm_slim_3s')


def test_the_pose_is_that_of_predict_and_the_stages_are_of_the_chosen_person(picture, second):
    poses = predict(picture.image, picture.boxes, 'cpm_slim_3s')
    np.testing.assert_array_equal(second.poses.keypoints, poses.keypoints)
    assert second.chosen == 1
    stages = person_stages(picture.image, picture.boxes[1], 'cpm_slim_3s')
    np.testing.assert_array_equal(second.stages.beliefs, stages.beliefs)
    assert len(second.readings) == 3
    for reading, maps in zip(second.readings, stages.beliefs):
        points, scores = decode_peaks(maps)
        np.testing.assert_array_equal(reading.keypoints, points)
        np.testing.assert_array_equal(reading.scores, scores)
    last = second.stages.to_image(second.readings[-1].keypoints)
    np.testing.assert_allclose(last, poses.keypoints[1], atol=0.01)


def test_older_models_read_the_beliefs_of_stage_1(second):
    assert list(second.older) == ['nothing', 'tree', 'hierarchical', 'non-tree']
    assert second.older['nothing'] is second.readings[0]
    for kind in ('tree', 'hierarchical', 'non-tree'):
        structure, weight = packaged_structure(kind)
        maps = structured_maps(second.stages.beliefs[:1], structure, weight=weight).maps[0]
        np.testing.assert_array_equal(second.older[kind].maps, maps)
        points, _ = decode_peaks(maps)
        np.testing.assert_array_equal(second.older[kind].keypoints, points)


def test_the_whole_image_or_a_box_is_a_person_alone(picture):
    whole = look_at(picture, 'whole image', 'cpm_slim_3s')
    assert whole.poses.boxes.tolist() == [[0, 0, 400, 270]] and whole.chosen == 0
    own = look_at(picture, '213,20,363,248', 'cpm_slim_3s')
    assert own.poses.boxes.tolist() == [[213, 20, 363, 248]]
    poses = predict(picture.image, [[213, 20, 363, 248]], 'cpm_slim_3s')
    np.testing.assert_array_equal(own.poses.keypoints, poses.keypoints)


@pytest.mark.parametrize(
    ('person', 'message'),
    [
        ('3', r"no person '3' in two\.png: there are 2; choose one by number, or give a box"),
        ('0', "no person '0'"),
        ('', "no person ''"),
        ('²', "no person '²'"),
        ('1,2,3', 'a box is four numbers'),
        ('9,9,5,9', 'x2 must be larger than x1'),
        ('900,0,990,9', 'is outside the image, which is 400 pixels wide'),
        ('a,b,c,d', 'box a,b,c,d'),
    ],
)
def test_a_wrong_person_is_named(person, message, picture):
    with pytest.raises(ValueError, match=message):
        look_at(picture, person, 'cpm_slim_3s')


def test_joints_are_elsewhere_when_more_than_a_32nd_of_the_crop_away():
    """A 32nd of 128 pixels is 4."""
    here = np.array([[10.0, 10], [20, 20], [30, 30]])
    there = Reading(np.zeros(0), here + np.array([[4, 0], [4.1, 0], [3, 3]]), np.zeros(3))
    assert there.moved(Reading(np.zeros(0), here, np.zeros(3)), 128) == 2
    assert there.moved(Reading(np.zeros(0), here, np.zeros(3)), 256) == 0


def test_maps_are_read_at_their_peaks():
    maps = np.zeros((2, 4, 5))
    maps[0, 1, 2], maps[1, 3, 4] = 0.5, 0.25
    reading = read_maps(maps)
    assert reading.keypoints.tolist() == [[19.5, 11.5], [35.5, 27.5]]
    assert reading.scores.tolist() == [0.5, 0.25]


def test_the_table_has_the_chosen_person_in_pixels_of_the_image():
    poses = SimpleNamespace(
        joints=LSP,
        keypoints=np.arange(56.0).reshape(2, 14, 2) + 0.04,
        scores=np.full((2, 14), 0.5),
    )
    rows = rows_of(SimpleNamespace(poses=poses, chosen=1))
    assert rows[0] == ['right ankle', '28.0', '29.0', '0.50'] and len(rows) == 14
    assert spoken('left_big_toe') == 'left big toe'
