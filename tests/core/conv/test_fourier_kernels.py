"""The kernels in Triton: in its interpreter, and compiled for a GPU that is not here."""

import json
import os
import subprocess
import sys

import pytest

from cpm_plugin.core.conv import fourier_kernels

STEP_NAMES = [
    'to_points', 'to_points, cells', 'from_points', 'from_points, bias', 'products',
    'products, transposed', 'sums', 'weight_points', 'weight_points, last', 'weight_gradient',
    'weight_gradient, last',
]  # fmt: skip
WHOLE = ['all, values', 'all, gradient of x', 'all, gradient of weight']
NAMES = [
    *(f'float32, {name}' for name in WHOLE + STEP_NAMES),
    *(f'float16, {name}' for name in STEP_NAMES),
]


@pytest.fixture(scope='module')
def interpreted(repo):
    pytest.importorskip('triton', reason='needs the extra [triton]')
    done = subprocess.run(
        [sys.executable, str(repo / 'tests/cpm_testing/interpreted.py')],
        env={**os.environ, 'PYTHONPATH': str(repo), 'TRITON_INTERPRET': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


# In bfloat16 the interpreter takes the bits of numbers for numbers.
@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_steps_in_the_interpreter_are_those_in_plain_pytorch(interpreted, name):
    assert interpreted[name] < (1e-6 if name.startswith('float32') else 1e-3)


INTS = dict.fromkeys(
    (
        'pieces', 'width', 'outputs', 'first', 'channels', 'room', 'inputs', 'values', 'count',
        'height', 'size', 'step', 'deep', 'wide', 'by_output', 'by_channel', 'by_row', 'by_tap',
        'parts',
    ),
    'i32',
)  # fmt: skip
HALF, FLOAT = '*bf16', '*fp32'
COMPILED = {
    'to_points': (
        dict(x=HALF, matrix=HALF, points=HALF),
        dict(BLOCK=32, INPUTS=64, VALUES=64, PRECISION='ieee'),
    ),
    'from_points': (
        dict(points=HALF, matrix=HALF, bias=FLOAT, y=HALF),
        dict(BLOCK=32, OUTPUTS=64, VALUES=64, BIAS=True, PRECISION='ieee'),
    ),
    'products': (
        dict(points=HALF, weights=HALF, found=HALF, deep_stride='i32'),
        dict(wide_stride=1, DEEP=32, STEPS=8, BLOCK=64, WIDE=32, PRECISION='ieee'),
    ),
    'sums': (
        dict(points=HALF, gradients=HALF, found=FLOAT),
        dict(DEEP=64, WIDE=32, BLOCK=32, PRECISION='ieee'),
    ),
    'weight_points': (
        dict(weight=FLOAT, taps=FLOAT, found=HALF),
        dict(BLOCK=16, TAPS=16, PARTS=64),
    ),
    'weight_gradient': (
        dict(sums=FLOAT, lags=FLOAT, found=FLOAT),
        dict(BLOCK=16, TAPS=16, PARTS=32),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', COMPILED)
def test_kernels_compile_for_a_gpu_that_is_not_here(name, tmp_path, monkeypatch):
    """The interpreter takes what the compiler refuses, such as names from outside of a kernel."""
    triton = pytest.importorskip('triton', reason='needs the extra [triton]')
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    kernel = getattr(fourier_kernels, name)
    types, constants = COMPILED[name]
    types = {**INTS, **types}
    signature = {one: types.get(one, 'constexpr') for one in kernel.arg_names}
    places = {(kernel.arg_names.index(one),): value for one, value in constants.items()}
    source = ASTSource(fn=kernel, signature={**signature, **dict.fromkeys(constants, 'constexpr')},
                       constexprs=places)  # fmt: skip
    compiled = triton.compile(source, target=GPUTarget('cuda', 90, 32))
    assert ('wgmma' in compiled.asm['ptx']) == (not name.startswith('weight'))
    assert 'atom' not in compiled.asm['ptx']
