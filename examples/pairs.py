"""Figures of image and spectrum: predictions, latent spaces, images of spectra, of simulated plasmonic particles, into docs/.

    python -m examples.pairs --out docs

One seed and short trainings take five minutes of processor time. The figures show what the models do, the scoreboard (benchmarks/) how
good they are.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.trials.pairs import PairSet, assemblies, pair_set
from invae import DualVAE, EncoderDecoder
from invae.config.plasmons import ClustersConfig, PlasmonsConfig
from invae.regression import scores
from invae.report import as_bytes, style

DPI = 90
SEED, UNSEEN_SEED = 0, 1
N_PAIRS, N_CLUSTERS, N_UNSEEN = 640, 1200, 300
EXAMPLES, SAMPLES, JOINED, DOTS = 5, 5, 40, 600
WITHIN = (1, 2, 5, 10, 20, 50, 100)
TRAINING = {"epochs": 80}
PIXEL_NM = 2.5
MEASURED, TRUTH, PREDICTED, OTHER = style.MUTED, style.INK, style.ACCENT, style.SECOND


@dataclass(frozen=True)
class Clusters:
    """Clusters to learn from, unseen ones, and models of them."""

    most: int
    """Particles of the largest."""
    training: PairSet
    unseen: PairSet
    models: Mapping[str, DualVAE]
    """By family."""

    @property
    def numbers(self) -> list[int]:
        """Numbers of particles."""
        return list(range(1, self.most + 1))


def spectrum_axis(axis: Axes) -> None:
    """Labels of an axis of energy."""
    axis.set(xlabel="energy [eV]", yticks=[])


def show_image(axis: Axes, image: np.ndarray, title: str = "", *, bar: bool = False) -> None:
    """A patch without ticks."""
    axis.imshow(image, cmap="Greys_r")
    axis.set(xticks=[], yticks=[], title=title)
    axis.spines[:].set_visible(False)
    if bar:
        style.scale_bar(axis, width=image.shape[1], pixel_nm=PIXEL_NM)


def predictions(model: EncoderDecoder, unseen: PairSet) -> Figure:
    """Patches, measured spectra, spectra without noise, and predictions with intervals, from the best to the worst."""
    said = model.predict(unseen.images)
    strong = np.flatnonzero(unseen.clean.max(1) > np.median(unseen.clean.max(1)))
    error = scores.relative_error(said["mean"].to_numpy()[strong], unseen.clean[strong])
    order = np.argsort(error)[np.linspace(0, len(error) - 1, EXAMPLES).astype(int)]
    figure = style.new_figure(4.6)
    axes = figure.subplots(2, EXAMPLES, height_ratios=(1, 1.1))
    ranks = ("best: ", "", "median: ", "", "worst: ")
    for column, (rank, place) in enumerate(zip(ranks, order, strict=True)):
        site = strong[place]
        image, axis = axes[:, column]
        words = f"{rank}error {style.number(float(error[place]), 2)}"
        show_image(image, unseen.images[site], words, bar=column == 0)
        image.plot(*[(n - 1) / 2 for n in unseen.images.shape[:0:-1]], "+", ms=9, color=OTHER)
        axis.fill_between(
            unseen.axis, said["lower"][site], said["upper"][site], color=PREDICTED, alpha=0.2, lw=0
        )
        axis.plot(unseen.axis, unseen.spectra[site], ".", ms=3, color=MEASURED, label="measured")
        axis.plot(unseen.axis, unseen.clean[site], color=TRUTH, lw=1, label="without noise")
        axis.plot(unseen.axis, said["mean"][site], color=PREDICTED, label="predicted, 90 %")
        spectrum_axis(axis)
        axis.set_ylim(-0.08 * unseen.clean.max(), 1.15 * unseen.clean.max())
    axes[1, 0].set_ylabel("loss probability")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    r2, r2_truth = (scores.r2(said["mean"].to_numpy(), s) for s in (unseen.spectra, unseen.clean))
    print(f"im2spec: R² {r2:.3f} of measured, {r2_truth:.3f} of true spectra")
    return figure


def latent_space(model: EncoderDecoder, unseen: PairSet) -> Figure:
    """Two principal components of the latent variables, by peak energy and by strength, and spectra along the first one."""
    content = model.encode(unseen.images)["content"].to_numpy()
    plane = in_plane(content, content)
    peak = scores.peak_position(unseen.clean, unseen.axis)
    height = unseen.clean.max(1)
    figure = style.new_figure(3.3)
    figure.get_layout_engine().set(wspace=0.1)  # type: ignore[union-attr]
    axes = figure.subplots(1, 3)
    shown = slice(0, DOTS)
    for axis, values, words in (
        (axes[0], peak, "true maximum [eV]"),
        (axes[1], height / height.max(), "true height, relative"),
    ):
        bounds = style.limits(values)
        axis.scatter(
            *plane[shown].T,
            c=values[shown],
            s=7,
            lw=0,
            cmap="viridis",
            vmin=bounds[0],
            vmax=bounds[1],
        )
        axis.set(xlabel="component 1 of the content", ylabel="component 2")
        style.colour_bar(figure, axis, cmap="viridis", bounds=bounds, label=words)
    mean = model.predict(unseen.images)["mean"].to_numpy()
    order = np.array_split(np.argsort(plane[:, 0]), 6)
    for number, (colour, part) in enumerate(zip(style.shades("plasma", 6), order, strict=True)):
        ends = {0: "left end", 5: "right end"}
        axes[2].plot(unseen.axis, mean[part].mean(0), color=colour, label=ends.get(number))
    axes[2].set(title="along component 1", ylabel="mean predicted loss")
    axes[2].legend(fontsize=8, handlelength=1, loc="upper left")
    spectrum_axis(axes[2])
    return figure


def images_of_spectra(model: EncoderDecoder, clusters: Clusters) -> Figure:
    """True images, and samples given their spectra with the spectra that the dual model predicts of them."""
    unseen = clusters.unseen
    chosen = [int(np.flatnonzero(unseen.number == n)[0]) for n in clusters.numbers]
    drawn = model.sample(unseen.spectra[chosen], SAMPLES, seed=SEED).to_numpy()[:, :, 0]
    wide = f"true, {PIXEL_NM * unseen.images.shape[-1]:g} nm wide"
    figure = style.new_figure(1.5 * len(chosen) + 0.3)
    axes = figure.subplots(len(chosen), SAMPLES + 2, width_ratios=(1.6, *[1] * (SAMPLES + 1)))
    for row, site in enumerate(chosen):
        first = axes[row, 0]
        again = clusters.models["dual"].translate(drawn[:, row], to="spectrum").to_numpy()
        lines = first.plot(unseen.axis, again.T, color=PREDICTED, lw=0.7, alpha=0.7)
        lines[0].set_label("spectra of the samples, by the dual model")
        first.plot(unseen.axis, unseen.spectra[site], color=TRUTH, lw=1, label="given spectrum")
        first.set(yticks=[])
        if row == len(chosen) - 1:
            first.set_xlabel("energy [eV]")
        else:
            first.set_xticklabels([])
        show_image(axes[row, 1], unseen.images[site], wide if row == 0 else "")
        for number in range(SAMPLES):
            title = f"sample {number + 1}" if row == 0 else ""
            show_image(axes[row, 2 + number], drawn[number, row], title)
    curves, words = axes[0, 0].get_legend_handles_labels()
    figure.legend(curves, words, loc="outside lower left", ncols=2)
    return figure


def in_plane(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The first two principal components of `reference`, of `values` (site, 2)."""
    centre = reference.mean(0)
    return (values - centre) @ np.linalg.svd(reference - centre, full_matrices=False)[2][:2].T


