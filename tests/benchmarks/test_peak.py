"""Speed of training relative to matrix products."""

import torch

from benchmarks import peak
from benchmarks.peak import Speed, flops_per_image, measure, table, training_of


def test_both_families_are_measured_together_with_the_peak():
    before = torch.get_num_threads()
    reached, speeds = measure(n_images=40, turns=2, n_products=1)
    assert reached > 1e8
    assert [speed.family for speed in speeds] == ["rVAE", "rtVAE"]
    for speed in speeds:
        assert 0 < speed.share_of_peak < 1
        assert speed.images_per_second > 0
    assert torch.get_num_threads() == before


def test_operations_of_an_image_do_not_depend_on_the_batch(monkeypatch):
    images = torch.rand(60, 48, 48, generator=torch.Generator().manual_seed(0)).numpy()
    whole = flops_per_image(training_of("rVAE", images))
    monkeypatch.setattr(peak, "BATCH", 20)
    assert flops_per_image(training_of("rVAE", images)) == whole
    # Three passes over a few million multiplications: convolutions along 64 directions and the decoder.
    assert 5e6 < whole < 12e6


def test_the_table_has_a_line_for_each_family():
    lines = table(50e9, [Speed("rVAE", 8_000_000, 3000.0, 0.48)]).splitlines()
    assert lines[0].startswith("Peak of matrix products, one thread: 50 GFLOP")
    assert lines[-1] == "| rVAE | 8.00 | 3,000 | 0.480 |"
