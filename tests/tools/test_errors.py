"""What users do wrong, and disks that are full: one line that says so, and no half-written file."""

import errno
import json
import os
import re
import resource
import tempfile
from contextlib import contextmanager
from functools import partial

import cv2
import numpy as np
import pytest

pytest.importorskip('mmengine')

pytestmark = pytest.mark.slow


@contextmanager
def small_disk(size):
    """No file may become larger, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def failed(done, code, *words):
    """The program has ended with this code and with one line, not with a traceback."""
    shown = done.stderr
    assert done.returncode == code, shown[-2000:]
    assert 'Traceback' not in shown
    assert len(re.findall(r'^(\w+\.py: )?error: ', shown, re.MULTILINE)) == 1
    for word in words:
        assert str(word) in shown, shown
    return True


@pytest.fixture
def image(folder):
    return folder / 'figures' / 'val' / '000001.jpg'


@pytest.fixture
def own(folder):
    return ['--config', folder / 'config.py', '--checkpoint', folder / 'config.pth']


@pytest.fixture
def demo(run_tool, own):
    return partial(run_tool, 'demo.py', *own)


@pytest.fixture
def stages(run_tool, folder):
    return partial(run_tool, 'analysis/stages.py', folder / 'config.py', folder / 'config.pth')


@pytest.fixture
def video(tmp_path):
    path = tmp_path / 'v.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 12, (96, 96))
    noise = np.random.default_rng(0)
    for _ in range(8):
        writer.write(noise.integers(0, 255, (96, 96, 3), np.uint8))
    writer.release()
    return path


def variant(folder, tmp_path, text):
    """The config with more lines."""
    path = tmp_path / 'variant.py'
    path.write_text((folder / 'config.py').read_text() + text)
    return path


# -- files that cannot be written


def test_an_image_that_cannot_be_written_to_the_end_leaves_the_old_one(demo, image, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    big = tmp_path / 'big.png'
    cv2.imwrite(str(big), np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8))
    (out / 'big.png').write_bytes(b'before')
    with small_disk(8192):
        done = demo(big, '--out-dir', out, '--boxes', '0,0,96,96')
    assert failed(done, 1, out / 'big.png', 'File too large')
    assert (out / 'big.png').read_bytes() == b'before'
    with small_disk(16384):
        done = demo(image, '--out-dir', out, '--stages', '--boxes', '0,0,96,96')
    assert failed(done, 1, out / '000001_stages.png', 'File too large')
    assert {path.name for path in out.iterdir()} == {'big.png', '000001.jpg'}


def test_a_video_that_cannot_be_written_to_the_end_is_not_kept(demo, video, tmp_path):
    with small_disk(16384):
        done = demo(video, '--boxes', '0,0,96,96', '--out-dir', tmp_path / 'out')
    assert failed(done, 1, tmp_path / 'out' / 'v.mp4', 'of 8 frames are in it; is the disk full?')
    assert not list((tmp_path / 'out').iterdir())


def test_a_figure_that_cannot_be_written_to_the_end_is_not_kept(stages, tmp_path):
    with small_disk(8192):
        done = stages('--out', tmp_path / 'out' / 's.png')
    assert failed(done, 1, tmp_path / 'out' / 's.png', 'File too large')
    assert not list((tmp_path / 'out').iterdir())


def test_a_comparison_that_cannot_be_written_to_the_end(
    folder, run_tool, load_tool, tmp_path, monkeypatch
):
    row = {
        'PCK': 50.0,
        'M parameters': 1.0,
        'G multiply-adds': 1.0,
        'peak MB': 1.0,
    }
    monkeypatch.setattr(load_tool('compare.py'), 'measure_apart', lambda *_: row)
    with small_disk(8192):
        done = run_tool(
            'compare.py', f'a={folder}/config.py:{folder}/config.pth', '--out-dir', tmp_path / 'out'
        )
    assert failed(done, 1, tmp_path / 'out' / 'compare.png', 'File too large')
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'compare.md', 'compare.csv'}


def test_a_checkpoint_that_cannot_be_written_to_the_end(tmp_path):
    import torch

    from cpm_plugin.core.weights import write_checkpoint

    with small_disk(8192), pytest.raises(OSError, match=r'w\.pth cannot be written to the end'):
        write_checkpoint(tmp_path / 'w.pth', {'weight': torch.zeros(100_000)}, {})
    assert not list(tmp_path.iterdir())


def test_generated_figures_that_cannot_be_written_to_the_end(run_tool, tmp_path):
    with small_disk(8192):
        done = run_tool('make_figures.py', tmp_path / 'f', '--train', 1, '--val', 1, '--size', 400)
    assert failed(done, 1, tmp_path / 'f', 'cannot be written: File too large')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'program', ['demo', 'analysis/stages', 'compare', 'benchmark', 'make_figures']
)
def test_a_folder_that_cannot_be_written_into_is_known_before_the_work(
    program, folder, image, own, run_tool, tmp_path, monkeypatch
):
    arguments = {
        'demo': [image, *own, '--out-dir', tmp_path / 'new'],
        'analysis/stages': [
            folder / 'config.py',
            folder / 'config.pth',
            '--out',
            tmp_path / 's.png',
        ],
        'compare': [f'a={folder}/config.py:{folder}/config.pth', '--out-dir', tmp_path / 'new'],
        'benchmark': ['--out', tmp_path / 'new' / 'b.csv'],
        'make_figures': [tmp_path / 'new'],
    }[program]

    def read_only(*_, **__):
        raise OSError(errno.EROFS, 'Read-only file system')

    monkeypatch.setattr(tempfile, 'TemporaryFile', read_only)
    done = run_tool(f'{program}.py', *arguments)
    assert failed(done, 2, tmp_path, 'cannot be written into: Read-only file system')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('out', 'message'),
    [
        ('file/s.png', 'file is a file; give another folder'),
        ('folder.png', 'it is a folder; give the name of a file'),
        ('s.foo', 'is no image by its name; kinds: '),
        ('s', 'is no image by its name; kinds: '),
    ],
)
def test_names_that_are_no_outputs(out, message, stages, tmp_path):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder.png').mkdir()
    assert failed(stages('--out', tmp_path / out), 2, tmp_path / out.partition('/')[0], message)


def test_a_device_file_is_not_replaced_and_a_link_stays_one(tmp_path):
    from cpm_plugin.apps.outputs import write_text

    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(ValueError, match='pipe cannot be written: it is no file'):
        write_text(tmp_path / 'pipe', 'new')
    (tmp_path / 'link').symlink_to(tmp_path / 'target')
    write_text(tmp_path / 'link', 'new')
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'target').read_text() == 'new'


# -- devices


@pytest.mark.parametrize('program', ['demo', 'analysis/stages', 'compare'])
@pytest.mark.parametrize('device', ['cuda:99', 'tpu', 'meta', ''])
def test_a_device_that_is_not_here_is_named(
    program, device, folder, image, own, run_tool, tmp_path
):
    arguments = {
        'demo': [image, *own, '--out-dir', tmp_path / 'out'],
        'analysis/stages': [
            folder / 'config.py',
            folder / 'config.pth',
            '--out',
            tmp_path / 's.png',
        ],
        'compare': [f'a={folder}/config.py:{folder}/config.pth', '--out-dir', tmp_path / 'out'],
    }[program]
    done = run_tool(f'{program}.py', *arguments, '--device', device)
    assert failed(
        done, 2, f'--device {device}: PyTorch cannot use it', '; give one that is here: cpu'
    )
    assert done.stdout == '' and not list(tmp_path.iterdir())


def test_a_benchmark_without_a_gpu(run_tool, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    done = run_tool('benchmark.py', '--device', 'cuda', '--out', tmp_path / 'b.csv')
    assert failed(done, 2, '--device cuda: PyTorch cannot use it', 'give one that is here: cpu')


# -- what the demo draws


def test_boxes_outside_the_image_do_not_replace_a_result(demo, image, video, tmp_path):
    for source, name in ((image, image.name), (video, 'v.mp4')):
        (tmp_path / name).write_bytes(b'before')
        for box in ('5000,5000,5100,5200', '-9,-9,0,50', '0,96,50,99'):
            done = demo(source, '--boxes', f' {box}', '--out-dir', tmp_path)
            assert failed(done, 1, source, f'box {box} is outside', '96 pixels wide and 96 high')
        assert (tmp_path / name).read_bytes() == b'before'
    assert demo(image, '--boxes', ' -50,-50,1,1', '--out-dir', tmp_path).returncode == 0


def test_how_many_joints_are_drawn_is_said(demo, image, video, tmp_path):
    boxes = ['--boxes', '0,0,96,96', '0,0,90,96', '--out-dir', tmp_path / 'out']
    out, moving = tmp_path / 'out' / image.name, tmp_path / 'out' / 'v.mp4'
    done = demo(image, *boxes, '--threshold', 1)
    assert f'{out}: 2 people, 0 of 28 joints\n' in done.stdout
    assert f'warning: {out}: 2 people, and no joint is drawn: the largest belief is' in done.stderr
    assert done.returncode == 0 and 'below --threshold 1\n' in done.stderr
    done = demo(video, *boxes, '--threshold', 1)
    assert f'{moving}: 8 frames, 0 of 224 joints\n' in done.stdout
    assert f'warning: {moving}: 8 frames, and no joint is drawn' in done.stderr


def test_the_packages_model_draws_joints_without_a_warning(run_tool, image, tmp_path):
    box = ['--boxes', '0,0,96,96']
    done = run_tool('demo.py', image, *box, '--model', 'cpm_slim_3s', '--out-dir', tmp_path)
    (count,) = re.findall(r'000001\.jpg: 1 person, (\d+) of 14 joints\n', done.stdout)
    assert 0 < int(count) <= 14 and done.stderr == ''


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--threshold', 'nan'], '--threshold nan: must be from 0 to 1'),
        (['--threshold', '1.5'], '--threshold 1.5: must be from 0 to 1'),
        (['--threshold', '-0.1'], '--threshold -0.1: must be from 0 to 1'),
        (['--boxes', 'nan,0,5,5'], 'box nan,0,5,5: a box is four numbers'),
        (['--boxes', '1,1,2,2', '0,0,inf,5'], 'box 0,0,inf,5: a box is four numbers'),
        (['--boxes', '5,0,5,9'], 'box 5,0,5,9: x2 must be larger than x1'),
    ],
)
def test_numbers_that_are_none(arguments, message, demo, image, tmp_path):
    assert failed(demo(image, *arguments, '--out-dir', tmp_path / 'out'), 2, message)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"000001.jpg": [[1, 1, 2, 2], [NaN, 0, 5, 5]]}', 'box nan,0,5,5 of 000001.jpg: a box'),
        ('{"000001.jpg": [[5, 0, 1, 5]]}', 'box 5,0,1,5 of 000001.jpg: x2 must be larger'),
        ('{"000001.jpg": [[1e99, 0, 1, 5]]}', 'box 1e+99,0,1,5 of 000001.jpg: a box is'),
        ('{"000001.jpg": [1, 2, 3, 4]}', 'box 1 of 000001.jpg: '),
        ('{"000001.jpg": {"a": 1}}', 'of 000001.jpg: not a list of boxes'),
        ('[[1, 2, 3, 4]]', 'boxes.json is no file of boxes'),
        (b'\xff\xfe\x00', 'boxes.json is no file of boxes'),
    ],
)
def test_boxes_of_a_file_that_are_none(content, message, demo, image, tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert failed(demo(image, '--boxes', path, '--out-dir', tmp_path / 'out'), 2, message)


def test_stages_of_a_video_are_refused_before_the_work(demo, video, tmp_path):
    done = demo(video, '--stages', '--out-dir', tmp_path / 'out')
    assert failed(done, 2, 'v.avi is a video, and --stages draws the stages of images only')
    assert not (tmp_path / 'out').exists()


def test_inputs_without_an_image(demo, image, tmp_path):
    (tmp_path / 'folder.png').mkdir()
    done = demo(tmp_path, '--out-dir', tmp_path / 'out')
    assert failed(done, 2, f'no images or videos in {tmp_path}; kinds are .jpg')
    (tmp_path / 'empty.jpg').touch()
    done = demo(tmp_path / 'empty.jpg', '--out-dir', tmp_path / 'out')
    assert failed(done, 1, 'empty.jpg cannot be read as an image: it is empty (0 bytes)')
    done = demo(image, '--out-dir', tmp_path / 'empty.jpg')
    assert failed(done, 2, 'empty.jpg is a file; give another folder')


# -- configs


@pytest.mark.parametrize('text', ['\ndefault_scope = None\n', '\ndel default_scope\n'])
def test_a_config_without_a_scope_is_one_of_mmpose(text, folder, image, run_tool, tmp_path):
    from mmengine.registry import init_default_scope

    path = variant(folder, tmp_path, text)
    weights = folder / 'config.pth'
    for name, *arguments in (
        (
            'demo.py',
            image,
            '--config',
            path,
            '--checkpoint',
            weights,
            '--out-dir',
            tmp_path / 'o',
            '--boxes',
            '0,0,96,96',
        ),
        ('mean_pose.py', path),
        ('analysis/stages.py', path, weights, '--out', tmp_path / 's.png'),
    ):
        init_default_scope('mmengine')  # as at the start of a program
        done = run_tool(name, *arguments)
        assert done.returncode == 0, done.stderr[-2000:]


NO_FILE = '_base_ = "nothing.py"\n'


@pytest.mark.parametrize(
    'program', ['demo', 'analysis/stages', 'mean_pose', 'compare', 'publish_model']
)
@pytest.mark.parametrize(
    ('text', 'message'),
    [('a = (\n', 'SyntaxError'), ('a = 1\n', 'no '), (NO_FILE, 'nothing.py: No such file')],
    ids=['syntax', 'bare', 'base'],
)
def test_configs_that_cannot_be_read(program, text, message, folder, image, run_tool, tmp_path):
    path, weights = tmp_path / 'broken.py', folder / 'config.pth'
    path.write_text(text)
    (tmp_path / 'results.json').write_text('{"torso/PCK": 50.0}')
    arguments = {
        'demo': [image, '--config', path, '--checkpoint', weights, '--out-dir', tmp_path / 'out'],
        'analysis/stages': [path, weights, '--out', tmp_path / 's.png'],
        'mean_pose': [path],
        'compare': [f'a={path}:{weights}', '--out-dir', tmp_path / 'out'],
        'publish_model': [
            path, weights, '--name', 'x', '--results', tmp_path / 'results.json', '--zoo',
            tmp_path / 'zoo', *(f'--{name}=x' for name in ('dataset', 'training-data', 'training')),
            '--license=x',
        ],
    }[program]  # fmt: skip
    assert failed(run_tool(f'{program}.py', *arguments), 2, f'{path}: ', message)
    assert {file.name for file in tmp_path.iterdir()} == {'broken.py', 'results.json'}


def test_configs_that_cannot_be_built(folder, image, run_tool, tmp_path):
    weights, out = folder / 'config.pth', ['--out', tmp_path / 's.png']
    path = variant(folder, tmp_path, "\nmodel['backbone']['type'] = 'CPMBackbon'\n")
    assert failed(
        run_tool('demo.py', image, '--config', path, '--checkpoint', weights),
        2, f'{path}: KeyError: CPMBackbon is not in the mmpose::model registry',
    )  # fmt: skip
    assert failed(
        run_tool('analysis/stages.py', path, weights, *out), 1, f'{path}: KeyError: CPMBackb'
    )
    path = variant(folder, tmp_path, "\ntest_dataloader['dataset']['indices'] = 0\n")
    assert failed(run_tool('analysis/stages.py', path, weights, *out), 1, 'has no samples')
    assert failed(run_tool('mean_pose.py', path), 2, 'has no samples')
    path = variant(folder, tmp_path, "\nmodel['head'].pop('decoder')\n")
    assert failed(
        run_tool('analysis/stages.py', path, weights, *out), 1, 'decoder has not been set'
    )
    (tmp_path / 'no.pth').write_text('no weights')
    done = run_tool('analysis/stages.py', folder / 'config.py', tmp_path / 'no.pth', *out)
    assert failed(done, 1, 'no.pth cannot be read (PyTorch has not written it)')


def test_an_image_of_the_test_set_that_is_broken(folder, run_tool, tmp_path):
    data = json.loads((folder / 'figures' / 'annotations' / 'val.json').read_text())
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'val').mkdir()
    (tmp_path / 'annotations' / 'val.json').write_text(json.dumps(data))
    for entry in data['images']:
        (tmp_path / 'val' / entry['file_name']).touch()
    options = ['--cfg-options', f'test_dataloader.dataset.data_root={tmp_path}/']
    done = run_tool(
        'analysis/stages.py', folder / 'config.py', folder / 'config.pth', '--out',
        tmp_path / 's.png', *options,
    )  # fmt: skip
    assert failed(done, 1, f'error: {tmp_path}/val/00000', 'cannot be read as an image')


# -- options


def test_a_mistyped_option_is_named_with_the_nearest_name(stages, run_tool, folder, tmp_path):
    done = stages('--out', tmp_path / 's.png', '--cfg-options', 'test_dataloder.batch_size=2')
    warning = '--cfg-options test_dataloder.batch_size: the config has no test_dataloder; '
    assert done.returncode == 0
    assert f'warning: {warning}test_dataloader is meant?\n' in done.stderr
    done = run_tool(
        'test.py', folder / 'config.py', folder / 'config.pth', '--work-dir', tmp_path,
        '--cfg-options', 'test_dataloder.batch_size=2',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert warning in done.stdout + done.stderr


@pytest.mark.parametrize('option', ['test_dataloader', 'model.x=[1,(2'])
def test_options_that_are_none(option, stages, tmp_path):
    done = stages('--out', tmp_path / 's.png', '--cfg-options', option)
    assert failed(done, 2, f'--cfg-options {option}: give KEY=VALUE')


@pytest.mark.parametrize('option', ['--runs', '--batch-size'])
def test_a_comparison_of_nothing(option, folder, run_tool, tmp_path):
    model = f'a={folder}/config.py:{folder}/config.pth'
    done = run_tool('compare.py', model, option, 0, '--out-dir', tmp_path / 'out')
    assert failed(done, 2, f'{option} 0: must be at least 1')


def test_a_benchmark_that_there_is_no_memory_for(run_tool, load_tool, tmp_path, monkeypatch):
    def no_memory(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(load_tool('benchmark.py'), 'measure', no_memory)
    done = run_tool('benchmark.py', '--out', tmp_path / 'b.csv')
    assert failed(done, 1, "RuntimeError: DefaultCPUAllocator: can't allocate memory")


# -- stock scripts


def test_the_stock_test_script_says_in_one_line_what_does_not_fit(folder, run_tool, tmp_path):
    import torch

    torch.save({'state_dict': {'a': torch.zeros(2)}, 'meta': {}}, tmp_path / 'other.pth')
    config = folder / 'config.py'
    for weights, message in (
        (tmp_path / 'other.pth', 'error: the checkpoint does not fit CPMBackbone'),
        (tmp_path / 'none.pth', 'none.pth can not be found'),
    ):
        done = run_tool('test.py', config, weights, '--work-dir', tmp_path / 'work')
        assert failed(done, 1, message)
