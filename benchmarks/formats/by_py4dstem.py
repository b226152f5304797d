"""Read a scan with py4DSTEM, in its own environment, or write one; run as a program, imports nothing of invae.

python by_py4dstem.py read "" FILE OUT.npz
python by_py4dstem.py read ROWS,COLUMNS FILE.raw OUT.npz      # of an EMPAD
python by_py4dstem.py write "" "" OUT.h5
"""

import json
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")


def datacube(file, shape):
    """The scan of a file: py4DSTEM's own, or that of a detector."""
    import py4DSTEM  # pyright: ignore[reportMissingImports]  (its own environment)

    if file.endswith(".h5"):
        return py4DSTEM.read(file)
    if file.endswith(".raw"):
        rows, columns = map(int, shape.split(","))
        return py4DSTEM.import_file(file, EMPAD_shape=(rows, columns, 130, 128))
    return py4DSTEM.import_file(file)


def main():
    """Write values, axes and unit of a scan, or a scan of random counts with its calibration."""
    action, shape, file, out = sys.argv[1:]
    if action == "write":
        write(out)
        return
    cube = datacube(file, shape)
    known = cube.calibration
    scan = [float(known.get_R_pixel_size()), str(known.get_R_pixel_units())]
    detector = [float(known.get_Q_pixel_size()), str(known.get_Q_pixel_units())]
    axes = [["Rx", *scan], ["Ry", *scan], ["Qx", *detector], ["Qy", *detector]]
    about = [{"name": "datacube", "unit": "", "axes": axes}]
    arrays = {"0": np.asarray(cube.data), "about": np.array(json.dumps(about))}
    np.savez(out, **arrays)  # pyright: ignore[reportArgumentType]


def write(out):
    """A scan as py4DSTEM saves it: steps of 3 Å, a detector of 0.05 1/Å."""
    import py4DSTEM  # pyright: ignore[reportMissingImports]  (its own environment)

    counts = np.random.default_rng(0).poisson(20, (6, 5, 16, 12)).astype(np.uint16)
    cube = py4DSTEM.DataCube(data=counts)
    cube.calibration.set_R_pixel_size(3.0)
    cube.calibration.set_R_pixel_units("A")
    cube.calibration.set_Q_pixel_size(0.05)
    cube.calibration.set_Q_pixel_units("A^-1")
    py4DSTEM.save(out, cube, mode="o")


if __name__ == "__main__":
    main()
