"""Annotations beside the pixels: labels, targets and conditions have their effect, and wrong use raises an error of one line."""

import numpy as np
import pytest
import torch

from invae.config import ModelConfig
from invae.errors import ConfigError, InputError
from invae.models.batch import Annotations, Geometry, Patches
from invae.models.build import build
from invae.models.encoding import encode_batch
from invae.models.evaluation import evaluate
from invae.models.families import completed, plan
from invae.models.latents import Categorical, ClassPrior, Relaxed
from invae.models.signals import Signals
from invae.models.vae import VAE
from invae.training.annotations import SiteAnnotations, checked_annotations
from invae.training.signal_sources import ArraySource

SQUARE = Geometry(1, 16, 16)


def model(family: str, **options: object) -> VAE:
    return build(ModelConfig.model_validate({"family": family, **options}), SQUARE, seed=0)


def noise(n: int = 6, **known: torch.Tensor) -> Patches:
    generator = torch.Generator().manual_seed(0)
    return Patches(torch.randn(n, 1, 16, 16, generator=generator), known=Annotations(**known))


def class_of(vae: VAE, patches: Patches) -> Categorical:
    posterior = evaluate(vae, Signals.of_image(patches)).posterior["class"]
    classes = posterior.settled if isinstance(posterior, Relaxed) else posterior
    assert isinstance(classes, Categorical)
    return classes


@pytest.mark.parametrize("n_classes", [(3,), (3, 2)], ids=["one latent", "two latents"])
@pytest.mark.parametrize("way", ["exact", "gumbel"])
@pytest.mark.parametrize("family", ["ssVAE", "ssrVAE", "sstVAE", "jrVAE"])
def test_a_label_overrides_the_class_and_an_unknown_one_does_nothing(family, way, n_classes):
    vae = model(family, n_classes=n_classes, class_inference=way)
    labels = torch.tensor([2, 0, 1, -1, -1, -1])
    unlabelled, labelled = class_of(vae, noise()), class_of(vae, noise(labels=labels))
    first = labelled.marginal(0, ClassPrior(n_classes))
    torch.testing.assert_close(
        first[:3], torch.eye(3)[labels[:3]], atol=1e-6, rtol=0, check_dtype=False
    )
    torch.testing.assert_close(labelled.log_prob[3:], unlabelled.log_prob[3:])
    torch.testing.assert_close(labelled.unaided, unlabelled.unaided)


@pytest.mark.parametrize("way", ["exact", "gumbel"])
def test_a_label_leaves_the_second_latent_to_the_patch(way):
    vae = model("ssVAE", n_classes=(3, 2), class_inference=way)
    labels = torch.full((6,), 1)
    unlabelled, labelled = (class_of(vae, patches) for patches in (noise(), noise(labels=labels)))
    expected = unlabelled.log_prob.unflatten(-1, (3, 2))[:, 1].softmax(-1)
    torch.testing.assert_close(labelled.marginal(1, ClassPrior((3, 2))), expected)


def test_a_label_determines_the_reconstruction():
    vae = model("ssVAE", n_classes=3)
    pictures = []
    for label in range(3):
        patches = noise(labels=torch.full((6,), label))
        pictures.append(vae.decode(evaluate(vae, Signals.of_image(patches)).completed).mean)
    assert (pictures[0] - pictures[1]).abs().amax() > 1e-3
    assert (pictures[1] - pictures[2]).abs().amax() > 1e-3


def test_hints_weigh_the_classes_and_labels_outweigh_hints():
    vae, hint = model("jrVAE", n_classes=3), torch.tensor([[0.0, 2.0, 0.0]]).expand(6, -1)
    unaided, hinted = class_of(vae, noise()), class_of(vae, noise(hint=hint))
    torch.testing.assert_close(hinted.log_prob, (unaided.log_prob + hint).log_softmax(-1))
    both = class_of(vae, noise(hint=hint, labels=torch.full((6,), 2)))
    assert both.log_prob.exp()[:, 2].min() > 1 - 1e-6


@pytest.mark.parametrize("family", ["ssregVAE", "ssregrVAE", "ssregtVAE", "ssregrtVAE"])
def test_a_known_target_replaces_the_inferred_one(family):
    vae = model(family, n_targets=2)
    known = torch.tensor([[1.5, torch.nan]]).repeat(6, 1)
    inferred = evaluate(vae, Signals.of_image(noise())).latents["target"]
    given = evaluate(vae, Signals.of_image(noise(target=known))).latents["target"]
    torch.testing.assert_close(given[:, 0], known[:, 0])
    torch.testing.assert_close(given[:, 1], inferred[:, 1])


def test_targets_are_known_in_their_own_units():
    vae = model("ssregVAE", n_targets=1)
    vae.standardise_target.offset.fill_(300.0)
    vae.standardise_target.scale.fill_(20.0)
    patches = noise(target=torch.full((6, 1), 340.0))
    target = evaluate(vae, Signals.of_image(patches)).latents["target"]
    torch.testing.assert_close(target, torch.full((6, 1), 2.0))
    latents = encode_batch(vae, Signals.of_image(noise()))
    assert np.abs(latents["target"] - 300).max() < 100
    assert (latents["target_sd"] > 1).all()


