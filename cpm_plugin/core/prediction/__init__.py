"""From an image to the poses of people in it: reading, cropping, predicting, drawing, exporting."""

from .crops import person_crop
from .export import export_network
from .images import read_image
from .poses import Poses
from .predict import predict
from .proposals import propose_people
from .stages import PersonStages, person_stages

__all__ = [
    'PersonStages',
    'Poses',
    'export_network',
    'person_crop',
    'person_stages',
    'predict',
    'propose_people',
    'read_image',
]
