"""Plasmonic particles: spectra are those of theory, images show the particles, and all of it is known."""

import json

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import constants
from scipy.integrate import quad

import invae
from invae.config import PlasmonsConfig
from invae.readers.labels import canonical_units
from invae.storage import store
from invae.synthetic import coupled_dipoles, plasmons
from invae.synthetic.coupled_dipoles import (
    HBAR_C,
    electron_field,
    extinction,
    interaction,
    inverse_polarizability,
    loss_probability,
    velocity,
)
from invae.synthetic.crystal import rotation_matrix
from invae.synthetic.particles import Particles, gaps, thickness_images
from invae.synthetic.plasmon_specimens import (
    Specimen,
    clean_image,
    clean_spectra,
    particles_of,
    specimen,
    specimens,
)

SEEDS = (3, 1234)
FINE = np.linspace(0.7, 1.0, 601)
"""Energies half a meV apart [eV]."""
ENERGIES = np.linspace(0.4, 1.2, 9)
QUASI_STATIC = 2.1 / np.sqrt(6)
"""Energy at which ε = −2 without damping [eV]."""


def settings(**sample) -> PlasmonsConfig:
    """Assemblies (or clusters, by `kind`) with few probes, energies and pixels."""
    is_assembly = sample.get("kind", "assembly") == "assembly"
    few = {"n_assemblies": 3, "n_probes": 5, "extent": 100, "reach": 40, "pixels": 40}
    few = few if is_assembly else {"n_clusters": 40}
    return PlasmonsConfig.model_validate({"sample": {**few, "n_energies": 9, **sample}})


def clusters(**sample) -> PlasmonsConfig:
    return settings(kind="clusters", **sample)


def spheres(*positions: tuple[float, float], radius: float = 10.0) -> Particles:
    n = len(positions)
    return Particles(np.array(positions, float), np.full(n, radius), np.full(n, 2.1), np.ones(n))


def drawn(seed: int, **sample) -> Specimen:
    return specimen(settings(**sample), seed=seed, number=0)


def test_a_single_sphere_absorbs_at_the_energy_of_quasi_static_theory():
    one = spheres((0, 0))
    for distance in (5, 12, 30):
        loss = loss_probability(one, np.array([[0.0, distance]]), FINE)[0]
        assert FINE[loss.argmax()] == pytest.approx(QUASI_STATIC, abs=2e-3)
    assert FINE[extinction(one, FINE).argmax()] == pytest.approx(QUASI_STATIC, abs=2e-3)


def test_a_dimer_is_excited_lower_from_its_ends_and_higher_from_its_gap():
    dimer = spheres((0, -11), (0, 11))
    loss = loss_probability(dimer, np.array([[0, -23.0], [0, 23.0], [0, 0]]), FINE)
    assert FINE[loss.argmax(1)] == pytest.approx([0.81, 0.81, 0.89], abs=5e-3)


@pytest.mark.parametrize("distance", [10.0, 25.0])
def test_the_field_of_the_electron_is_the_transform_of_its_moving_charge(distance):
    beta, gamma = velocity(100)
    energy = 0.9
    in_plane, normal = electron_field(
        spheres((0, distance)), np.zeros((1, 2)), np.array([energy]), beam_energy=100
    )
    wave = energy / (HBAR_C * beta)

    def radial(z: float) -> float:
        return gamma * distance / (distance**2 + (gamma * z) ** 2) ** 1.5

    def along(z: float) -> float:
        return gamma * z / (distance**2 + (gamma * z) ** 2) ** 1.5

    expected = quad(radial, 0, np.inf, weight="cos", wvar=wave)[0]
    assert abs(in_plane[0, 0, 0]) < 1e-12
    assert abs(in_plane[0, 1, 0]) == pytest.approx(expected, rel=1e-5)
    expected = quad(along, 0, np.inf, weight="sin", wvar=wave)[0]
    assert abs(normal[0, 0, 0]) == pytest.approx(expected, rel=1e-5)


