"""Lets schemathesis send chunks of resumable uploads."""
import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def chunk(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
