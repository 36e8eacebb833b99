"""Conversion of other weights to ours: the authors' Caffe, MMPose's own CPM, an encoder."""

from .caffe import read_caffemodel
from .caffe_networks import CAFFE_MODELS, load_caffemodel
from .mmpose_cpm import from_stock, to_stock
from .movenet import encoder_from_movenet

__all__ = [
    'CAFFE_MODELS',
    'encoder_from_movenet',
    'from_stock',
    'load_caffemodel',
    'read_caffemodel',
    'to_stock',
]
