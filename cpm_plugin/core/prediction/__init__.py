"""From an image to the poses of people in it: reading, cropping, predicting, drawing."""

from .crops import person_crop
from .images import read_image
from .poses import Poses
from .predict import predict

__all__ = ['Poses', 'person_crop', 'predict', 'read_image']
