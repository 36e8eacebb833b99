"""Caffe's weight files: bytes put together by hand, and whatever else a file may hold."""

import re
import struct
import zipfile

import numpy as np
import pytest
import torch
from random_caffe import random_inputs, random_layers, write_caffemodel

from cpm_plugin import create_model
from cpm_plugin.core.conversion.caffe import read_caffemodel
from cpm_plugin.core.conversion.caffe_networks import (
    CAFFE_MODELS,
    from_caffe,
    layer_names,
    load_caffemodel,
    output_layers,
)

FLOATS = struct.pack('<6f', 1, 2, 3, 4, 5, -6.5)
VALUES = [1, 2, 3, 4, 5, -6.5]


def part(tag, content):
    """A field of less than 128 bytes whose tag is given as hex digits."""
    return bytes.fromhex(tag) + bytes([len(content)]) + content


# Tags, by hand: (field << 3 | wire type). BlobProto.data 5: packed 2a, single floats 2d;
# double_data 8: packed 42, single doubles 41; shape 7: 3a; BlobShape.dim 1: packed 0a,
# single 08; num, channels, height, width: 08 10 18 20.
SHAPE_2_3 = part('3a', part('0a', b'\x02\x03'))
BLOBS = {
    'packed': SHAPE_2_3 + part('2a', FLOATS),
    'data_first': part('2a', FLOATS) + SHAPE_2_3,
    'single_floats': SHAPE_2_3 + b''.join(b'\x2d' + FLOATS[i : i + 4] for i in range(0, 24, 4)),
    'both': SHAPE_2_3 + part('2a', FLOATS[:16]) + b'\x2d' + FLOATS[16:20] + b'\x2d' + FLOATS[20:],
    'two_packs': SHAPE_2_3 + part('2a', FLOATS[:8]) + part('2a', FLOATS[8:]),
    'single_dims': part('3a', b'\x08\x02\x08\x03') + part('2a', FLOATS),
    'doubles': SHAPE_2_3 + part('42', struct.pack('<6d', *VALUES)),
    'single_doubles': SHAPE_2_3 + b''.join(b'\x41' + struct.pack('<d', v) for v in VALUES),
    # what Caffe may also write: diff 6, packed, and its unpacked form
    'with_diff': SHAPE_2_3 + part('2a', FLOATS) + part('32', FLOATS) + b'\x35' + FLOATS[:4],
}


def today(name, *blobs):
    """NetParameter.layer 100 (tag a2 06): name 1, type 2, blobs 7 (tags 0a, 12, 3a)."""
    inside = part('0a', name) + part('12', b'Convolution') + b''.join(part('3a', b) for b in blobs)
    return part('a206', inside)


def before_2015(name, *blobs):
    """NetParameter.layers 2 (tag 12): name 4, type 5 = CONVOLUTION, blobs 6 (tags 22, 28, 32)."""
    return part('12', part('22', name) + b'\x28\x04' + b''.join(part('32', b) for b in blobs))


def read(content, tmp_path):
    path = tmp_path / 'some.caffemodel'
    path.write_bytes(content)
    return read_caffemodel(path)


@pytest.mark.parametrize('layer', [today, before_2015])
@pytest.mark.parametrize('blob', BLOBS.values(), ids=BLOBS)
def test_bytes_by_hand(blob, layer, tmp_path):
    # NetParameter.name 1, a layer without blobs, force_backward 5 = true, the layer
    content = part('0a', b'net') + layer(b'relu1') + b'\x28\x01' + layer(b'conv1', blob)
    layers = read(content, tmp_path)
    assert list(layers) == ['conv1']
    (found,) = layers['conv1']
    assert found.dtype == np.float32 and found.flags.writeable
    np.testing.assert_array_equal(found, [[1, 2, 3], [4, 5, -6.5]])


@pytest.mark.parametrize('layer', [today, before_2015])
def test_shapes_of_old_files(layer, tmp_path):
    weight = b'\x08\x01\x10\x03\x18\x02\x20\x01' + part('2a', FLOATS)
    bias = b'\x08\x01\x10\x01\x18\x01\x20\x06' + part('2a', FLOATS)
    weight, bias = read(layer(b'conv1', weight, bias), tmp_path)['conv1']
    assert weight.shape == (1, 3, 2, 1) and bias.shape == (6,)
    assert weight.ravel().tolist() == bias.tolist() == VALUES


