"""Virtual images and the centre of mass by py4DSTEM; run by the interpreter of py4DSTEM's own environment."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import py4DSTEM

from benchmarks.peers.scans import Request, answer
from benchmarks.timing import Work


@contextmanager
def works(request: Request) -> Iterator[dict[str, Work]]:
    """The timed work, by name; the patterns are in memory beforehand."""
    cube = py4DSTEM.DataCube(data=np.load(request["file"]))
    for name, size in (("Q", 1.0), ("R", 1.0)):
        getattr(cube.calibration, f"set_{name}_pixel_size")(size)
    cube.calibration.set_Q_pixel_units("mrad")
    cube.calibration.set_R_pixel_units("A")
    centre = tuple(request["centre"])

    def bands() -> None:
        for number, (inner, outer) in enumerate(request["bands"]):
            cube.get_virtual_image(
                mode="annulus",
                geometry=(centre, (inner, outer)),
                name=f"band {number}",
                verbose=False,
            )

    def centre_of_mass() -> None:
        field = py4DSTEM.process.phase.DPC(datacube=cube, energy=60e3, verbose=False)
        field.preprocess(
            force_com_rotation=0.0,
            force_com_transpose=False,
            plot_center_of_mass=False,
            plot_rotation=False,
        )

    yield {"three bands": bands, "centre of mass": centre_of_mass}


if __name__ == "__main__":
    answer(works)
