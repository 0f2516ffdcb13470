"""Write exported weights in half precision, with the configuration they came with."""

import json
import sys

from safetensors import safe_open

from gan.checkpoint import export, load_network
from segan.generator import KINDS

source, target = sys.argv[1:]
with safe_open(source, framework="pt") as file:
    notes = file.metadata()
config = json.loads(notes.pop("config"))
export(target, load_network(source, KINDS).half(), config, **notes)