def test_many_single_floats(tmp_path):
    """Runs are read in pieces of 65,536: 200,001 values are three and a rest."""
    values = np.arange(200_001, dtype='<f4')
    records = np.zeros(len(values), dtype=[('tag', 'u1'), ('value', '<f4')])
    records['tag'], records['value'] = 0x2D, values
    blob = part('3a', part('0a', bytes([0xC1, 0x9A, 0x0C]))) + records.tobytes()  # 200001
    size = bytes([len(blob) & 127 | 128, len(blob) >> 7 & 127 | 128, len(blob) >> 14])
    inside = b'\x0a\x01c\x3a' + size + blob
    size = bytes([len(inside) & 127 | 128, len(inside) >> 7 & 127 | 128, len(inside) >> 14])
    found = read(b'\xa2\x06' + size + inside, tmp_path)['c'][0]
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize('legacy', [False, True])
def test_round_trip(legacy, tmp_path):
    rng = np.random.default_rng(0)
    layers = {
        f'conv{i}': [
            rng.standard_normal((i, 3, 5, 2)).astype(np.float32),
            rng.standard_normal(i).astype(np.float32),
        ]
        for i in (1, 2, 200)
    }
    write_caffemodel(tmp_path / 'a.caffemodel', layers, legacy=legacy)
    found = read_caffemodel(str(tmp_path / 'a.caffemodel'))
    assert list(found) == list(layers)
    for name, blobs in layers.items():
        assert len(found[name]) == 2
        for ours, theirs in zip(found[name], blobs):
            np.testing.assert_array_equal(ours, theirs, strict=True)


def test_writer_writes_the_bytes_put_together_by_hand(tmp_path):
    blob = np.array(VALUES).reshape(2, 3)
    write_caffemodel(tmp_path / 'a', {'conv1': [blob]})
    assert (tmp_path / 'a').read_bytes() == today(b'conv1', BLOBS['packed'])
    write_caffemodel(tmp_path / 'a', {'conv1': [blob]}, legacy=True)
    old_blob = b'\x08\x01\x10\x01\x18\x02\x20\x03' + part('2a', FLOATS)
    assert (tmp_path / 'a').read_bytes() == before_2015(b'conv1', old_blob)


def test_file_cut_at_any_byte(tmp_path):
    """Every beginning of it is refused, but the one that ends with the first layer."""
    one, two = today(b'conv1', BLOBS['packed']), today(b'conv2', BLOBS['single_floats'])
    for end in range(len(one + two)):
        if end == len(one):
            assert list(read(one, tmp_path)) == ['conv1']
            continue
        with pytest.raises(ValueError, match=r'some\.caffemodel') as error:
            read((one + two)[:end], tmp_path)
        begin, name = (0, 'conv1') if end < len(one) else (len(one), 'conv2')
        # tag and size of the layer, of the name: 3 + 2 bytes
        missing = (len(one) if end < len(one) else len(one + two)) - end
        inside = f"its {end} bytes end inside layer '{name}', which needs at least {missing} more"
        assert (inside in str(error.value)) == (end >= begin + 5 + len(name))


def bad_blob(blob):
    return today(b'good', BLOBS['packed']) + today(b'conv9', blob)


