"""Where stores lie: in a folder, or under a prefix of an object store given by its URL (`s3://bucket/prefix`).

An object store has no folders, no rename and no locks. Its objects are written whole, and writing one can be refused if it
already exists. `ObjectPath` offers this with the methods of pathlib, so that only `store` knows how either kind is published.
Credentials come from the environment, as each cloud's own tools read them, never from a URL.
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

from invae.deadlines import within
from invae.errors import InputError, StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
"""Amazon S3 and compatible stores, Google Cloud Storage, Azure."""

SECONDS_OF_RETRYING = 60
"""How long a request to an object store is repeated before it is an error [s]."""

SECONDS_TO_ANSWER = 10.0
"""How long commands that only look wait for the first answer of an object store [s]."""

_ADDRESS = re.compile(r"^([a-z][a-z0-9]+):/{1,2}(?!/)(.*)$")  # pathlib makes one slash of two
_FILE = re.compile(r"^file:/{1,3}(?!/)")


def as_path(text: str | Path) -> Path:
    """The path or URL as a path: an `ObjectPath` on an object store, an ordinary one otherwise.

    Raises:
        InputError: If a URL has another scheme, names no bucket, or contains credentials.
    """
    words = str(text)
    if isinstance(text, ObjectPath):
        return text
    if _FILE.match(words):
        return Path("/" + unquote(_FILE.sub("", words)))
    return _object(words) if _ADDRESS.match(words) else Path(text)


def as_local_path(text: str | Path, *, what: str) -> Path:
    """The path of a folder on this machine.

    Args:
        text: path or URL.
        what: what must lie in a folder, for the message.

    Raises:
        InputError: If it is a URL of an object store.
    """
    path = as_path(text)
    if isinstance(path, ObjectPath):
        raise InputError(f"{path}: {what} can only go into a folder; give one")
    return path


def _object(words: str) -> "ObjectPath":
    address = _ADDRESS.match(words)
    assert address is not None
    scheme, rest = address.groups()
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
def explaining_errors(path: "ObjectPath") -> Iterator[None]:
    """Replace errors of an object store by errors of one line; a temporary one is a `ConnectionError`.

    Raises:
        StoreError: If access is denied, or the bucket does not exist.
        ConnectionError: If the store does not answer or is overloaded.
    """
    from obstore import exceptions

    try:
        yield
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise StoreError(
            f"{path}: is not allowed; check the credentials in the environment"
        ) from error
    except (FileNotFoundError, exceptions.GenericError, exceptions.JoinError) as error:
        message = str(error)
        if "NoSuchBucket" in message:
            raise StoreError(f"{path}: no such bucket; make it, or name another") from error
        if "credential" in message.lower():
            raise StoreError(f"{path}: there are no credentials in the environment") from error
        if isinstance(error, FileNotFoundError):
            raise
        raise ConnectionError(
            f"{path}: the object store does not answer; check its address and the network"
        ) from error


def require_answer(path: Path) -> None:
    """Check that the object store of a path answers soon; a folder always does.

    Raises:
        StoreError: If it does not, or access is denied.
    """
    if not isinstance(path, ObjectPath):
        return
    try:
        within(SECONDS_TO_ANSWER, path.is_dir)
    except TimeoutError as error:
        raise StoreError(
            f"{path}: the object store takes longer than {SECONDS_TO_ANSWER:.0f} s to answer; "
            "check its address and the network"
        ) from error


class ObjectPath(PosixPath):
    """An object of an object store, or a prefix; methods of pathlib without a meaning there raise an error."""

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
        """Size and modification time of the object.

        Raises:
            FileNotFoundError: If it does not exist.
        """
        import obstore

        with explaining_errors(self):
            head = obstore.head(self.bucket, self.key)
        changed = head["last_modified"].timestamp()
        mode = stat.S_IFREG | stat.S_IRUSR | stat.S_IWUSR
        return os.stat_result((mode, 0, 0, 1, 0, 0, head["size"], changed, changed, changed))

    def read_bytes(self) -> bytes:
        import obstore

        with explaining_errors(self):
            return bytes(obstore.get(self.bucket, self.key).bytes())

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def write_bytes(self, data: Any) -> int:
        import obstore

        with explaining_errors(self):
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
        """Does nothing: a prefix exists when an object under it does."""

    def rmdir(self) -> None:
        """Does nothing: a prefix vanishes with its last object."""

    def chmod(self, mode: int, **_: Any) -> None:
        """Does nothing: the bucket decides who may read an object."""

    def unlink(self, missing_ok: bool = False) -> None:
        import obstore

        if not missing_ok:
            self.stat()
        with explaining_errors(self):
            obstore.delete(self.bucket, self.key)

    def replace(self, target: str | os.PathLike[str]) -> Self:
        """Rename one object; an object of that name is replaced at once."""
        if not isinstance(target, type(self)):
            raise StoreError(
                f"{self}: cannot be renamed to {target}; give a path on the same object store"
            )
        target.write_bytes(self.read_bytes())
        self.unlink()
        return target

    def rename(self, target: str | os.PathLike[str]) -> NoReturn:
        raise StoreError(f"{self}: an object store cannot rename a prefix; use `store.publish`")

    def iterdir(self) -> Generator[Self, None, None]:
        listed = self._listed()
        names = [str(entry["path"]) for entry in listed["objects"]]
        for name in sorted([*listed["common_prefixes"], *names]):
            yield self / name.rstrip("/").rpartition("/")[2]

    def glob(self, pattern: str, **_: Any) -> Generator[Self, None, None]:  # pyright: ignore
        """Paths under this one that match the pattern, part by part."""
        first, _slash, rest = pattern.partition("/")
        if not any(mark in first for mark in "*?["):
            inner = [self / first]
        else:
            inner = [p for p in self.iterdir() if fnmatch.fnmatchcase(p.name, first)]
        for path in inner:
            if rest:
                yield from path.glob(rest)
            elif path.exists():
                yield path

    def rglob(self, pattern: str, **_: Any) -> Generator[Self, None, None]:  # pyright: ignore
        """Objects under this prefix, at any depth, whose names match the pattern."""
        for name in self.objects():
            if fnmatch.fnmatchcase(name.rpartition("/")[2], pattern):
                yield self / name

    def objects(self) -> list[str]:
        """Names of all objects under this prefix, relative to it."""
        return sorted(self.sizes())

    def sizes(self) -> dict[str, int]:
        """Sizes of all objects under this prefix [bytes], by their names relative to it."""
        import obstore

        start = f"{self.key}/"
        with explaining_errors(self):
            entries = [entry for page in obstore.list(self.bucket, start) for entry in page]
        return {str(entry["path"]).removeprefix(start): int(entry["size"]) for entry in entries}

    def _listed(self) -> Any:
        import obstore

        with explaining_errors(self):
            return obstore.list_with_delimiter(self.bucket, f"{self.key}/" if self.key else None)


def remove(path: ObjectPath, *, first: tuple[str, ...]) -> None:
    """Delete everything under a prefix, the objects named in `first` before the others."""
    import obstore

    names = path.objects()
    marks = [name for name in names if name in first]
    with explaining_errors(path):
        for some in (marks, [name for name in names if name not in first]):
            if some:
                obstore.delete(path.bucket, [f"{path.key}/{name}" for name in some])


def copy(source: Path, target: ObjectPath, *, last: tuple[str, ...]) -> None:
    """Copy everything in a folder or under a prefix, the objects named in `last` at the end; within a bucket the store copies."""
    from concurrent.futures import ThreadPoolExecutor

    import obstore

    def bring(name: str) -> None:
        if isinstance(source, ObjectPath) and source.parts[:2] == target.parts[:2]:
            obstore.copy(source.bucket, f"{source.key}/{name}", f"{target.key}/{name}")
        else:
            (target / name).write_bytes((source / name).read_bytes())

    names = names_in(source)
    with explaining_errors(target), ThreadPoolExecutor(8) as pool:
        list(pool.map(bring, [name for name in names if name not in last]))
        for name in last:
            if name in names:
                bring(name)


def fetch(source: ObjectPath, target: Path) -> None:
    """Copy everything under a prefix into a folder on this machine."""
    for name in names_in(source):
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((source / name).read_bytes())


def upload(file: Path, target: ObjectPath) -> None:
    """Upload a file of any size as one object; it appears whole."""
    import obstore

    with explaining_errors(target):
        obstore.put(target.bucket, target.key, file)


def names_in(folder: Path) -> list[str]:
    """Names of all files or objects in a folder or prefix, at any depth, relative to it."""
    if isinstance(folder, ObjectPath):
        return folder.objects()
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def put_if(path: ObjectPath, content: bytes, *, tag: str | None) -> str | None:
    """Write an object if it still has this tag, or if it does not exist and `tag` is None; returns the new tag, None if another writer was first."""
    import obstore
    from obstore import exceptions

    with explaining_errors(path):
        try:
            mode = "create" if tag is None else {"e_tag": tag}
            return obstore.put(path.bucket, path.key, content, mode=mode)["e_tag"]  # pyright: ignore
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            return None


def read_tagged(path: ObjectPath) -> tuple[bytes, str]:
    """The content of an object, and its tag for `put_if`."""
    import obstore

    with explaining_errors(path):
        answer = obstore.get(path.bucket, path.key)
        return bytes(answer.bytes()), str(answer.meta["e_tag"])
