"""The checksum of chunks: CRC-32C behind the compressed bytes, compared whenever a chunk is read.

Zarr's own codec of this name raises a ValueError; this one raises an error that says what to do. It also serves foreign stores.
"""

from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import Crc32cCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.registry import register_codec

from invae.errors import Damaged


class Checksum(Crc32cCodec):
    """Zarr's codec `crc32c` with an error of this package."""

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        try:
            return super()._decode_sync(chunk_bytes, chunk_spec)
        except ValueError as error:
            raise Damaged(
                "a chunk is not as it was written (its checksum differs); `invae doctor --verify` names the file"
            ) from error


def register() -> None:
    """Let Zarr use this codec for all stores that name crc32c."""
    import zarr

    register_codec("crc32c", Checksum)
    zarr.config.set({"codecs.crc32c": f"{Checksum.__module__}.{Checksum.__qualname__}"})


CHECKSUM: BytesBytesCodec = Checksum()
