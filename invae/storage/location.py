"""Where stores live: a folder here, or a prefix of an object store by its URL (`s3://bucket/prefix`).

An object store has no folders, no rename and no locks; it has objects that are written whole, and one that is refused if it
is there already. `ObjectPath` gives these pathlib's words, so that only `store` knows how a place of either kind is published.
Credentials come from the environment, as each cloud's own tools read them; never from a URL.
"""

import fnmatch
import io
import os
import re
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path, PosixPath, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import unquote

from invae.errors import InputError, StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
"""Amazon's and all that speak like it, Google's, Azure's."""

SECONDS_OF_RETRYING = 60
"""So long an object store may not answer before that is an error."""

_ADDRESS = re.compile(r"^([a-z][a-z0-9]+):/{1,2}(?!/)(.*)$")  # pathlib makes one slash of two
_FILE = re.compile(r"^file:/{1,3}(?!/)")


def place(text: str | Path) -> Path:
    """The place that a path or URL means.

    Raises:
        InputError: If it is a URL of another kind, without a bucket, or with credentials in it.
    """
    words = str(text)
    if isinstance(text, ObjectPath):
        return text
    if _FILE.match(words):
        return Path("/" + unquote(_FILE.sub("", words)))
    return _object(words) if _ADDRESS.match(words) else Path(text)


def in_folder(text: str | Path, *, what: str) -> Path:
    """The folder that a path means, for what can lie nowhere else.

    Raises:
        InputError: If it is an address on an object store.
    """
    found = place(text)
    if isinstance(found, ObjectPath):
        raise InputError(f"{found}: {what} can only go into a folder; give one")
    return found


def _object(words: str) -> "ObjectPath":
    found = _ADDRESS.match(words)
    assert found is not None
    scheme, rest = found.groups()
    shown = re.sub(r"^[^/]*@", "…@", rest)
    if scheme not in SCHEMES:
        raise InputError(
            f"{scheme}://{shown}: stores lie in a folder, or at {', '.join(SCHEMES)}:// addresses"
        )
    if shown != rest or "?" in rest:
        raise InputError(
            f"{scheme}://{shown.partition('?')[0]}: credentials and options do not belong into an address; "
            "give them in the environment"
        )
    if not rest.strip("/"):
        raise InputError(f"{scheme}://: names no bucket; {scheme}://bucket/prefix would")
    return ObjectPath(f"{scheme}:", *filter(None, rest.split("/")))


@lru_cache(maxsize=64)
def objects_at(url: str) -> "ObjectStore":
    """The objects of a bucket, or of a prefix in it, with the credentials of the environment."""
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise InputError(
            f"{url}: object stores need obstore; pip install 'invae[cloud]'"
        ) from error
    patience = timedelta(seconds=SECONDS_OF_RETRYING)
    return from_url(url, retry_config={"retry_timeout": patience})


@contextmanager
def answering(path: "ObjectPath") -> Iterator[None]:
    """Turn what an object store answers into one line; what may pass is a `ConnectionError`.

    Raises:
        StoreError: If it does not let us.
        ConnectionError: If it does not answer, or has too much to do.
    """
    from obstore import exceptions

    try:
        yield
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise StoreError(
            f"{path}: is not allowed; check the credentials in the environment"
        ) from error
    except (FileNotFoundError, exceptions.GenericError, exceptions.JoinError) as error:
        told = str(error)
        if "NoSuchBucket" in told:
            raise StoreError(f"{path}: no such bucket; make it, or name another") from error
        if "credential" in told.lower():
            raise StoreError(f"{path}: there are no credentials in the environment") from error
        if isinstance(error, FileNotFoundError):
            raise
        raise ConnectionError(f"{path}: the object store does not answer") from error