def test_the_loss_probability_of_a_sphere_is_that_in_si_units():
    one, probe = spheres((0, 0)), np.array([[0.0, 20.0]])
    beta, _ = velocity(100)
    fields = electron_field(one, probe, ENERGIES, beam_energy=100)
    strength = sum((np.abs(field) ** 2).sum(1)[:, 0] for field in fields) * 1e18  # 1/m²
    field = constants.e / (2 * np.pi * constants.epsilon_0 * beta * constants.c)  # of 2e/v
    alpha = 4 * np.pi * constants.epsilon_0 * 1e-27 / inverse_polarizability(one, ENERGIES)[:, 0]
    per_joule = alpha.imag * field**2 * strength / (np.pi * constants.hbar**2)
    expected = per_joule * constants.e
    np.testing.assert_allclose(loss_probability(one, probe, ENERGIES)[0], expected, rtol=1e-6)


def test_the_field_is_continuous_at_the_surface_and_vanishes_at_the_centre_of_a_sphere():
    probes = np.array([[0, 10 + 1e-9], [0, 10 - 1e-9], [0, 0]])
    in_plane, normal = electron_field(spheres((0, 0)), probes, ENERGIES, beam_energy=100)
    np.testing.assert_allclose(in_plane[..., 0], in_plane[..., 1], rtol=1e-8)
    assert np.abs(in_plane[..., 2]).max() == 0
    np.testing.assert_allclose(normal[..., 1], normal[..., 2], rtol=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_turned_or_mirrored_geometry_gives_the_same_spectra(seed):
    one = drawn(seed, material="two")
    turn, centre = rotation_matrix(seed), np.array([17.0, -40.0])
    for change in (turn, turn @ np.diag([-1, 1])):
        particles = Particles(
            one.particles.positions @ change.T + centre,
            one.particles.radius,
            one.particles.plasma_energy,
            one.particles.brightness,
        )
        np.testing.assert_allclose(
            loss_probability(particles, one.points @ change.T + centre, ENERGIES),
            loss_probability(one.particles, one.points, ENERGIES),
            rtol=1e-9,
        )
        np.testing.assert_allclose(
            extinction(particles, ENERGIES), extinction(one.particles, ENERGIES), rtol=1e-9
        )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("material", ["one", "two"])
def test_no_probe_gains_energy(seed, material):
    config = settings(material=material, grid=12, n_energies=20)
    for one in specimens(config, seed=seed):
        assert clean_spectra(one.particles, one.points, config).min() > 0


def test_the_extinction_of_a_sphere_is_that_of_its_polarizability():
    one = spheres((7, -3))
    alpha = 1 / inverse_polarizability(one, ENERGIES)[:, 0]
    expected = 4 * np.pi * ENERGIES / HBAR_C * alpha.imag
    np.testing.assert_allclose(extinction(one, ENERGIES), expected, rtol=1e-12)
    epsilon = 4 - 2.1**2 / (ENERGIES * (ENERGIES + 0.08j))
    np.testing.assert_allclose(alpha, 1000 * (epsilon - 1) / (epsilon + 2), rtol=1e-3)


def test_extinction_is_absorption_plus_scattering():
    particles = drawn(3, material="two").particles
    n, wave_numbers = len(particles), ENERGIES / HBAR_C
    matrices = interaction(particles, ENERGIES)[0]
    light = np.repeat(np.eye(2), n, axis=0)
    dipoles = np.linalg.solve(matrices, np.broadcast_to(light, (9, *light.shape)).astype(complex))
    static = inverse_polarizability(particles, ENERGIES) + 2j / 3 * wave_numbers[:, None] ** 3
    power = (np.abs(dipoles) ** 2).reshape(9, 2, n, 2).sum(1).mean(-1)
    absorbed = -4 * np.pi * wave_numbers * (static.imag * power).sum(1)
    far = np.array(
        [far_field(particles, *of_one) for of_one in zip(dipoles, wave_numbers, strict=True)]
    )
    np.testing.assert_allclose(extinction(particles, ENERGIES), absorbed + far, rtol=1e-9)
    assert far.max() > 1e-3 * absorbed.max()


def far_field(particles: Particles, dipoles: np.ndarray, wave_number: float) -> float:
    """Scattering cross-section, integrated over all directions; mean over polarisations [nm²]."""
    cosines, weights = np.polynomial.legendre.leggauss(24)
    angles = np.arange(48) * 2 * np.pi / 48
    sines = np.sqrt(1 - cosines**2)[:, None]
    towards = np.stack(
        [sines * np.sin(angles), sines * np.cos(angles)], -1
    )  # (cosine, angle, axis)
    phase = np.exp(-1j * wave_number * towards @ particles.positions.T)
    total = np.einsum("cap,dpf->cafd", phase, dipoles.reshape(2, len(particles), 2))
    along = np.einsum("cad,cafd->caf", towards, total)
    power = (np.abs(total) ** 2).sum(-1) - np.abs(along) ** 2
    return wave_number**4 * (weights[:, None, None] * power).sum((0, 1)).mean() * 2 * np.pi / 48


def test_values_do_not_depend_on_how_many_energies_are_solved_at_once(monkeypatch):
    one = drawn(3)
    together = loss_probability(one.particles, one.points, ENERGIES)
    light = extinction(one.particles, ENERGIES)
    monkeypatch.setattr(coupled_dipoles, "BATCH_BYTES", 1.0)
    alone = loss_probability(one.particles, one.points, ENERGIES)
    np.testing.assert_allclose(alone, together, rtol=1e-12)
    np.testing.assert_allclose(extinction(one.particles, ENERGIES), light, rtol=1e-12)


def test_all_spectra_of_an_assembly_are_solved_at_once(monkeypatch):
    """Sixty particles, 64 probes and 64 energies take a few tenths of a second: one system in the plane, one along the beam."""
    config, calls = PlasmonsConfig(), []
    solve = np.linalg.solve
    monkeypatch.setattr(np.linalg, "solve", lambda *of: calls.append(of) or solve(*of))
    one = specimen(config, seed=3, number=0)
    assert clean_spectra(one.particles, one.points, config).shape == (64, 64)
    assert len(one.particles) > 40
    assert len(calls) <= 4


@pytest.mark.parametrize("jitter", [1, 6])
def test_particles_of_an_assembly_keep_their_gap_and_their_size(jitter):
    config = settings(jitter=jitter, extent=210, n_assemblies=20)
    for one in specimens(config, seed=3):
        assert gaps(one.particles).min() > 2 - 1e-9
        assert ((one.particles.radius > 5) & (one.particles.radius < 10.81)).all()


def test_clusters_have_every_number_of_particles_with_gaps_in_range():
    config = clusters(n_clusters=200)
    everything = [one.particles for one in specimens(config, seed=3)]
    assert np.bincount([len(one) for one in everything])[1:].min() > 30
    for particles in everything:
        nearest = gaps(particles).min(1)
        assert (nearest > 2 - 1e-6).all()
        assert len(particles) == 1 or nearest.max() < 6 + 1e-6
        middle = np.full(2, 23.5 * 2.5)
        assert particles.positions.mean(0) == pytest.approx(middle)
        assert set(particles.plasma_energy) == {2.1}


def test_spread_materials_differ_between_clusters_and_not_within():
    everything = specimens(clusters(n_clusters=300, material="spread"), seed=3)
    assert all(np.ptp(one.particles.plasma_energy) == 0 for one in everything)
    first = np.array([one.particles.plasma_energy[0] for one in everything])
    assert first.mean() == pytest.approx(2.1, abs=0.006)
    assert first.std() == pytest.approx(0.03, rel=0.15)
    fixed = specimens(clusters(n_clusters=300), seed=3)
    for one, other in zip(everything, fixed, strict=True):
        assert np.array_equal(one.particles.positions, other.particles.positions)


def test_materials_change_spectra_but_no_place_and_show_only_if_visible():
    one, two, visible = (
        specimen(settings(material=name, extent=210), seed=3, number=0).particles
        for name in ("one", "two", "two-visible")
    )
    assert np.array_equal(one.positions, two.positions)
    assert np.array_equal(one.radius, visible.radius)
    lower = two.plasma_energy == 1.7
    assert 0.3 < lower.mean() < 0.7
    assert set(one.plasma_energy) == {2.1}
    assert np.array_equal(two.brightness, one.brightness)
    assert np.array_equal(visible.brightness, np.where(lower, 1, 1.3))


def test_vacancies_fill_the_asked_range():
    full = drawn(3, fill=(1, 1), extent=210).particles
    sparse = drawn(3, fill=(0.3, 0.3), extent=210).particles
    assert len(sparse) < 0.6 * len(full)


@pytest.mark.parametrize("place", [(50.0, 50.0), (50.7, 48.1)])
def test_an_image_shows_the_volume_of_a_sphere_where_it_is(place):
    image = thickness_images(
        spheres(place), np.array([[50.0, 50.0]]), pixels=41, pixel_size=2.5, diameter=20
    )[0]
    assert image.sum() * 2.5**2 * 20 == pytest.approx(4 / 3 * np.pi * 1000, rel=2e-3)
    pixels = np.indices(image.shape) * 2.5
    found = (pixels * image).sum((1, 2)) / image.sum()
    assert found == pytest.approx(place, abs=0.02)
    assert image.max() == pytest.approx(1, abs=0.03)


def test_an_image_about_another_place_is_the_same_image_shifted():
    particles = drawn(3).particles
    centres = np.array([[50.0, 50.0], [55.0, 42.5]])
    first, second = thickness_images(particles, centres, pixels=24, pixel_size=2.5, diameter=20)
    np.testing.assert_allclose(first[2:, :-3], second[:-2, 3:], atol=1e-6)


@pytest.mark.parametrize("kind", ["assembly", "clusters"])
def test_a_specimen_depends_on_its_number_and_not_on_how_many_there_are(kind):
    count = "n_assemblies" if kind == "assembly" else "n_clusters"
    few, more = (
        plasmons.simulate_dataset(settings(kind=kind, **{count: n}), seed=3) for n in (2, 4)
    )
    for part, larger in zip(few, more, strict=True):
        n_points = part.sizes["point"]
        same = larger.isel(frame=slice(2), point=slice(n_points))
        for name, variable in part.data_vars.items():
            found = same[name].to_numpy()
            if "particle" in variable.dims:
                found = found[:, : variable.sizes["particle"]]
            np.testing.assert_array_equal(found, variable.to_numpy())


def test_the_seed_decides_everything():
    first, again, other = (
        plasmons.simulate_dataset(settings(), seed=seed)[0] for seed in (3, 3, 4)
    )
    assert first.identical(again)
    assert not np.array_equal(first["image"], other["image"])
    assert not np.array_equal(first["point_y_nm"], other["point_y_nm"])


@pytest.mark.parametrize("config", [settings(), clusters(), clusters(spectra="absolute")])
def test_noise_is_that_of_the_truth(config):
    recording, truth = plasmons.simulate_dataset(config, seed=3)
    noise = (recording["spectrum"] - truth["spectrum"]) / truth["spectrum_sd"]
    assert float(noise.std()) == pytest.approx(1, rel=0.15)
    clean = np.stack(
        [clean_image(particles_of(truth, frame), config) for frame in range(len(truth["frame"]))]
    )
    sd = config.sample.image_noise
    assert float((recording["image"] - clean).std()) == pytest.approx(sd, rel=0.05)


def test_noise_of_an_assembly_is_relative_to_its_strong_spectra():
    _, truth = plasmons.simulate_dataset(settings(spectrum_noise=0.1), seed=3)
    of_frame = truth["spectrum"].to_numpy().reshape(3, -1)
    expected = np.repeat(0.1 * np.percentile(of_frame, 99, axis=1), 5)
    np.testing.assert_allclose(truth["spectrum_sd"], expected, rtol=1e-5)


@pytest.mark.parametrize("config", [settings(material="two"), clusters(material="spread")])
def test_the_truth_through_the_simulator_gives_the_spectra_without_noise(config):
    recording, truth = plasmons.simulate_dataset(config, seed=3)
    points = np.stack([recording["point_y_nm"], recording["point_x_nm"]], axis=-1)
    for frame in range(3):
        here = recording["point_frame"].to_numpy() == frame
        spectra = clean_spectra(particles_of(truth, frame), points[here], config)
        np.testing.assert_allclose(truth["spectrum"][here], spectra, rtol=1e-6)
    assert (
        truth["radius"]
        .isnull()
        .sum("particle")
        .equals(truth.sizes["particle"] - truth["n_particles"])
    )


def test_normalised_spectra_have_maximum_one_and_absolute_ones_are_cross_sections():
    relative, absolute = (
        plasmons.simulate_dataset(clusters(spectra=name), seed=3)[1]["spectrum"]
        for name in ("normalised", "absolute")
    )
    assert relative.max("energy").to_numpy() == pytest.approx(1)
    np.testing.assert_allclose(absolute / absolute.max("energy"), relative, rtol=1e-6)
    assert absolute.attrs["units"] == canonical_units("nm^2") == "nm^2"


def test_a_grid_of_probes_covers_the_middle_of_the_image_row_by_row():
    recording, _ = plasmons.simulate_dataset(settings(grid=4, n_assemblies=2), seed=3)
    assert recording.sizes["point"] == 32
    second = recording.isel(point=recording["point_frame"] == 1)
    for axis, index in (("y", "grid_row"), ("x", "grid_column")):
        expected = np.linspace(-40, 40, 4)[second[index]] + 19.5 * 2.5
        np.testing.assert_allclose(second[f"point_{axis}_nm"], expected)
    assert len({*zip(second["grid_row"].values, second["grid_column"].values, strict=True)}) == 16


@pytest.mark.parametrize("config", [settings(grid=3), clusters()], ids=["assembly", "clusters"])
def test_a_store_holds_what_is_drawn_whatever_the_blocks(config, tmp_path, monkeypatch):
    recording, truth = plasmons.simulate_dataset(config, seed=3)
    for name, shard_bytes in (("one", 4e6), ("many", 2e4)):
        monkeypatch.setattr(plasmons, "SHARD_BYTES", shard_bytes)
        plasmons.simulate(tmp_path / f"{name}.zarr", config=config, seed=3)
        written = store.open_store(tmp_path / f"{name}.zarr")
        assert json.loads(written.attrs["metadata"])["seed"] == 3
        assert written.drop_attrs().identical(recording.drop_attrs())
        of_store = store.open_store(tmp_path / f"{name}.zarr", group="truth")
        assert of_store.identical(truth)


def test_an_interrupted_simulation_resumes(tmp_path, monkeypatch):
    target, config = tmp_path / "clusters.zarr", clusters()
    monkeypatch.setattr(plasmons, "SHARD_BYTES", 1e5)
    whole = plasmons.simulate_dataset(config, seed=3)[0]

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done > total / 2:
            raise Killed

    with pytest.raises(Killed):
        plasmons.simulate(target, config=config, seed=3, progress=kill)
    recorded = []
    record = plasmons.record
    monkeypatch.setattr(
        plasmons, "record", lambda *of, **by: recorded.append(by["number"]) or record(*of, **by)
    )
    plasmons.simulate(target, config=config, seed=3)
    assert 0 < len(recorded) < 30
    assert np.array_equal(store.open_store(target)["spectrum"], whole["spectrum"])


@pytest.mark.parametrize("config", [settings(), clusters()], ids=["assembly", "clusters"])
def test_a_stored_recording_opens_with_its_images(config, tmp_path):
    plasmons.simulate(tmp_path / "plasmons.zarr", config=config, seed=3)
    opened = invae.open_recording(tmp_path / "plasmons.zarr")
    recording, truth = plasmons.simulate_dataset(config, seed=3)
    assert np.array_equal(opened["image"], recording["image"])
    np.testing.assert_allclose(opened["x"], recording["x"])
    assert opened["x"].attrs["units"] == "nm"
    assert np.array_equal(opened["truth_n_particles"], truth["n_particles"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"energies": (1.2, 0.4)}, "energies run from 1.2 to 0.4 eV"),
        ({"radius": 12}, "pitch 24 nm is too small for particles of radius 12 nm"),
        ({"sample": {"kind": "assembly", "reach": 200}}, "reach 200 nm lies outside the image"),
        ({"sample": {"kind": "assembly", "fill": (0.9, 0.1)}}, "fill runs from 0.9 to 0.1"),
        ({"sample": {"kind": "clusters", "max_particles": 6}}, "a row of 6 particles can be"),
        ({"sample": {"kind": "clusters", "gap": (6, 2)}}, "gap runs from 6 to 2"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        PlasmonsConfig.model_validate(values)
