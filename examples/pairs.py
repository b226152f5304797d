"""Figures of image and spectrum: predictions, latent spaces, images of spectra, of simulated plasmonic particles, into docs/.

    python -m examples.pairs --out docs

One seed and short trainings take about ten minutes on two cores. The figures show what the models do, the scoreboard (benchmarks/) how
good they are.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.trials.pairs import PairSet, assemblies, pair_set
from invae import DualVAE, EncoderDecoder
from invae.config.plasmons import ClustersConfig, PlasmonsConfig
from invae.regression import scores
from invae.report import style

DPI = 110
SEED, UNSEEN_SEED = 0, 1
N_PAIRS, N_CLUSTERS = 640, 800
EXAMPLES = 5
TRAINING = {"epochs": 60}
MEASURED, TRUTH, PREDICTED = style.MUTED, style.INK, style.ACCENT


@dataclass(frozen=True)
class Clusters:
    """Clusters to learn from, unseen ones, and models of them."""

    words: str
    training: PairSet
    unseen: PairSet
    dual: DualVAE
    separated: DualVAE


def spectrum_axis(axis: Axes) -> None:
    """Labels of an axis of energy."""
    axis.set(xlabel="energy [eV]", yticks=[])


def show_image(axis: Axes, image: np.ndarray, title: str = "") -> None:
    """A patch without ticks."""
    axis.imshow(image, cmap="Greys_r")
    axis.set(xticks=[], yticks=[], title=title)


def predictions(model: EncoderDecoder, unseen: PairSet) -> Figure:
    """Patches, measured spectra, spectra without noise, and predictions with intervals, from the best to the worst."""
    said = model.predict(unseen.images)
    strong = np.flatnonzero(unseen.clean.max(1) > np.median(unseen.clean.max(1)))
    error = scores.relative_error(said["mean"].to_numpy()[strong], unseen.clean[strong])
    chosen = strong[np.argsort(error)[np.linspace(0, len(error) - 1, EXAMPLES).astype(int)]]
    figure = style.new_figure(4.2)
    axes = figure.subplots(2, EXAMPLES, height_ratios=(1, 1.2))
    ranks = ("best", "", "median", "", "worst")
    for column, site in enumerate(chosen):
        show_image(axes[0, column], unseen.images[site], ranks[column])
        axis = axes[1, column]
        axis.fill_between(
            unseen.axis, said["lower"][site], said["upper"][site], color=PREDICTED, alpha=0.2, lw=0
        )
        axis.plot(unseen.axis, unseen.spectra[site], ".", ms=2, color=MEASURED, label="measured")
        axis.plot(unseen.axis, unseen.clean[site], color=TRUTH, lw=1, label="without noise")
        axis.plot(unseen.axis, said["mean"][site], color=PREDICTED, label="predicted, 90 %")
        spectrum_axis(axis)
    axes[1, 0].legend(fontsize=7)
    return figure


def latent_space(model: EncoderDecoder, unseen: PairSet) -> Figure:
    """Two principal components of the latent variables, by peak energy and by strength, and spectra along the first one."""
    content = model.encode(unseen.images)["content"].to_numpy()
    centred = content - content.mean(0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    peak = scores.peak_position(unseen.clean, unseen.axis)
    height = unseen.clean.max(1)
    figure = style.new_figure(3.4)
    axes = figure.subplots(1, 3)
    for axis, values, words in (
        (axes[0], peak, "peak of the true spectrum [eV]"),
        (axes[1], height / height.max(), "height of the true spectrum, relative"),
    ):
        bounds = style.limits(values)
        axis.scatter(*plane.T, c=values, s=6, lw=0, cmap="viridis", vmin=bounds[0], vmax=bounds[1])
        axis.set(xlabel="component 1 of content", ylabel="component 2")
        style.colour_bar(figure, axis, cmap="viridis", bounds=bounds, label=words)
    mean = model.predict(unseen.images)["mean"].to_numpy()
    order = np.array_split(np.argsort(plane[:, 0]), 6)
    for colour, part in zip(style.shades("viridis", 6), order, strict=True):
        axes[2].plot(unseen.axis, mean[part].mean(0), color=colour)
    axes[2].set_title("mean prediction along component 1")
    spectrum_axis(axes[2])
    return figure


def images_of_spectra(model: EncoderDecoder, unseen: PairSet) -> Figure:
    """True images and samples given their spectra, of clusters of one to four particles."""
    chosen = [int(np.flatnonzero(unseen.number == n)[0]) for n in sorted(set(unseen.number))]
    drawn = model.sample(unseen.spectra[chosen], 5, seed=SEED).to_numpy()[:, :, 0]
    figure = style.new_figure(1.55 * len(chosen))
    axes = figure.subplots(len(chosen), 7)
    for row, site in enumerate(chosen):
        axes[row, 0].plot(unseen.axis, unseen.spectra[site], color=MEASURED, lw=1)
        spectrum_axis(axes[row, 0])
        show_image(axes[row, 1], unseen.images[site], "true image" if row == 0 else "")
        for number in range(5):
            title = "samples, upright" if row == 0 and number == 2 else ""
            show_image(axes[row, 2 + number], drawn[number, row], title)
    return figure


def both_spaces(clusters: Clusters) -> Figure:
    """What image and spectrum say of the latent variables, by number of particles; lines join partners."""
    figure = style.new_figure(6.4)
    axes = figure.subplots(2, 3)
    unseen = clusters.unseen
    colours = style.class_colours(4)
    for row, (words, model) in enumerate(
        (("separated", clusters.separated), ("dual", clusters.dual))
    ):
        said = model.encode(images=unseen.images, spectra=unseen.spectra)
        values = [said[f"content_{name}"].to_numpy() for name in ("image", "spectrum")]
        centre = values[0].mean(0)
        components = np.linalg.svd(values[0] - centre, full_matrices=False)[2][:2].T
        shared = words == "dual"
        planes = [
            (v - (centre if shared else v.mean(0)))
            @ (components if shared else np.linalg.svd(v - v.mean(0), full_matrices=False)[2][:2].T)
            for v in values
        ]
        for column, (plane, name) in enumerate(zip(planes, ("image", "spectrum"), strict=True)):
            axis = axes[row, column]
            axis.scatter(*plane.T, c=colours(unseen.number - 1), s=7, lw=0)
            axis.set_title(f"{words}: latent variables from the {name}")
        axis = axes[row, 2]
        distance = model.match(images=unseen.images, spectra=unseen.spectra).to_numpy()
        ranks = (distance < np.diagonal(distance)[:, None]).sum(1)
        axis.plot(np.sort(ranks) + 1, np.arange(1, len(ranks) + 1) / len(ranks), color=PREDICTED)
        axis.plot([1, len(ranks)], [0, 1], color=MEASURED, ls=":", lw=1)
        axis.set(
            xscale="log",
            xlabel="rank of the true image",
            ylabel="share of spectra",
            title=f"{words}: images found from spectra",
        )
    handles = [
        axes[0, 0].plot([], [], "o", color=colours(k), label=f"{k + 1}")[0] for k in range(4)
    ]
    axes[0, 0].legend(handles=handles, title="particles", fontsize=7)
    return figure


def translations(clusters: Clusters) -> Figure:
    """Spectra from images and images from spectra by the dual model, beside the truth."""
    unseen, model = clusters.unseen, clusters.dual
    chosen = [int(np.flatnonzero(unseen.number == n)[1]) for n in sorted(set(unseen.number))]
    spectra = model.translate(unseen.images[chosen], to="spectrum").to_numpy()
    images = model.translate(unseen.spectra[chosen], to="image").to_numpy()[:, 0]
    figure = style.new_figure(4.6)
    axes = figure.subplots(3, len(chosen), squeeze=False)
    for column, site in enumerate(chosen):
        show_image(axes[0, column], unseen.images[site], "true image")
        show_image(axes[1, column], images[column], "from the spectrum, upright")
        axis = axes[2, column]
        axis.plot(unseen.axis, unseen.clean[site], color=TRUTH, lw=1, label="true spectrum")
        axis.plot(unseen.axis, spectra[column], color=PREDICTED, label="from the image")
        spectrum_axis(axis)
    axes[2, 0].legend(fontsize=7)
    return figure


def learn_clusters(most: int) -> Clusters:
    """Models of clusters of up to `most` particles."""

    def config(n: int) -> PlasmonsConfig:
        return PlasmonsConfig(sample=ClustersConfig(n_clusters=n, max_particles=most))

    pixels = ClustersConfig().pixels
    training = pair_set(config(N_CLUSTERS), seed=SEED, pixels=pixels)
    unseen = pair_set(config(300), seed=UNSEEN_SEED, pixels=pixels)
    dual, separated = (
        DualVAE(family, seed=SEED, training=TRAINING).fit(training.given)
        for family in ("dual", "separated")
    )
    words = f"clusters of 1 to {most} particles"
    return Clusters(words, training, unseen, dual, separated)


def main() -> None:
    """Train, draw, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the pages")
    out: Path = parser.parse_args().out / "images" / "pairs"
    out.mkdir(parents=True, exist_ok=True)
    training, unseen = assemblies(N_PAIRS, "one", seed=SEED, pixels=32)
    forward = EncoderDecoder(n_members=1, seed=SEED).fit(training.given)
    figures = {"predictions": predictions, "latents": latent_space}
    with style.applied(DPI):
        for name, draw in figures.items():
            draw(forward, unseen).savefig(out / f"{name}.png")
        for most in (4, 2):
            clusters = learn_clusters(most)
            both_spaces(clusters).savefig(out / f"both_spaces_{most}.png")
            translations(clusters).savefig(out / f"translations_{most}.png")
            if most == 4:
                backward = EncoderDecoder("spectrum", "image", n_members=1, training=TRAINING)
                backward.fit(clusters.training.given)
                images_of_spectra(backward, clusters.unseen).savefig(out / "images_of_spectra.png")
    print(out)


if __name__ == "__main__":
    main()