BROKEN = {
    'empty': (b'', 'no layers with weights'),
    'no_weights': (part('0a', b'net') + today(b'relu1'), 'no layers with weights'),
    'zeros': (bytes(1000), '0 at byte 0 begins no field'),
    'foreign_message': (b'\x68\x01' * 100, 'a network has no field 13'),
    'ones': (b'\xff' * 1000, 'more than ten bytes'),
    'values_do_not_fill_the_shape': (
        bad_blob(SHAPE_2_3 + part('2a', FLOATS[:20])),
        r"layer 'conv9': a blob of shape \(2, 3\) has 5 values",
    ),
    'too_many_values': (
        bad_blob(SHAPE_2_3 + part('2a', FLOATS * 2)),
        r"layer 'conv9': a blob of shape \(2, 3\) has 12 values",
    ),
    'no_values': (bad_blob(SHAPE_2_3), r"'conv9'.*\(2, 3\) has 0 values"),
    'no_shape': (bad_blob(part('2a', FLOATS)), r"'conv9'.*\(0, 0, 0, 0\) has 6 values"),
    'half_a_value': (bad_blob(SHAPE_2_3 + part('2a', FLOATS[:22])), "'conv9': 22 bytes"),
    'negative_size': (
        bad_blob(part('3a', part('0a', b'\xff' * 9 + b'\x01')) + part('2a', FLOATS)),
        "'conv9': a blob of shape",
    ),
    'number_for_values': (bad_blob(SHAPE_2_3 + b'\x28\x01'), "'conv9': a number where bytes"),
    'blob_cut_in_a_whole_layer': (
        bad_blob(SHAPE_2_3 + b'\x2a\x18' + FLOATS[:10]),
        "'conv9': a field in it needs 14 bytes more",
    ),
    'same_layer_twice': (
        today(b'conv9', BLOBS['packed']) * 2,
        "layer 'conv9' is in it twice",
    ),
}


