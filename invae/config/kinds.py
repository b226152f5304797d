"""One row per kind of recording: its settings, its words, and where its own code is.

Every stage asks this table which code belongs to a recording. A row names that code as "module:name", which is imported
when it is used, so that a stage loads the rooms of its own kind only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Discriminator, Tag

from invae.config.atoms import AtomsConfig, DenseConfig
from invae.config.describe import ImagesConfig, WallsConfig
from invae.config.patterns import PatternsConfig
from invae.config.schema import Config
from invae.config.spectra import PairsConfig, SpectraConfig
from invae.errors import ConfigError

DEFAULT = "walls"
"""Kind of a describe section that names none."""
Content = Literal["PFM", "images", "set of images", "4D-STEM", "spectra"]
"""What a recording holds. No file says whether its images are a set or a series."""
USED_BY: Mapping[str, tuple[str, ...]] = {
    "describe": ("describe",),
    "analyse": ("analysis",),
    "report": ("schema", "page"),
}
"""Stage → the columns of a row that it uses. Training and embedding are the same for all kinds."""


@dataclass(frozen=True)
class Kind:
    """A kind of recording."""

    settings: type[Config]
    """Its describe section; the default of the field `kind` is the name of the kind."""
    site: str
    """What a person calls one site: "atom", "probe", "image"."""
    needs: str
    """What a recording must be, in words."""
    contents: tuple[Content, ...]
    """What recordings may hold; the kind is made for the first one."""
    channels: tuple[str, ...]
    """Settings that name the channels to use. Where one is set, these channels count, whatever else the recording holds."""
    describe: str
    """Function that makes the patches, with the arguments of `invae.descriptors.describe.describe`."""
    analysis: str
    """`invae.analysis.kind.Analysis`: what is computed for this kind alone."""
    schema: str
    """`invae.results.kind.Schema`: the variables and groups of a result that this kind alone has."""
    page: str
    """`invae.report.kind.KindPage`: the figures of a report with their sections, and the facts at its top."""

    @property
    def name(self) -> str:
        """The value of `describe.kind`."""
        return str(self.settings.model_fields["kind"].default)

    @property
    def sites(self) -> str:
        """The plural of `site`."""
        return f"{self.site[:-2]}a" if self.site.endswith("um") else f"{self.site}s"

    def words(self, stage: str) -> dict[str, str]:
        """Words of this row that a stage writes into its output."""
        return {"site": self.site} if stage == "report" else {}

    def modules(self, stage: str) -> tuple[str, ...]:
        """Modules of this kind that a stage imports by name; none where the stage is the same for all kinds."""
        references = (getattr(self, column) for column in USED_BY.get(stage, ()))
        return tuple(dict.fromkeys(reference.partition(":")[0] for reference in references))


def _table(*rows: Kind) -> Mapping[str, Kind]:
    return {row.name: row for row in rows}


KINDS = _table(
    Kind(
        settings=WallsConfig,
        site="site",
        needs="PFM (amplitude and phase)",
        contents=("PFM",),
        channels=("phase", "amplitude", "polarization"),
        describe="invae.descriptors.domains.patches:describe_walls",
        analysis="invae.analysis.domains.groups:ANALYSIS",
        schema="invae.results.domains:SCHEMA",
        page="invae.report.domains.page:PAGE",
    ),
    Kind(
        settings=ImagesConfig,
        site="image",
        needs="a set of images",
        contents=("set of images", "images", "PFM"),
        channels=("signals",),
        describe="invae.descriptors.image_sets.patches:describe_images",
        analysis="invae.analysis.kind:PLAIN",
        schema="invae.results.kind:PLAIN",
        page="invae.report.image_sets.page:PAGE",
    ),
    Kind(
        settings=AtomsConfig,
        site="atom",
        needs="an image",
        contents=("images",),
        channels=("signal",),
        describe="invae.descriptors.atoms.patches:describe_atoms",
        analysis="invae.analysis.atoms.groups:ANALYSIS",
        schema="invae.results.atoms:SCHEMA",
        page="invae.report.atoms.page:PAGE",
    ),
    Kind(
        settings=DenseConfig,
        site="window",
        needs="an image",
        contents=("images",),
        channels=("signal",),
        describe="invae.descriptors.windows.patches:describe_dense",
        analysis="invae.analysis.windows.groups:ANALYSIS",
        schema="invae.results.windows:SCHEMA",
        page="invae.report.windows.page:PAGE",
    ),
    Kind(
        settings=PatternsConfig,
        site="probe",
        needs="a 4D-STEM scan",
        contents=("4D-STEM",),
        channels=(),
        describe="invae.descriptors.diffraction.patches:describe_patterns",
        analysis="invae.analysis.diffraction.groups:ANALYSIS",
        schema="invae.results.diffraction:SCHEMA",
        page="invae.report.diffraction.page:PAGE",
    ),
    Kind(
        settings=PairsConfig,
        site="pair",
        needs="spectra",
        contents=("spectra",),
        channels=("spectrum",),
        describe="invae.descriptors.pairs.patches:describe_pairs",
        analysis="invae.analysis.kind:PLAIN",
        schema="invae.results.pairs:SCHEMA",
        page="invae.report.pairs.page:PAGE",
    ),
    Kind(
        settings=SpectraConfig,
        site="spectrum",
        needs="spectra",
        contents=("spectra",),
        channels=("spectrum",),
        describe="invae.descriptors.spectra.patches:describe_spectra",
        analysis="invae.analysis.spectra.groups:ANALYSIS",
        schema="invae.results.spectra:SCHEMA",
        page="invae.report.spectra.page:PAGE",
    ),
)
"""All kinds by name. A new kind is one row here and the rooms that the row names."""


def kind_named(name: str) -> Kind:
    """The row of a kind.

    Raises:
        ConfigError: there is no such kind.
    """
    if name not in KINDS:
        raise ConfigError(f"no kind of recording is called {name!r}; there are {_listed(KINDS)}")
    return KINDS[name]


def kind_of(settings: Config) -> Kind:
    """The row of a describe section.

    Raises:
        ConfigError: the settings are those of no kind.
    """
    for row in KINDS.values():
        if type(settings) is row.settings:
            return row
    raise ConfigError(f"{type(settings).__name__} belongs to no kind; there are {_listed(KINDS)}")


def recorded_kind(config: Mapping[str, Any]) -> Kind:
    """The row of a whole configuration as a receipt keeps it (JSON values).

    Raises:
        ConfigError: it names a kind that does not exist.
    """
    return kind_named(config.get("describe", {}).get("kind", DEFAULT))


def load(reference: str) -> Any:
    """What "module:name" refers to; the module is imported."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _tag(values: Any) -> str:
    """The tag of a describe section. The prefix keeps it apart from the key `walls` inside the section."""
    kind = values.get("kind", DEFAULT) if isinstance(values, Mapping) else values.kind
    return f"kind={kind}"


if TYPE_CHECKING:
    DescribeConfig = Config
else:
    DescribeConfig = Annotated[
        Union[tuple(Annotated[row.settings, Tag(f"kind={name}")] for name, row in KINDS.items())],  # noqa: UP007
        Discriminator(
            _tag,
            custom_error_type="unknown_kind",
            custom_error_message=f"kind must be one of {_listed(KINDS)}",
        ),
    ]
"""Settings of the describe stage, by `kind`."""
