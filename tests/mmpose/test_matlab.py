"""MATLAB files are read only if their structure is whole."""

import struct
import zlib

import numpy as np
import pytest
from scipy.io import savemat

from cpm_plugin.mmpose.matlab import load_variable


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'a.mat'


def element(kind, content):
    return struct.pack('<II', kind, len(content)) + content + bytes(-len(content) % 8)


def array(kind, shape, *elements, name=b'x', flags=0):
    """A variable by hand, as in MathWorks' MAT-File Format, level 5."""
    head = element(6, struct.pack('<II', flags << 8 | kind, 0))
    head += element(5, struct.pack(f'<{len(shape)}i', *shape)) + element(1, name)
    return element(14, head + b''.join(elements))


def write(path, *variables):
    path.write_bytes(
        b'MATLAB 5.0'.ljust(124) + struct.pack('<H', 0x100) + b'IM' + b''.join(variables)
    )


DOUBLES = element(9, np.arange(6.0).tobytes())


def test_an_array_by_hand(path):
    write(path, array(6, (2, 3), DOUBLES))
    assert load_variable(path, 'x').tolist() == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize('compressed', [False, True])
def test_what_scipy_writes_is_read(path, compressed):
    value = np.array([[1 + 2j, 3]])
    examples = np.zeros((2, 1), [('name', object), ('points', object), ('cell', object)])
    for number in range(2):
        cell = np.array(['a', np.zeros((0, 0))], dtype=object)
        examples[number, 0] = (f'im{number}', np.full((2, 3), number), cell)
    savemat(path, dict(x=value, empty=np.zeros((0, 3)), s=examples), do_compression=compressed)
    np.testing.assert_array_equal(load_variable(path, 'x'), value)
    assert load_variable(path, 'empty').shape == (0, 3)
    read = load_variable(path, 's', simplify=True)
    assert [entry['name'] for entry in read] == ['im0', 'im1']
    assert read[1]['points'].tolist() == [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(KeyError):
        load_variable(path, 'y')


def test_a_sparse_matrix_of_another_name_is_left_alone(path):
    write(path, array(5, (2, 2), name=b'other'), array(6, (2, 3), DOUBLES))
    assert load_variable(path, 'x').shape == (2, 3)


nested = array(6, (2, 3), DOUBLES, name=b'')
for _ in range(40):
    nested = array(1, (1, 1), nested, name=b'')
BROKEN = {
    'type': (array(6, (2, 3), element(14, bytes(48))), 'an element of type 14'),  # SciPy crashes
    'class': (array(99, (2, 3), DOUBLES), 'an array of class 99'),  # here, too
    'imaginary': (array(6, (2, 3), DOUBLES, flags=8), 'ends inside an element'),  # and here
    'shape': (array(4, (2**30, 3), element(1, b'')), r'shape \(1073741824, 3\) in'),
    'negative': (array(6, (-2, -3), DOUBLES), r'shape \(-2, -3\) in'),
    'size': (array(6, (2, 3), DOUBLES)[:-8], 'longer than what it is in'),
    'left over': (array(6, (2, 3), DOUBLES, DOUBLES), 'longer than its elements'),
    'cells': (array(1, (2, 3), array(6, (2, 3), DOUBLES)), 'ends inside an element'),
    'deep': (array(1, (1, 1), nested), 'more than 32 deep'),
    'names': (array(2, (1, 1), element(5, struct.pack('<i', 0)), element(1, b'')), 'without names'),
    'no variable': (element(9, bytes(8)), 'type 9 in place of a variable'),
    'compressed': (element(15, zlib.compress(array(6, (2, 3), DOUBLES))[:-4]), 'cut off'),
    'bits': (element(15, b'nothing!'), 'Error -3'),
    'after': (array(6, (2, 3), DOUBLES) + b'x', 'ends inside an element'),
}  # fmt: skip


@pytest.mark.parametrize(('variable', 'message'), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_refused_before_scipy_reads_it(path, variable, message):
    write(path, variable)
    with pytest.raises(ValueError, match=f'broken or no file of MATLAB 5: .*{message}'):
        load_variable(path, 'x')


@pytest.mark.parametrize('content', [b'', b'text', bytes(200), b'x' * 128])
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match='another header'):
        load_variable(path, 'x')


def test_a_bomb_is_not_unpacked(path, monkeypatch):
    monkeypatch.setattr('cpm_plugin.mmpose.matlab._LARGEST', 1000)
    write(path, element(15, zlib.compress(array(6, (1, 500), element(9, bytes(4000))))))
    with pytest.raises(ValueError, match='larger than 1,000 bytes'):
        load_variable(path, 'x')