@pytest.mark.parametrize('content, message', BROKEN.values(), ids=BROKEN)
def test_broken_files_are_named(content, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        read(content, tmp_path)
    assert str(tmp_path / 'some.caffemodel') in str(error.value)


@pytest.mark.parametrize('legacy', [False, True])
def test_values_that_are_not_finite_are_named(legacy, tmp_path):
    weight, bias = np.ones((2, 3, 1, 1)), np.zeros(2)
    for name, blobs in {
        'conv2 weight': [np.full_like(weight, np.nan), bias],
        'conv2 bias': [weight, np.array([0, -np.inf])],
        'conv2 blob 2': [weight, bias, np.array([np.inf])],
    }.items():
        write_caffemodel(tmp_path / 'a', {'conv1': [weight], 'conv2': blobs}, legacy=legacy)
        message = rf'{re.escape(str(tmp_path / "a"))}: {name} has values that are not finite'
        with pytest.raises(ValueError, match=message):
            read_caffemodel(tmp_path / 'a')


def test_other_files_are_refused(tmp_path):
    torch.save({'a': torch.zeros(3)}, tmp_path / 'new.pth')
    torch.save({'a': torch.zeros(3)}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / 'some.zip', 'w') as file:
        file.writestr('conv1', FLOATS)
    for path, message in (
        ('new.pth', ' is an archive, as PyTorch writes'),
        ('old.pth', ' is truncated, broken or no caffemodel'),
        ('some.zip', ' is an archive'),
        ('missing.caffemodel', ': no such file'),
        ('.', ' is a folder'),
    ):
        with pytest.raises(ValueError, match=re.escape(str(tmp_path / path)) + message) as error:
            read_caffemodel(tmp_path / path)
        assert ('Download' in str(error.value)) == (path == 'old.pth')


TEXTS = {
    'text': 'These are not the weights you are looking for.\n',
    'prototxt': 'name: "CPM"\r\ninput: "data"\r\ninput_dim: 1\r\n',
    'html': '<!DOCTYPE html><title>404</title>',
    'not_ascii': '# Café\n',
    'blank_line_first': '\n\t# Convolutional Pose Machines\n',
}


@pytest.mark.parametrize('text', TEXTS.values(), ids=TEXTS)
def test_text_is_not_to_be_downloaded_again(text, tmp_path):
    with pytest.raises(ValueError, match=r'is text, not weights; give the \.caffemodel$'):
        read(text.encode(), tmp_path)


def test_random_bytes_raise_nothing_but_value_errors(tmp_path):
    rng = np.random.default_rng(0)
    whole = today(b'conv1', BLOBS['packed']) + today(b'conv2', BLOBS['doubles'])
    refused = 0
    for _ in range(500):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            content[at] = rng.integers(256)
        try:
            read(bytes(content), tmp_path)
        except ValueError as error:
            assert 'some.caffemodel' in str(error)
            refused += 1
    assert 100 < refused < 500


# Names of the networks, by hand from the deploy files.

FLIC_NAMES = [
    'conv1_stage1', 'conv2_stage1', 'conv3_stage1', 'conv4_stage1', 'conv5_stage1',
    'conv6_stage1', 'conv7_stage1',
    'conv1_stage2', 'conv2_stage2', 'conv3_stage2', 'conv4_stage2',
    'Mconv1_stage2', 'Mconv2_stage2', 'Mconv3_stage2', 'Mconv4_stage2', 'Mconv5_stage2',
    'conv1_stage3',
    'Mconv1_stage3', 'Mconv2_stage3', 'Mconv3_stage3', 'Mconv4_stage3', 'Mconv5_stage3',
    'conv1_stage4',
    'Mconv1_stage4', 'Mconv2_stage4', 'Mconv3_stage4', 'Mconv4_stage4', 'Mconv5_stage4',
]  # fmt: skip
SEVEN = range(1, 8)
VGG_START = [
    'conv1_1', 'conv1_2', 'conv2_1', 'conv2_2', 'conv3_1', 'conv3_2', 'conv3_3', 'conv3_4',
    'conv4_1', 'conv4_2',
]  # fmt: skip


def test_names_of_the_paper_network():
    names = layer_names('cpm_flic')
    assert list(names) == FLIC_NAMES
    assert names['conv1_stage1'] == 'trunks.stage1_trunk.conv1.conv'
    assert names['conv4_stage1'] == 'stages.first.reduce.conv'
    assert names['conv5_stage1'] == 'stages.first.conv1.conv'
    assert names['conv6_stage1'] == 'stages.first.conv2.conv'
    assert names['conv7_stage1'] == 'stages.first.beliefs'
    assert names['conv3_stage2'] == 'trunks.shared_trunk.conv3.conv'
    assert names['conv4_stage2'] == 'stages.later.0.reduce.conv'
    assert names['Mconv1_stage2'] == 'stages.later.0.refine.0.conv'
    assert names['conv1_stage4'] == 'stages.later.2.reduce.conv'
    assert names['Mconv4_stage4'] == 'stages.later.2.refine.3.conv'
    assert names['Mconv5_stage4'] == 'stages.later.2.beliefs'
    assert list(layer_names('cpm_mpii')) == list(layer_names('cpm_lsp'))
    assert list(layer_names('cpm_mpii'))[: len(FLIC_NAMES)] == FLIC_NAMES


def test_names_of_the_vgg_networks():
    mpii, person = layer_names('cpm_mpii_vgg'), layer_names('cpm_person')
    own = [f'conv4_{i}_CPM' for i in range(3, 8)] + ['conv5_1_CPM', 'conv5_2_CPM']
    later = [f'Mconv{i}_stage{s}' for s in range(2, 7) for i in range(1, 8)]
    assert list(mpii) == VGG_START + own + later
    own = ['conv4_3', 'conv4_4', 'conv5_1', 'conv5_2_CPM', 'conv6_1_CPM', 'conv6_2_CPM']
    later = [f'Mconv{i}_stage{s}' for s in range(2, 5) for i in range(1, 8)]
    assert list(person) == VGG_START + own + later
    assert mpii['conv4_7_CPM'] == 'trunks.layers.conv4_7.conv'
    assert mpii['conv5_1_CPM'] == 'stages.first.conv2.conv'
    assert mpii['conv5_2_CPM'] == person['conv6_2_CPM'] == 'stages.first.beliefs'
    assert person['conv5_2_CPM'] == 'trunks.layers.conv4_6.conv'
    assert mpii['Mconv7_stage6'] == 'stages.later.4.beliefs'


def test_names_of_openpose_coco():
    """Stage 1 goes on with VGG's numbers; L1 is the branch of the fields."""
    names = layer_names('openpose_coco')
    trunk = [*VGG_START, 'conv4_3_CPM', 'conv4_4_CPM']
    first = [f'conv5_{i}_CPM_{b}' for b in ('L1', 'L2') for i in range(1, 6)]
    later = [f'Mconv{i}_stage{s}_{b}' for b in ('L1', 'L2') for s in range(2, 7) for i in SEVEN]
    assert list(names)[:12] == trunk and set(names) == {*trunk, *first, *later}
    assert len(names) == 92
    assert names['conv4_4_CPM'] == 'trunks.layers.conv4_4.conv'
    assert names['conv5_5_CPM_L2'] == 'stages.beliefs.0.output'
    assert names['Mconv1_stage2_L1'] == 'stages.fields.1.layers.0.conv'
    assert names['Mconv6_stage6_L2'] == 'stages.beliefs.5.hidden.conv'
    assert list(output_layers('openpose_coco').items())[::11] == [
        ('conv5_5_CPM_L1', (0, 'fields')), ('Mconv7_stage6_L2', (5, 'beliefs')),
    ]  # fmt: skip


def test_names_of_openpose_body25():
    """L2 is the branch of the fields, with four stages, and L1 that of the belief maps."""
    names = layer_names('openpose_body25')
    convs = [*VGG_START, 'conv4_3_CPM', 'conv4_4_CPM']
    slopes = ['prelu4_2', 'prelu4_3_CPM', 'prelu4_4_CPM']
    for branch, stages in (('L2', 4), ('L1', 2)):
        for s in range(stages):
            own = [f'conv{i}_stage{s}_{branch}_{j}' for i in range(1, 6) for j in range(3)]
            own.append(f'conv6_stage{s}_{branch}')
            convs += [f'M{name}' for name in [*own, f'conv7_stage{s}_{branch}']]
            slopes += [f'Mp{name.replace("conv", "relu")}' for name in own]
    assert set(names) == {*convs, *slopes} and len(names) == len(convs) + len(slopes) == 213
    assert names['prelu4_2'] == 'trunks.layers.conv4_2.prelu'
    assert names['Mconv2_stage0_L2_1'] == 'stages.fields.0.layers.1.convs.1.conv'
    assert names['Mprelu2_stage0_L2_1'] == 'stages.fields.0.layers.1.convs.1.prelu'
    assert names['Mconv6_stage1_L1'] == 'stages.beliefs.1.hidden.conv'
    assert names['Mconv7_stage3_L2'] == 'stages.fields.3.output'
    assert list(output_layers('openpose_body25').values()) == [
        *((stage, 'fields') for stage in range(4)), (4, 'beliefs'), (5, 'beliefs'),
    ]  # fmt: skip


def test_output_layers_of_a_network_of_one_person():
    assert output_layers('cpm_flic') == {
        'conv7_stage1': (0, 'beliefs'), 'Mconv5_stage2': (1, 'beliefs'),
        'Mconv5_stage3': (2, 'beliefs'), 'Mconv5_stage4': (3, 'beliefs'),
    }  # fmt: skip


@pytest.mark.parametrize('name', CAFFE_MODELS)
def test_every_weight_has_a_name(name):
    with torch.device('meta'):
        state = create_model(name).state_dict()
    modules = list(layer_names(name).values())
    assert len(set(modules)) == len(modules)
    slopes = {m for m in modules if m.endswith('.prelu')}  # without a bias
    biases = {f'{m}.bias' for m in set(modules) - slopes}
    assert {f'{m}.weight' for m in modules} | biases == set(state)


@pytest.fixture(scope='module')
def flic():
    return random_layers('cpm_flic', 0)


def test_random_layers_are_the_same_again_and_finite(flic):
    again, other = random_layers('cpm_flic', 0), random_layers('cpm_flic', 1)
    for name, (weight, bias) in flic.items():
        assert np.array_equal(weight, again[name][0]) and np.array_equal(bias, again[name][1])
        assert not np.array_equal(weight, other[name][0])
        assert 0 < np.abs(bias).max() <= 0.1
        # He: variance 2 / (values that one output is made of)
        assert weight.var() * weight[0].size == pytest.approx(2, rel=0.1)


def test_random_inputs():
    image, center = random_inputs(20, 41, 0)
    assert image.shape == (1, 3, 20, 41) and center.shape == (1, 1, 20, 41)
    assert image.dtype == center.dtype == np.float32
    assert image.min() >= -0.5 and image.max() < 0.5 and image.std() > 0.2
    assert np.array_equal(image * 256, np.round(image * 256))
    assert center.min() >= 0 and center.max() <= 4 and center.std() > 0.5


@pytest.mark.parametrize('legacy', [False, True])
def test_weights_of_a_network_become_ours(legacy, flic, tmp_path):
    write_caffemodel(tmp_path / 'flic.caffemodel', flic, legacy=legacy)
    state = load_caffemodel(tmp_path / 'flic.caffemodel', 'cpm_flic')
    assert len(state) == 2 * len(flic)
    for layer, module in layer_names('cpm_flic').items():
        for kind, blob in zip(('weight', 'bias'), flic[layer]):
            np.testing.assert_array_equal(state[f'{module}.{kind}'].numpy(), blob, strict=True)


def changed(layers, **changes):
    return {name: changes.get(name, blobs) for name, blobs in layers.items()} | changes


def test_layers_that_do_not_fit_are_named(flic):
    weight, bias = flic['Mconv1_stage3']
    spoilt = weight.copy()
    spoilt[3, 2, 1, 0] = np.nan
    endless = bias.copy()
    endless[7] = -np.inf
    cases = {
        'Mconv1_stage3 weight has values that are not finite': [spoilt, bias],
        'Mconv1_stage3 bias has values that are not finite': [weight, endless],
        r'another shape: Mconv1_stage3 weight \(128, 43, 11, 10\).*\(128, 43, 11, 11\)': [
            weight[..., :10],
            bias,
        ],
        r'another shape: Mconv1_stage3 bias \(1, 128\) \(the model has \(128,\)\)': [
            weight,
            bias[None],
        ],
        'missing: Mconv1_stage3 bias': [weight],
        'left over: Mconv1_stage3 blob 2': [weight, bias, bias],
    }
    for message, blobs in cases.items():
        with pytest.raises(ValueError, match=message):
            from_caffe(changed(flic, Mconv1_stage3=blobs), 'cpm_flic')
    with pytest.raises(ValueError, match='left over: conv8_stage1 weight'):
        from_caffe(changed(flic, conv8_stage1=[weight]), 'cpm_flic')
    missing = {name: blobs for name, blobs in flic.items() if name != 'conv2_stage2'}
    with pytest.raises(ValueError, match='missing: conv2_stage2 weight, conv2_stage2 bias'):
        from_caffe(missing, 'cpm_flic')


def test_weights_of_another_network_are_refused(flic):
    with pytest.raises(ValueError, match=r'not the weights of cpm_mpii; missing: conv1_stage5 w'):
        from_caffe(flic, 'cpm_mpii')
    with pytest.raises(ValueError, match=r'not the weights of cpm_person; missing: conv1_1 wei'):
        from_caffe(flic, 'cpm_person')
    with pytest.raises(ValueError, match=r'conv7_stage1 weight \(10, 512, 1, 1\)'):
        from_caffe(flic, 'cpm_lsp')
    with pytest.raises(ValueError, match=r"no network 'cpm_6s' of the authors; there are: .*flic"):
        from_caffe(flic, 'cpm_6s')


def test_truncated_weights_of_a_network(flic, tmp_path):
    """Cut in the middle of values and between two layers."""
    path = tmp_path / 'flic.caffemodel'
    write_caffemodel(path, dict(list(flic.items())[:-6]))
    between = path.stat().st_size
    write_caffemodel(path, flic)
    content = path.read_bytes()
    for end in [*np.linspace(99, len(content) - 99, 10, dtype=int), len(content) - 1]:
        path.write_bytes(content[:end])
        with pytest.raises(
            ValueError,
            match=rf"flic\.caffemodel is truncated: its {end} bytes end inside layer 'M?conv\d_",
        ):
            load_caffemodel(path, 'cpm_flic')
    path.write_bytes(content[:between])
    with pytest.raises(ValueError, match=r'flic\.caffemodel: .*missing: conv1_stage4 weight'):
        load_caffemodel(path, 'cpm_flic')
