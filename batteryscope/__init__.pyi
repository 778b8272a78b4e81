from batteryscope.api import Model as Model
from batteryscope.api import load as load
from batteryscope.api import read_picture as read_picture
from batteryscope.api import read_volume as read_volume
from batteryscope.api import results as results

__version__: str
