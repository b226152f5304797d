"""Sites of the lattice without an atom, ringed on the image."""

import numpy as np

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result

TITLE = "Empty sites of the lattice"


def vacancies(result: Result, config: ReportConfig) -> Drawing:
    """The frame with most empty sites, as recorded, and where they are."""
    empty, frames = result["vacancies"], result["images"]
    if not empty.sizes["vacancy"]:
        raise LeftOut(TITLE, "an atom was found on every site")
    own = empty[dims.FRAME].to_numpy()
    counts = [int((own == number).sum()) for number in frames[dims.FRAME].to_numpy()]
    index = int(np.argmax(counts))
    figure, axes = style.panels(2, columns=2, panel_height=images.panel_height(frames, 2))
    here = own == int(frames[dims.FRAME][index])
    for axis in axes:
        title = images.frame_title(frames, index)
        images.prepare(axis, frames, title=title, bar=axis is axes[0])
        images.show_background(axis, result, index)
    axes[1].plot(
        empty[dims.X].to_numpy()[here],
        empty[dims.Y].to_numpy()[here],
        "o",
        ms=10,
        mfc="none",
        mec=style.CLASSES[1],
        mew=1.6,
        zorder=5,
    )
    ratio = (empty["height"] / empty["expected"]).to_numpy()
    return Drawing(
        "vacancies",
        TITLE,
        "Ringed are places to which steps of the lattice lead from the atoms all around, and where no atom was found. The group "
        "`vacancies` of the result lists them, with the height found there and that of the atoms that belong on such sites: a place "
        "where it is much more than zero may hold an atom too weak to be found. Beyond the edge of a crystal, and in a hole of many "
        "atoms, nothing is ringed but its rim.",
        figure,
        f"{empty.sizes['vacancy']} in all, {counts[index]} of them in this frame; height there, as a share of an atom's: median "
        f"{style.number(float(np.median(ratio)))}, largest {style.number(float(ratio.max()))}.",
    )
