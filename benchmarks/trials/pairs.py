"""Spectra from images of simulated particles, and partners among clusters; scored on specimens that no model has seen, without their noise."""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.trial import Goal, Scores, Trial, clock
from invae import DualVAE, EncoderDecoder
from invae.config.plasmons import AssemblyConfig, ClustersConfig, PlasmonsConfig
from invae.regression import scores
from invae.regression.baselines import BASELINES
from invae.synthetic.inverse_design import designs, nearest, refine, relative_error, with_gaps
from invae.synthetic.particles import (
    LOWER_PLASMA_ENERGY,
    PLASMA_ENERGY,
    Particles,
    thickness_images,
)
from invae.synthetic.particles_of_image import particles_of_image
from invae.synthetic.plasmon_specimens import clean_spectra, energies_of, specimens, spectrum_sd

UNSEEN = 10_000
PIXEL_NM, DIAMETER_NM = 2.5, 20.0
N_NEAREST = 15
"""Images of the training, nearest to a spectrum in the shared latent space, whose numbers of particles decide."""
GAP_NM = 2.0
"""Smallest gap of the particles of a cluster."""
N_TEST = 16
"""Unseen assemblies."""


@dataclass(frozen=True)
class PairSet:
    """Pairs with their noise, and the spectra without it."""

    images: np.ndarray
    spectra: np.ndarray
    clean: np.ndarray
    specimen: np.ndarray
    axis: np.ndarray
    number: np.ndarray
    """Particles of the specimen."""

    @property
    def given(self) -> dict[str, np.ndarray]:
        """As an estimator takes them."""
        return {
            "image": self.images,
            "spectrum": self.spectra,
            "specimen": self.specimen,
            "axis": self.axis,
        }


def pair_set(config: PlasmonsConfig, *, seed: int, pixels: int, most: int | None = None) -> PairSet:
    """Images of `pixels`² about every point, with the noise of the settings."""
    rng = np.random.default_rng([seed, 17])
    images, clean, sd, specimen, number = [], [], [], [], []
    for index, one in enumerate(specimens(config, seed=seed)):
        image = thickness_images(
            one.particles, one.points, pixels=pixels, pixel_size=PIXEL_NM, diameter=DIAMETER_NM
        )
        spectra = clean_spectra(one.particles, one.points, config)
        images.append(image)
        clean.append(spectra)
        sd.append(np.broadcast_to(spectrum_sd(spectra, config), len(spectra)))
        specimen.append(np.full(len(spectra), index))
        number.append(np.full(len(spectra), len(one.particles.radius)))
    x, y, s = np.concatenate(images), np.concatenate(clean), np.concatenate(sd)
    chosen = slice(most)
    noisy = x + config.sample.image_noise * rng.normal(size=x.shape)
    observed = y + s[:, None] * rng.normal(size=y.shape)
    return PairSet(
        noisy[chosen].astype(np.float32),
        observed[chosen].astype(np.float32),
        y[chosen],
        np.concatenate(specimen)[chosen],
        energies_of(config),
        np.concatenate(number)[chosen],
    )


