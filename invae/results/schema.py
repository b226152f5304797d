"""The schema of a result: groups and variables with their dims and units."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from invae import dims
from invae.config.kinds import KINDS, Kind, load
from invae.latent_table import LATENTS, Latent
from invae.results.kind import Field, Schema, of_site

PIXELS = (dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)
NODES = ("latent_1", "latent_2")
PAIR = ("feature", "descriptor")
ENDS = ("", "_low", "_high")
BY_KNOWN = ("angle_raw", "angle_symmetric", "angle_by_class", "angle_certainty", "symmetry")


def _latents() -> dict[str, Field]:
    """Every latent variable and its uncertainty."""
    fields: dict[str, Field] = {}
    for name, row in LATENTS.items():
        fields[name] = Field(row.dims, _checked_unit(row), required=name == "content")
        if row.uncertainty_name is not None:
            fields[row.uncertainty_name] = Field(row.uncertainty_dims, row.uncertainty_unit)
    return fields


def _checked_unit(row: Latent) -> str | None:
    """The unit to check; None for classes, which are flags, and for conditions, which have the recording's own units."""
    return None if row.prior in ("classes", None) else row.unit


SHARED: Mapping[str, Mapping[str, Field]] = {
    "": {
        **_latents(),
        "joint_class": of_site(),
        "class_vote": Field((dims.SITE, dims.CLASS), "1"),
        "log_likelihood": of_site(),
        "elbo": of_site(),
        "reconstruction_error": of_site(required=True),
        "foreign_share": of_site("1"),
        "held_out": of_site(),
        "cluster": of_site(required=True),
        "cluster_probability": Field((dims.SITE, "cluster_name"), "1", required=True),
        "pca": Field((dims.SITE, "component_index"), "1", required=True),
        "pca_error": of_site("1", required=True),
    },
    "traversal": {
        "manifold": Field((dims.CLASS, *NODES, *PIXELS), required=True),
        "n_sites": Field((dims.CLASS, *NODES), "1", required=True),
    },
    "explorer": {
        "decoded": Field((dims.CLASS, "node_1", "node_2", dims.PATCH_Y, dims.PATCH_X)),
        "shown": Field(("shown",), "1"),
        "member": Field(("shown",), "1"),
        "part_picture": Field(("part", dims.PATCH_Y, dims.PATCH_X)),
        "coefficient": Field(("shown", "part")),
        **{name: Field(("shown",)) for name in ("gain", "offset")},
        "stored": Field(("stored",), "1"),
        "patch": Field(("stored", dims.PATCH_Y, dims.PATCH_X)),
    },
    "clusters": {
        "mean_patch": Field(("cluster_name", *PIXELS), required=True),
        "decoded": Field(("cluster_name", *PIXELS), required=True),
        "mean_content": Field(("cluster_name", dims.LATENT), "1", required=True),
        "n_sites": Field(("cluster_name",), "1", required=True),
    },
    "examples": {
        "patch": Field(("example", *PIXELS), required=True),
        "reconstruction": Field(("example", *PIXELS), required=True),
        "valid": Field(("example", *PIXELS), required=True),
        "error": Field(("example",), required=True),
        "rank": Field(("example",), required=True),
        "site": Field(("example",), required=True),
    },
    "classes": {
        "mean_patch": Field((dims.CLASS, *PIXELS), required=True),
        "decoded": Field((dims.CLASS, *PIXELS), required=True),
        "n_sites": Field((dims.CLASS,), "1", required=True),
        "site": Field((dims.CLASS, "example"), "1", required=True),
        "patch": Field((dims.CLASS, "example", *PIXELS), required=True),
        "reconstruction": Field((dims.CLASS, "example", *PIXELS), required=True),
    },
    "angles": {
        "density": Field(("example", "turn"), "1/rad", required=True),
        "patch": Field(("example", *PIXELS), required=True),
        "site": Field(("example",), "1", required=True),
        "label": Field(("example",), "1", required=True),
    },
    "confusion": {
        "count": Field(("labelling", "found", "known"), "1", required=True),
        "match": Field(("labelling", "found"), "1", required=True),
        **{
            name: Field(("labelling",), "1", required=True)
            for name in ("accuracy", "adjusted_rand")
        },
    },
    "known": {name: Field(("known",), "1") for name in BY_KNOWN}
    | {name: Field(("space", "variable"), "1") for name in ("r2", "r2_by_class")},
    "baselines": {
        "content": Field(("baseline", dims.SITE, "coordinate"), "1", required=True),
        "cluster": Field(("baseline", dims.SITE), "1", required=True),
        "reconstruction_error": Field(("baseline", dims.SITE), "1", required=True),
    },
    "training": {},
    "baseline": {
        "component": Field(("component_index", *PIXELS), "1", required=True),
        "mean_patch": Field(PIXELS, "1", required=True),
        "explained_variance": Field(("component_index",), "1", required=True),
        "explained_variance_ratio": Field(("component_index",), "1", required=True),
        "bic": Field(("n_classes",), "1", required=True),
    },
    "association": {
        **{f"rho{end}": Field(PAIR, "1", required=True) for end in ENDS},
        **{f"r2{end}": Field(("space", "descriptor"), "1", required=True) for end in ENDS},
    },
    "summary": {
        "n_frames": Field((), "1"),
        "n_sites": Field((), "1", required=True),
        "n_clusters": Field((), "1", required=True),
    },
}
"""Group → variable → dims and units, of every kind of recording. A result may have more."""

REQUIRED_GROUPS = ("", "traversal", "clusters", "examples", "baseline", "summary")
"""Groups of the result of every kind that has no schema of its own alone."""


def schema_of(kinds: Iterable[Kind]) -> dict[str, dict[str, Field]]:
    """Group → variable → dims and units of the results of some kinds of recordings.

    What only some of the kinds require is not required here.

    Raises:
        ValueError: two kinds define the same variable with different dims or units.
    """
    schema = {group: dict(fields) for group, fields in SHARED.items()}
    for kind in kinds:
        own: Schema = load(kind.schema)
        for group, fields in {"": own.sites, **own.groups}.items():
            merged = schema.setdefault(group, {})
            for name, field in fields.items():
                field = field if own.required is None else replace(field, required=False)
                if not _is_same(merged.setdefault(name, field), field, own):
                    raise ValueError(f"{kind.schema}: {group}/{name} is {merged[name]} elsewhere")
    return schema


def _is_same(first: Field, second: Field, own: Schema) -> bool:
    same = (first.dims, first.units) == (second.dims, second.units)
    return same and (first.required == second.required or own.required is not None)


SCHEMA: Mapping[str, Mapping[str, Field]] = schema_of(KINDS.values())
"""Group → variable → dims and units of any result."""


def schema_for(kind: Kind) -> Mapping[str, Mapping[str, Field]]:
    """What a result of a kind of recording is checked against."""
    own: Schema = load(kind.schema)
    return SCHEMA if own.required is None else {"": own.sites, **own.groups}


def required_groups(kind: Kind) -> tuple[str, ...]:
    """Groups that every result of a kind of recording has; the root group is ""."""
    own: Schema = load(kind.schema)
    return REQUIRED_GROUPS if own.required is None else own.required