@pytest.mark.parametrize("family", ["cVAE", "crVAE", "ctVAE", "crtVAE"])
def test_a_condition_changes_content_and_picture(family):
    vae = model(family, n_conditions=2)
    conditions = [torch.zeros(6, 2), torch.ones(6, 2)]
    contents = [
        evaluate(vae, Signals.of_image(noise(condition=c))).latents["content"] for c in conditions
    ]
    assert (contents[0] - contents[1]).abs().amax() > 1e-4
    sizes = {"angle": 1, "shift": 2}
    poses = {name: torch.zeros(6, sizes[name]) for name in vae.poses}
    images = [
        vae.decode({"content": contents[0], "condition": c, **poses}).mean for c in conditions
    ]
    assert (images[0] - images[1]).abs().amax() > 1e-4


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (None, "the model takes 2 conditions with every patch, 0 were given"),
        (torch.zeros(6, 3), "the model takes 2 conditions with every patch, 3 were given"),
    ],
)
def test_conditions_of_another_number_are_refused(given, complaint):
    patches = noise() if given is None else noise(condition=given)
    with pytest.raises(InputError, match=complaint):
        evaluate(model("crVAE", n_conditions=2), Signals.of_image(patches))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"labels": np.array([0, 1, -2, 0])}, "labels are whole numbers from 0"),
        ({"labels": np.array([0, 0.5, 1, 0])}, "labels are whole numbers from 0"),
        ({"labels": np.zeros((4, 1))}, "one per patch"),
        ({"labels": np.array([0, 1, 2])}, "3 labels for 4 patches; give one per patch"),
        ({"target": np.zeros(5)}, "5 target for 4 patches"),
        ({"target": np.array([0, np.inf, 0, 0])}, "1 target values are infinite; NaN is unknown"),
        ({"condition": np.zeros((3, 2))}, "3 condition for 4 patches"),
        ({"condition": np.array([0, np.nan, 0, 0])}, "1 conditions are NaN or infinite"),
    ],
)
def test_impossible_annotations_are_refused(given, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        checked_annotations(4, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"family": "jrVAE"}, "jrVAE needs n_classes; give it, or the values with the patches"),
        ({"family": "ssVAE"}, "ssVAE needs n_classes"),
        ({"family": "crVAE"}, "crVAE needs n_conditions"),
        ({"family": "ssregVAE"}, "ssregVAE needs n_targets"),
        ({"family": "rVAE", "n_classes": 3}, r"rVAE takes no n_classes \(given 3\); leave it out"),
        ({"family": "jVAE", "n_classes": 2, "n_targets": 1}, "jVAE takes no n_targets"),
        ({"family": "VAE", "n_conditions": 2}, r"VAE takes no n_conditions \(given 2\)"),
        ({"family": "VAE", "pose_inference": "exact"}, "VAE has no pose to infer; leave"),
        ({"family": "scaleVAE", "pose_inference": "exact"}, "scale of scaleVAE cannot be inferred"),
        ({"family": "shearVAE", "pose_inference": "exact"}, "only all angles, or all shifts"),
        (
            {"family": "VAE", "poses": ["scale", "shift"], "pose_inference": "exact"},
            "shift and scale of VAE cannot be inferred exactly",
        ),
    ],
)
def test_options_that_do_not_go_with_a_family_are_refused(options, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        plan(ModelConfig.model_validate(options), SQUARE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"family": "rVAE", "decoder": {"kind": "dense"}}, "cannot be turned"),
        (
            {"family": "tVAE", "pose_inference": "amortised", "decoder": {"kind": "dense"}},
            "cannot be moved",
        ),
        (
            {"family": "rtVAE", "encoder": {"kind": "conv", "pooled": True}},
            "a pooled encoder cannot tell where",
        ),
        (
            {"family": "skip-VAE", "decoder": {"kind": "conv"}},
            "a conv decoder has no skip paths",
        ),
        ({"family": "VAE", "decoder": {"kind": "spatial"}}, "has no pose for a spatial decoder"),
    ],
)
def test_parts_that_do_not_fit_are_refused(asked, complaint):
    with pytest.raises(ConfigError, match=complaint):
        build(ModelConfig.model_validate(asked), SQUARE, seed=0)


def test_missing_numbers_of_variables_come_from_the_annotations():
    config = ModelConfig.model_validate({"family": "ssVAE"})
    assert completed(config, n_classes=4, n_targets=0, n_conditions=0).n_classes == (4,)
    given = ModelConfig.model_validate({"family": "ssVAE", "n_classes": 6})
    assert completed(given, n_classes=4, n_targets=0, n_conditions=0).n_classes == (6,)
    known = SiteAnnotations(labels=np.array([-1, 3, 0]), condition=np.zeros((3, 2)))
    assert (known.n_labels, known.n_targets, known.n_conditions) == (4, 0, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_and_may_be_masked(value):
    broken = np.zeros((10, 1, 8, 8))
    broken[7, 0, 3, 3] = value
    with pytest.raises(InputError, match="1 values are NaN or infinite, the first in patch 7"):
        ArraySource(broken)
    ArraySource(broken, np.isfinite(broken))
