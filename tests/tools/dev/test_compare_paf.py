"""The comparison of affinity fields: says yes to the rules it lists and no to others."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip('cv2')
FOLDER = Path(__file__).resolve().parents[3] / 'tools' / 'dev'

# The paper's mean, a band without its edge, a box to the next whole cell, and a vector of zero for
# a limb without length.
GENERATOR = """
class PAFGenerator:
    def __init__(self, size, width, limbs):
        self.size = size

    def __call__(self, people):
        y, x = np.mgrid[: self.size[1], : self.size[0]]
        total, count = np.zeros((2, *x.shape)), np.zeros(x.shape)
        for start, end in people[:, :, :2]:
            low, high = np.minimum(start, end) - 1, np.maximum(start, end) + 1
            low, high = np.floor(low), np.ceil(high)
            unit = (end - start) / max(np.hypot(*(end - start)), 1e-9)
            inside = abs((x - start[0]) * unit[1] - (y - start[1]) * unit[0]) < 1
            inside &= (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
            total += unit[:, None, None] * inside
            count += inside
        return total / count.clip(min=1)
"""
# C++ in the authors' manner: the last person's vector stands.
TRANSFORMER = """
template<typename Dtype>
void CPMDataTransformer<Dtype>::putVecMaps(Dtype* entryX, Dtype* entryY, Mat& count,
    Point2f a, Point2f b, int stride, int w, int h, float sigma, int width){
  a = a * (1.f / stride);
  b = b * (1.f / stride);
  Point2f d = b - a;
  float length = sqrt(d.x * d.x + d.y * d.y);
  if (length == 0) return;
  d = d * (1 / length);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      bool in = x >= round(min(a.x, b.x) - 1) && x < round(max(a.x, b.x) + 1) &&
                y >= round(min(a.y, b.y) - 1) && y < round(max(a.y, b.y) + 1);
      if (in && fabs((x - a.x) * d.y - (y - a.y) * d.x) <= width) {
        entryX[y * w + x] = d.x;
        entryY[y * w + x] = d.y;
      }
    }
}
"""


@pytest.fixture(scope='module')
def main():
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location('compare_paf', FOLDER / 'compare_paf.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.main
    sys.path.remove(str(FOLDER))


@pytest.fixture
def run(main, tmp_path, capsys):
    """Runs the tool on a text given as the file of an option; its exit code and output."""

    def run(option, text, *arguments):
        path = tmp_path / 'file'
        if text is not None:
            path.write_text(text)
        words = [option, str(path), '--cases', '150', '--most', '2', *arguments]
        try:
            code = main(words)
        except SystemExit as stopped:
            code = stopped.code
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run


def test_differences_that_are_listed(run):
    code, shown = run('--mmpose', GENERATOR)
    assert code == 0, shown
    assert shown.count('| yes |') == 1
    # All of our own people are right: 1 and 2 people, in each way of standing apart.
    for kind in ('apart', 'crossing', 'truncated', 'no neck'):
        assert f'| {kind} | 3 | 3, 0 | 0 | 3 |' in shown


OTHERS = {
    'wider': ('< 1\n', '< 1.1\n'),
    'turned': ('total += unit', 'total -= unit'),
    'sum': ('/ count.clip(min=1)', ''),
    # as ours, so the difference at the width does not occur
    'equal': ('< 1\n', '<= 1 + 1e-6\n'),
}


@pytest.mark.parametrize('ours, theirs', OTHERS.values(), ids=OTHERS)
def test_differences_that_are_not_listed(ours, theirs, run):
    assert GENERATOR.count(ours) == 1
    code, shown = run('--mmpose', GENERATOR.replace(ours, theirs))
    assert code == 1 and shown.count('| NO |') == 1, shown


@pytest.mark.skipif(not shutil.which('g++'), reason='needs g++')
def test_cpp(run):
    code, shown = run('--caffe-train', TRANSFORMER, '--cases', '1500')
    assert code == 0 and shown.count('| yes |') == 1, shown
    code, shown = run('--caffe-train', TRANSFORMER.replace('<= width', '<= 2 * width'))
    assert code == 1 and shown.count('| NO |') == 1, shown
    code, shown = run('--caffe-train', TRANSFORMER.replace('int w', 'int v'))
    assert code == 2 and 'g++ refuses the code for putVecMaps' in shown


def test_files_that_do_not_fit_are_named(run, tmp_path):
    for option, text, message in (
        ('--mmpose', 'x = 1', f'{tmp_path / "file"} has no PAFGenerator'),
        ('--mmpose', None, 'No such file'),
        ('--caffe-train', 'int x;', 'has neither putVecMaps nor putVectorMaps'),
        ('--estimator', None, 'datasets/coco.py'),
    ):
        (tmp_path / 'file').unlink(missing_ok=True)
        code, shown = run(option, text)
        assert code == 2 and message in shown and 'Traceback' not in shown, shown