class ObjectPath(PosixPath):
    """An object, or the prefix of some, of an object store; what pathlib cannot mean there is refused."""

    @property
    def scheme(self) -> str:
        return self.parts[0].rstrip(":")

    @property
    def bucket(self) -> "ObjectStore":
        return objects_at(f"{self.scheme}://{self.parts[1]}")

    @property
    def key(self) -> str:
        """Name of the object in its bucket."""
        return "/".join(self.parts[2:])

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join(self.parts[1:])}"

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __fspath__(self) -> NoReturn:
        raise StoreError(f"{self}: lies on an object store; a folder on this machine is needed")

    def relative_to(self, *other: Any, **_: Any) -> PurePosixPath:  # pyright: ignore
        return PurePosixPath(*super().relative_to(*other).parts)

    def absolute(self) -> Self:
        return self

    def resolve(self, strict: bool = False) -> Self:
        return self

    def exists(self, **_: Any) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self, **_: Any) -> bool:
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self, **_: Any) -> bool:
        listed = self._listed()
        return bool(listed["common_prefixes"] or listed["objects"])

    def stat(self, **_: Any) -> os.stat_result:
        """Size and time of change of the object.

        Raises:
            FileNotFoundError: If there is none of this name.
        """
        import obstore

        with answering(self):
            told = obstore.head(self.bucket, self.key)
        changed = told["last_modified"].timestamp()
        mode = stat.S_IFREG | stat.S_IRUSR | stat.S_IWUSR
        return os.stat_result((mode, 0, 0, 1, 0, 0, told["size"], changed, changed, changed))

    def read_bytes(self) -> bytes:
        import obstore

        with answering(self):
            return bytes(obstore.get(self.bucket, self.key).bytes())

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def write_bytes(self, data: Any) -> int:
        import obstore

        with answering(self):
            obstore.put(self.bucket, self.key, bytes(data))
        return len(data)

    def write_text(
        self,
        data: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> int:
        return self.write_bytes(data.encode(encoding or "utf-8", errors or "strict"))

    def open(self, mode: str = "r", *_: Any, **__: Any) -> IO[Any]:  # pyright: ignore
        """The object in memory, to read from."""
        if mode != "rb":
            raise StoreError(f"{self}: objects are written whole; {mode!r} is not possible")
        return io.BytesIO(self.read_bytes())

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a prefix is there when an object is."""

    def rmdir(self) -> None:
        """Nothing: a prefix goes with its last object."""

    def chmod(self, mode: int, **_: Any) -> None:
        """Nothing: who may read an object is the bucket's affair."""

    def unlink(self, missing_ok: bool = False) -> None:
        import obstore

        if not missing_ok:
            self.stat()
        with answering(self):
            obstore.delete(self.bucket, self.key)

    def replace(self, target: str | os.PathLike[str]) -> Self:
        """Give one object another name; what had that name is replaced in one moment."""
        if not isinstance(target, type(self)):
            raise StoreError(f"{self}: cannot become {target}; give it a place in the bucket")
        target.write_bytes(self.read_bytes())
        self.unlink()
        return target

    def rename(self, target: str | os.PathLike[str]) -> NoReturn:
        raise StoreError(f"{self}: an object store does not rename; see `store.publish`")

    def iterdir(self) -> Generator[Self, None, None]:
        listed = self._listed()
        names = [str(entry["path"]) for entry in listed["objects"]]
        for name in sorted([*listed["common_prefixes"], *names]):
            yield self / name.rstrip("/").rpartition("/")[2]

    def glob(self, pattern: str, **_: Any) -> Generator[Self, None, None]:  # pyright: ignore
        """Places under this one whose names fit, part by part."""
        first, _slash, rest = pattern.partition("/")
        if not any(mark in first for mark in "*?["):
            inner = [self / first]
        else:
            inner = [p for p in self.iterdir() if fnmatch.fnmatchcase(p.name, first)]
        for found in inner:
            if rest:
                yield from found.glob(rest)
            elif found.exists():
                yield found

    def rglob(self, pattern: str, **_: Any) -> Generator[Self, None, None]:  # pyright: ignore
        """Objects under this prefix, at any depth, whose names fit."""
        for name in self.objects():
            if fnmatch.fnmatchcase(name.rpartition("/")[2], pattern):
                yield self / name

    def objects(self) -> list[str]:
        """Names of all objects under this prefix, relative to it."""
        import obstore

        start = f"{self.key}/"
        with answering(self):
            found = [entry for page in obstore.list(self.bucket, start) for entry in page]
        return sorted(str(entry["path"]).removeprefix(start) for entry in found)

    def _listed(self) -> Any:
        import obstore

        with answering(self):
            return obstore.list_with_delimiter(self.bucket, f"{self.key}/" if self.key else None)


def remove(path: ObjectPath, *, first: tuple[str, ...]) -> None:
    """Delete everything under a prefix; the objects named in `first` before the others."""
    import obstore

    names = path.objects()
    marks = [name for name in names if name in first]
    with answering(path):
        for some in (marks, [name for name in names if name not in first]):
            if some:
                obstore.delete(path.bucket, [f"{path.key}/{name}" for name in some])


def copy(source: Path, target: ObjectPath, *, last: tuple[str, ...]) -> None:
    """Copy everything under a prefix or in a folder; within a bucket without sending it here. Those named in `last` at the end."""
    from concurrent.futures import ThreadPoolExecutor

    import obstore

    def bring(name: str) -> None:
        if isinstance(source, ObjectPath) and source.parts[:2] == target.parts[:2]:
            obstore.copy(source.bucket, f"{source.key}/{name}", f"{target.key}/{name}")
        else:
            (target / name).write_bytes((source / name).read_bytes())

    names = names_in(source)
    with answering(target), ThreadPoolExecutor(8) as pool:
        list(pool.map(bring, [name for name in names if name not in last]))
        for name in last:
            if name in names:
                bring(name)


def fetch(source: ObjectPath, target: Path) -> None:
    """Copy everything under a prefix into a folder here."""
    for name in names_in(source):
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((source / name).read_bytes())


def upload(file: Path, target: ObjectPath) -> None:
    """Make an object of a file, whatever its size; it appears whole."""
    import obstore

    with answering(target):
        obstore.put(target.bucket, target.key, file)


def names_in(place: Path) -> list[str]:
    """Names of all files or objects in a place, at any depth, relative to it."""
    if isinstance(place, ObjectPath):
        return place.objects()
    return sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())


def put_if(path: ObjectPath, content: bytes, *, tag: str | None) -> str | None:
    """Write an object if it still has this tag (none: if it is not there); its new tag, or none if somebody was faster."""
    import obstore
    from obstore import exceptions

    with answering(path):
        try:
            mode = "create" if tag is None else {"e_tag": tag}
            return obstore.put(path.bucket, path.key, content, mode=mode)["e_tag"]  # pyright: ignore
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            return None


def read_tagged(path: ObjectPath) -> tuple[bytes, str]:
    """The content of an object, and the tag by which `put_if` knows it."""
    import obstore

    with answering(path):
        found = obstore.get(path.bucket, path.key)
        return bytes(found.bytes()), str(found.meta["e_tag"])
