"""Read a file with SciFiReaders, in its own environment, or write it as NSID; run as a program, imports nothing of invae.

python by_scifireaders.py read READER FILE OUT.npz
python by_scifireaders.py nsid READER FILE OUT.h5
"""

import json
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")


def axis(dataset, number):
    """Name, step and unit of an axis."""
    values = np.asarray(dataset._axes[number].values, float)
    step = float(values[1] - values[0]) if len(values) > 1 else 1.0
    return [str(dataset._axes[number].name), step, str(dataset._axes[number].units)]


def datasets(reader, file):
    """All datasets of a file, by their names."""
    import SciFiReaders

    found = getattr(SciFiReaders, reader)(file).read()
    if isinstance(found, dict):
        return found
    return dict(enumerate(found if isinstance(found, list) else [found]))


def main():
    """Write values, axes and units of every dataset, or write the datasets as NSID."""
    action, reader, file, out = sys.argv[1:]
    found = datasets(reader, file)
    if action == "nsid":
        write_nsid(found, out)
        return
    arrays = {str(n): np.asarray(dataset) for n, dataset in enumerate(found.values())}
    about = [
        {
            "name": str(dataset.title),
            "unit": str(dataset.units),
            "axes": [axis(dataset, n) for n in range(dataset.ndim)],
        }
        for dataset in found.values()
    ]
    np.savez(out, about=json.dumps(about), **arrays)


def write_nsid(found, out):
    """Every dataset as a channel of its own."""
    import h5py
    import pyNSID

    with h5py.File(out, "w") as file:
        for number, dataset in enumerate(found.values()):
            group = file.create_group(f"Measurement_000/Channel_{number:03}")
            pyNSID.hdf_io.write_nsid_dataset(dataset, group, main_data_name=f"Channel_{number:03}")


if __name__ == "__main__":
    main()
