"""The splits that an ablation is run on: the user's, or synthetic people."""

from dataclasses import replace
from pathlib import Path

from engine.config import ConfigError
from sharding.manifest import read_manifest
from sharding.storage import Folder, open_folder
from tune.budget import make_smoke_data
from tune.places import absolute
from tune.table import Table
from tune.table_options import AblationOptions
from tune.table_plan import detectors_of


def ready_options(table: Table, options: AblationOptions, folder: Folder) -> AblationOptions:
    """With absolute paths; with synthetic people where the smoke budget is not given any data.

    Raises:
        ConfigError: there is no data, or of another benchmark, or a file does not exist.
    """
    if not options.train and not options.val and options.budget == "smoke":
        data = make_smoke_data(table.benchmark, folder.subfolder("smoke"), detectors_of(table))
        boxes = {**data.detections, **options.detections}
        options = replace(options, train=(data.train,), val=data.val, detections=boxes)
    if not options.train or not options.val:
        raise ConfigError(f"{table.name} needs --data and --val: URIs of a training split and of {table.dataset}")
    for uri in (*options.train, options.val):
        found = read_manifest(open_folder(uri)).dataset
        if found != table.benchmark:
            raise ConfigError(f"{uri} is a split of {found}; {table.name} is measured on {table.dataset}")
    for option, files in (("--detections", options.detections), ("--weights", options.weights)):
        for file in files.values():
            if "://" not in file and not Path(file).expanduser().is_file():
                raise ConfigError(f"{option}: {file} does not exist")
    return replace(
        options,
        train=tuple(map(absolute, options.train)),
        val=absolute(options.val),
        detections={name: absolute(file) for name, file in options.detections.items()},
        weights={name: absolute(file) for name, file in options.weights.items()},
    )