def both_spaces(clusters: Clusters) -> Figure:
    """What image and spectrum say of the latent variables, partners joined by lines, and how many are found."""
    figure = style.new_figure(6.6)
    axes = figure.subplots(2, 3)
    unseen = clusters.unseen
    colours = style.class_colours(clusters.most)
    for axis in axes[1, 1:]:  # one space
        axis.sharex(axes[1, 0])
        axis.sharey(axes[1, 0])
    planes: list[np.ndarray] = []
    for row, family in enumerate(("separated", "dual")):
        said = clusters.models[family].encode(images=unseen.images, spectra=unseen.spectra)
        values = [said[f"content_{name}"].to_numpy() for name in ("image", "spectrum")]
        planes = [in_plane(v, values[0] if family == "dual" else v) for v in values]
        for axis, plane, name in zip(axes[row], planes, ("image", "spectrum"), strict=False):
            for n in clusters.numbers:
                here = unseen.number == n
                axis.scatter(*plane[here].T, color=colours(n - 1), s=8, lw=0, label=str(n))
            axis.set(title=f"{family}: from the {name}", xlabel="component 1", ylabel="component 2")
    dots, words = axes[0, 0].get_legend_handles_labels()
    number = [f"{n} particle{'s' * (n != '1')}" for n in words]
    figure.legend(dots, number, loc="outside lower center", ncols=len(dots), markerscale=1.6)
    several = np.flatnonzero(unseen.number > 1)
    ends = np.stack([plane[several[:JOINED]] for plane in planes], axis=1)
    axes[1, 2].plot(ends[..., 0].T, ends[..., 1].T, color=MEASURED, lw=0.7)
    for end, name, colour in ((0, "image", PREDICTED), (1, "spectrum", OTHER)):
        axes[1, 2].scatter(*ends[:, end].T, s=10, color=colour, lw=0, label=name, zorder=3)
    axes[1, 2].set(
        title="dual: partners, 2 or more particles", xlabel="component 1", ylabel="component 2"
    )
    axes[1, 2].legend(fontsize=8)
    found_partners(axes[0, 2], clusters, several)
    return figure