def assemblies(n_pairs: int, material: str, *, seed: int, pixels: int) -> tuple[PairSet, PairSet]:
    """Training pairs of as many assemblies as needed, and those of unseen ones."""

    def config(n: int) -> PlasmonsConfig:
        sample = AssemblyConfig.model_validate({"n_assemblies": n, "material": material})
        return PlasmonsConfig(sample=sample)

    n_probes = AssemblyConfig().n_probes
    training = pair_set(config(-(-n_pairs // n_probes)), seed=seed, pixels=pixels, most=n_pairs)
    return training, pair_set(config(N_TEST), seed=UNSEEN + seed, pixels=pixels)


def against_truth(mean: np.ndarray, unseen: PairSet) -> Scores:
    """R² and errors of the peaks [meV] of predicted spectra, compared with spectra without noise."""
    peaks = 1000 * scores.peak_errors(mean, unseen.clean, unseen.axis)
    return {
        "r2": scores.r2(mean, unseen.clean),
        "peak": float(np.median(peaks)),
        "peak_90": float(np.percentile(peaks, 90)),
    }


def predicted(trial: Trial, seed: int, quick: bool) -> Scores:
    """Scores of spectra of unseen assemblies."""
    options = dict(trial.settings)
    n_pairs, material, pixels = (options.pop(k) for k in ("pairs", "material", "pixels"))
    training, unseen = assemblies(n_pairs, material, seed=seed, pixels=pixels)
    if quick:
        options = {**options, "training": {"epochs": 2}, "n_members": 1, "n_folds": 2}
    with clock() as took:
        model = EncoderDecoder(seed=seed, **options).fit(training.given)
    said = model.predict(unseen.images)
    mean = said["mean"].to_numpy()
    linear = BASELINES["invariant_ridge"].fit(training.images[:, None], training.spectra)
    sd = (
        np.hypot(said["sd_noise"].to_numpy(), said["sd_model"].to_numpy())
        * model.held_out.attrs["interval_scale"]
    )
    unit = unseen.clean.std()
    found = {
        **against_truth(mean, unseen),
        "coverage": scores.coverage(
            said["lower"].to_numpy(), said["upper"].to_numpy(), unseen.spectra
        ),
        "crps": scores.crps(mean, sd, unseen.spectra) / unit,
        "r2_ridge": scores.r2(linear(unseen.images[:, None]), unseen.clean),
        "network_weight": model.held_out.attrs["network_weight"],
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
    }
    if model.config.likelihood.kind == "mixture":
        drawn = model.sample(unseen.images, 100, noise=True).to_numpy()
        found["crps"] = scores.crps_of_samples(list(drawn), unseen.spectra) / unit
    return found


def best_possible(trial: Trial, seed: int, quick: bool) -> Scores:
    """Scores of whoever knows every particle, but not which of two materials it is: the distribution over redrawn materials."""
    n_draws = 4 if quick else trial.settings["draws"]
    sample = AssemblyConfig.model_validate({"n_assemblies": N_TEST, "material": "two"})
    config = PlasmonsConfig(sample=sample)
    rng = np.random.default_rng([seed, 23])
    truth, drawn, sd = [], [], []
    for one in specimens(config, seed=UNSEEN + seed):
        spectra = clean_spectra(one.particles, one.points, config)
        truth.append(spectra)
        sd.append(np.broadcast_to(spectrum_sd(spectra, config), len(spectra)))
        drawn.append([_redrawn(one.particles, one.points, config, rng) for _ in range(n_draws)])
    clean, noise = np.concatenate(truth), np.concatenate(sd)[:, None]
    draws = np.concatenate(drawn, axis=1)
    observed = clean + noise * rng.normal(size=clean.shape)
    mean, unit = draws.mean(0), clean.std()
    # the mean of n draws has its own error: 1/n of the variance
    unexplained = (1 - scores.r2(mean, clean)) / (1 + 1 / n_draws)
    noisy = draws + noise * rng.normal(size=draws.shape)
    normal = mean + noisy.std(0, ddof=1) * rng.normal(size=draws.shape)
    return {
        "r2": 1 - unexplained,
        "crps": scores.crps_of_samples(list(noisy), observed) / unit,
        "crps_normal": scores.crps_of_samples(list(normal), observed) / unit,
    }


def _redrawn(
    particles: Particles, points: np.ndarray, config: PlasmonsConfig, rng: np.random.Generator
) -> np.ndarray:
    """Spectra of the same arrangement with materials drawn anew."""
    is_lower = rng.random(len(particles.radius)) < 0.5
    energies = np.where(is_lower, LOWER_PLASMA_ENERGY, PLASMA_ENERGY)
    return clean_spectra(replace(particles, plasma_energy=energies), points, config)


def partners(trial: Trial, seed: int, quick: bool) -> Scores:
    """Partners of clusters found in the shared latent space, and the number of particles read from the spectrum."""
    options = dict(trial.settings)
    n_clusters, n_unseen = options.pop("clusters"), options.pop("unseen")

    def config(n: int) -> PlasmonsConfig:
        return PlasmonsConfig(sample=ClustersConfig(n_clusters=n))

    pixels = ClustersConfig().pixels
    training = pair_set(config(n_clusters), seed=seed, pixels=pixels)
    unseen = pair_set(config(n_unseen), seed=UNSEEN + seed, pixels=pixels)
    if quick:
        options = {**options, "training": {"epochs": 2}}
    with clock() as took:
        model = DualVAE(seed=seed, **options).fit(training.given)
    distance = model.match(images=unseen.images[:500], spectra=unseen.spectra[:500]).to_numpy()
    to_training = model.match(images=training.images, spectra=unseen.spectra).to_numpy()
    near = training.number[np.argsort(to_training, axis=1)[:, :N_NEAREST]]
    said = np.array([np.bincount(numbers).argmax() for numbers in near])
    spectra = model.translate(unseen.images, to="spectrum").to_numpy()
    found = {f"number_{n}": float((said[unseen.number == n] == n).mean()) for n in (1, 2, 3, 4)}
    return {
        **found,
        "recall_1": scores.recall(distance, within=1),
        "recall_1_back": scores.recall(distance.T, within=1),
        "recall_10": scores.recall(distance, within=10),
        "r2": scores.r2(spectra, unseen.clean),
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
    }


def proposed(trial: Trial, seed: int, quick: bool) -> Scores:
    """Images made for spectra of unseen clusters: the particles are read from each and simulated again."""
    n_clusters, n_wanted = (
        trial.settings[name] // (40 if quick else 1) for name in ("clusters", "wanted")
    )
    config = PlasmonsConfig(sample=ClustersConfig(n_clusters=n_clusters))
    pixels = ClustersConfig().pixels
    training = pair_set(config, seed=seed, pixels=pixels)
    wanted = pair_set(
        PlasmonsConfig(sample=ClustersConfig(n_clusters=max(n_wanted, 4))),
        seed=UNSEEN + seed,
        pixels=pixels,
    )
    with clock() as took:
        model = EncoderDecoder(
            "spectrum",
            "image",
            n_members=1,
            seed=seed,
            training={"epochs": 2} if quick else None,
        ).fit(training.given)
    chosen, plain = (
        _read(model.sample(wanted.spectra, 8, tries=tries).to_numpy()[:, :, 0], wanted)
        for tries in (None, 1)
    )
    true = _read(wanted.images[None], wanted)
    refined = [
        refine(chosen.particles[best][site], spectrum, _extinction).error
        for site, (spectrum, best) in enumerate(
            zip(wanted.clean, chosen.error.argmin(0), strict=True)
        )
        if len(chosen.particles[best][site])
    ]
    return {
        "one": float(np.median(chosen.error[0])),
        "eight": float(np.median(chosen.error.min(0))),
        "number": float((chosen.number == wanted.number).mean()),
        **{f"one_of_{n}": float(np.median(chosen.error[0, wanted.number == n])) for n in (2, 3, 4)},
        "one_plain": float(np.median(plain.error)),
        "eight_plain": float(np.median(plain.error.min(0))),
        "number_plain": float((plain.number == wanted.number).mean()),
        "true": float(np.median(true.error)),
        "refined": float(np.median(refined)),
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
    }


@dataclass(frozen=True)
class Readings:
    """Particles read from images (sample, site)."""

    particles: list[list[Particles]]
    error: np.ndarray
    """Relative error of their simulated spectra, without noise; 1 without particles."""
    number: np.ndarray


def _read(images: np.ndarray, wanted: PairSet) -> Readings:
    particles = [
        [with_gaps(particles_of_image(image, pixel_size=PIXEL_NM), gap=GAP_NM) for image in some]
        for some in images
    ]
    error = [
        [
            relative_error(_extinction(one), spectrum) if len(one) else 1.0
            for one, spectrum in zip(some, wanted.clean, strict=True)
        ]
        for some in particles
    ]
    number = [[len(one) for one in some] for some in particles]
    return Readings(particles, np.array(error), np.array(number))


def _extinction(particles: Particles) -> np.ndarray:
    """Normalised extinction spectrum of a cluster."""
    return clean_spectra(particles, np.zeros((1, 2)), PlasmonsConfig(sample=ClustersConfig()))[0]


def designed(trial: Trial, seed: int, quick: bool) -> Scores:
    """Arrangements for spectra of unseen clusters: nearest of a library, and refined by the simulator."""
    n_library, n_wanted = (
        trial.settings[name] // (20 if quick else 1) for name in ("library", "wanted")
    )

    def clusters(n: int, seed: int) -> tuple[list[Particles], np.ndarray]:
        config = PlasmonsConfig(sample=ClustersConfig(n_clusters=n))
        found = [one.particles for one in specimens(config, seed=seed)]
        return found, np.stack([_extinction(particles) for particles in found])

    library, known = clusters(n_library, seed)
    wanted, spectra = clusters(max(n_wanted, 2), UNSEEN + seed)
    one, eight, number, refined, distinct = [], [], [], [], []
    with clock() as took:
        for particles, spectrum in zip(wanted, spectra, strict=True):
            near = nearest(spectrum, known, 8)
            errors = [relative_error(known[k], spectrum) for k in near]
            one.append(errors[0])
            eight.append(min(errors))
            number.append(len(library[near[0]]) == len(particles))
            found = designs(spectrum, library, known, _extinction, n=4)
            refined.append(found[0].error)
            distinct.append(sum(design.error <= 0.01 for design in found))
    return {
        "one": float(np.median(one)),
        "eight": float(np.median(eight)),
        "number": float(np.mean(number)),
        "refined": float(np.median(refined)),
        "refined_90": float(np.percentile(refined, 90)),
        "distinct": float(np.mean(np.array(distinct) > 1)),
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
    }


def _im2spec(
    n_pairs: int, *, r2: float, peak: float, peak_90: float, pixels: int = 32, n_seeds: int = 5
) -> Trial:
    side = pixels * PIXEL_NM
    allowance = 0.06 if n_pairs == 100 else 0.02
    return Trial(
        name=f"im2spec-{n_pairs}" + ("" if pixels == 32 else "-wide"),
        words=f"energy loss from {n_pairs} pairs of assemblies of particles, windows of {side:.0f} nm",
        run=predicted,
        settings={"pairs": n_pairs, "material": "one", "pixels": pixels},
        goals=(
            Goal("r2", "R² of unseen assemblies, without their noise", "–", r2, r2 - allowance),
            Goal("peak", "median error of the peak [meV]", "–", peak, None, "low"),
            Goal("peak_90", "90th percentile of it [meV]", "–", peak_90, None, "low"),
            Goal("coverage", "share of observations in the 90 % interval", "–", 0.87, 0.85),
            Goal("r2_ridge", "R² of ridge regression on |FFT| of rings"),
            Goal("network_weight", "weight of the networks beside the Gaussian process"),
        ),
        chapter="pairs",
        n_seeds=n_seeds,
    )


TRIALS = (
    _im2spec(100, r2=0.80, peak=9, peak_90=26),
    _im2spec(300, r2=0.89, peak=8, peak_90=19),
    _im2spec(1000, r2=0.915, peak=7, peak_90=17),
    _im2spec(3072, r2=0.93, peak=6, peak_90=15, n_seeds=2),
    _im2spec(1000, r2=0.945, peak=7, peak_90=16, pixels=48),
    _im2spec(3072, r2=0.96, peak=6, peak_90=15, pixels=48, n_seeds=1),
    Trial(
        name="hidden-limit",
        words="two materials that the image does not show: the limit, known particles and unknown materials",
        run=best_possible,
        settings={"draws": 24},
        goals=(
            Goal("r2", "R² of the mean over materials"),
            Goal("crps", "CRPS of observations, all materials, in sd of the spectra", better="low"),
            Goal("crps_normal", "the same, one Normal with their mean and sd", better="low"),
        ),
        chapter="pairs",
    ),
    *(
        Trial(
            name=f"hidden-{name}",
            words=f"two materials that the image does not show, 1,000 pairs: {words}",
            run=predicted,
            settings={"pairs": 1000, "material": "two", "pixels": 32, **options},
            goals=(
                Goal("r2", "R² of unseen assemblies", "–", 0.54, 0.52),
                Goal("crps", "CRPS of observations, in sd of the spectra", "–", better="low"),
            ),
            chapter="pairs",
        )
        for name, words, options in (
            ("gaussian", "one Normal per channel", {"process": False}),
            (
                "mixture",
                "a mixture of spectra",
                {"model": {"likelihood": {"kind": "mixture", "n_components": 6}}},
            ),
        )
    ),
    *(
        Trial(
            name=f"clusters-{family}",
            words=f"clusters of 1 to 4 particles, 2,800 pairs of image and extinction spectrum, family {family}",
            run=partners,
            settings={"family": family, "latent_dim": 8, "clusters": 2800, "unseen": 600},
            goals=(
                *(
                    Goal(
                        f"number_{n}",
                        f"number from the spectrum, of {n} particles",
                        "–",
                        goal if family == "dual" else None,
                    )
                    for n, goal in ((1, 1.0), (2, 0.98), (3, 0.85), (4, 0.85))
                ),
                Goal(
                    "recall_1",
                    "images found from spectra: first of 500",
                    "–",
                    0.15 if family == "dual" else None,
                ),
                Goal(
                    "recall_1_back",
                    "spectra found from images: first of 500",
                    "–",
                    0.10 if family == "dual" else None,
                ),
                Goal(
                    "recall_10",
                    "images found from spectra: among ten of 500",
                    "–",
                    0.55 if family == "dual" else None,
                ),
                Goal("r2", "R² of spectra from images", "–", 0.93 if family == "dual" else None),
            ),
            chapter="pairs",
            n_seeds=3,
        )
        for family in ("dual", "dual-poe", "separated", "linked")
    ),
    Trial(
        name="spec2im",
        words="images made for extinction spectra of clusters of 1 to 4 particles, by a model of 2,800 pairs; particles are read from each image and simulated",
        run=proposed,
        settings={"clusters": 2800, "wanted": 60},
        goals=(
            Goal(
                "one", "relative error of the spectrum of the first image", "–", 0.08, better="low"
            ),
            Goal("eight", "of the best of eight", "–", 0.03, better="low"),
            Goal("number", "images with the right number of particles", "–", 0.85),
            *(Goal(f"one_of_{n}", f"first image, {n} particles", better="low") for n in (2, 3, 4)),
            Goal("refined", "best of eight, refined by the simulator", "–", 0.01, better="low"),
            Goal("true", "the true images, read in the same way", better="low"),
            Goal("one_plain", "a random image, nothing selected", better="low"),
            Goal("eight_plain", "the best of eight of them", better="low"),
            Goal("number_plain", "random images with the right number of particles"),
        ),
        chapter="pairs",
        n_seeds=5,
    ),
    Trial(
        name="inverse-design",
        words="arrangements of 1 to 4 particles for wanted extinction spectra, from a library of 2,800 and the simulator",
        run=designed,
        settings={"library": 2800, "wanted": 40},
        goals=(
            Goal(
                "one",
                "relative error of the nearest of the library, median",
                "–",
                0.08,
                better="low",
            ),
            Goal("number", "right number of particles of the nearest", "–", 0.85),
            Goal("refined", "relative error after refinement, median", "–", 0.01, better="low"),
            Goal("refined_90", "90th percentile of it", "–", better="low"),
            Goal("distinct", "spectra with two or more distinct arrangements within 1 %"),
        ),
        chapter="pairs",
        n_seeds=3,
    ),
)