def found_partners(axis: Axes, clusters: Clusters, several: np.ndarray) -> None:
    """Share of spectra whose image is among the nearest; single particles are left out, their spectra are all alike."""
    images, spectra = (getattr(clusters.unseen, name)[several] for name in ("images", "spectra"))
    for family, colour in (("separated", MEASURED), ("dual", PREDICTED)):
        distance = clusters.models[family].match(images=images, spectra=spectra).to_numpy()
        shares = [scores.recall(distance, within=k) for k in WITHIN]
        axis.plot(WITHIN, shares, marker=".", color=colour, label=family)
        print(f"up to {clusters.most}, {family}: found {[round(share, 3) for share in shares]}")
    chance = [k / len(several) for k in WITHIN]
    axis.plot(WITHIN, chance, ":", color=TRUTH, lw=1, label="by chance")
    axis.set(
        xscale="log",
        ylim=(0, 1),
        xlabel=f"nearest images, of {len(several)}",
        ylabel="share of spectra",
        title="true image found, 2 or more particles",
    )
    axis.set_xticks(WITHIN, [str(k) for k in WITHIN])
    axis.minorticks_off()
    axis.legend(fontsize=8)


def distributions(clusters: Clusters) -> Figure:
    """Distribution of every latent variable as image and spectrum say it, beside the prior."""
    figure = style.new_figure(4.2)
    axes = figure.subplots(1, 2, sharex=True)
    edges = np.linspace(-3.5, 3.5, 71)
    middle = (edges[1:] + edges[:-1]) / 2
    prior = np.exp(-0.5 * middle**2) / np.sqrt(2 * np.pi)
    for axis, family in zip(axes, ("separated", "dual"), strict=True):
        unseen = clusters.unseen
        said = clusters.models[family].encode(images=unseen.images, spectra=unseen.spectra)
        for name, colour in (("image", PREDICTED), ("spectrum", OTHER)):
            content = said[f"content_{name}"].to_numpy()
            for row, values in enumerate(content.T):
                density = np.histogram(values, edges, density=True)[0]
                height = row - 0.9 * np.minimum(density / (2 * prior.max()), 1)
                words = f"from the {name}" if row == 0 else None
                axis.step(middle, height, where="mid", color=colour, lw=1.1, label=words)
                axis.fill_between(middle, height, row, step="mid", color=colour, alpha=0.15, lw=0)
        n_latents = len(content.T)
        for row in range(n_latents):
            words = "prior" if row == 0 else None
            half = row - 0.9 * prior / (2 * prior.max())
            axis.plot(middle, half, ":", color=TRUTH, lw=0.8, label=words)
        axis.set_yticks(range(n_latents), [str(k + 1) for k in range(n_latents)])
        axis.invert_yaxis()
        own = "each signal has its own" if family == "separated" else "shared by both signals"
        axis.set(
            title=f"{family}: {own}", xlabel="latent variable", ylabel="number of the variable"
        )
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def translations(clusters: Clusters) -> Figure:
    """Spectra from images and images from spectra by the separated and the dual model, beside the truth."""
    unseen = clusters.unseen
    chosen = [int(np.flatnonzero(unseen.number == n)[1]) for n in clusters.numbers]
    families = {"separated": MEASURED, "dual": PREDICTED}
    figure = style.new_figure(6.0)
    axes = figure.subplots(4, len(chosen), squeeze=False, height_ratios=(1, 1, 1, 1.1))
    for column, site in enumerate(chosen):
        show_image(axes[0, column], unseen.images[site])
        axes[3, column].plot(unseen.axis, unseen.clean[site], color=TRUTH, lw=2.4, label="true")
    for row, (family, colour) in enumerate(families.items(), start=1):
        model = clusters.models[family]
        spectra = model.translate(unseen.images, to="spectrum").to_numpy()
        images = model.translate(unseen.spectra[chosen], to="image").to_numpy()[:, 0]
        for column, site in enumerate(chosen):
            show_image(axes[row, column], images[column])
            axis = axes[3, column]
            axis.plot(
                unseen.axis, spectra[site], color=colour, lw=1.2, label=f"{family}, from the image"
            )
            spectrum_axis(axis)
        print(
            f"up to {clusters.most}, {family}: R² {scores.r2(spectra, unseen.clean):.3f} of true spectra"
        )
    rows = (
        f"true image,\n{PIXEL_NM * unseen.images.shape[-1]:g} nm wide",
        "separated,\nfrom the spectrum",
        "dual,\nfrom the spectrum",
        "extinction,\nnormalised",
    )
    for axis, words in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(words)
    figure.legend(*axes[3, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def learn_clusters(most: int) -> Clusters:
    """Models of clusters of up to `most` particles, and unseen clusters."""

    def config(n: int) -> PlasmonsConfig:
        return PlasmonsConfig(sample=ClustersConfig(n_clusters=n, max_particles=most))

    pixels = ClustersConfig().pixels
    training = pair_set(config(N_CLUSTERS), seed=SEED, pixels=pixels)
    unseen = pair_set(config(N_UNSEEN), seed=UNSEEN_SEED, pixels=pixels)
    models = {
        family: DualVAE(family, seed=SEED, training=TRAINING).fit(training.given)
        for family in ("separated", "dual")
    }
    return Clusters(most, training, unseen, models)


def main() -> None:
    """Train, draw, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the pages")
    out: Path = parser.parse_args().out / "images" / "pairs"
    out.mkdir(parents=True, exist_ok=True)
    with style.applied(DPI):
        training, unseen = assemblies(N_PAIRS, "one", seed=SEED, pixels=32)
        forward = EncoderDecoder(n_members=1, seed=SEED).fit(training.given)
        write(predictions(forward, unseen), out / "predictions.png")
        write(latent_space(forward, unseen), out / "latents.png")
        for most in (4, 2):
            clusters = learn_clusters(most)
            write(both_spaces(clusters), out / f"both_spaces_{most}.png")
            write(distributions(clusters), out / f"distributions_{most}.png")
            write(translations(clusters), out / f"translations_{most}.png")
            if most == 4:
                backward = EncoderDecoder("spectrum", "image", n_members=1, training=TRAINING)
                backward.fit(clusters.training.given)
                write(images_of_spectra(backward, clusters), out / "images_of_spectra.png")
    print(out)


def write(figure: Figure, file: Path) -> None:
    """Write a figure; equal figures are equal bytes."""
    file.write_bytes(as_bytes(figure, "png"))


if __name__ == "__main__":
    main()
