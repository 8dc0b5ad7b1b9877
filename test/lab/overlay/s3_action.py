"""The name of an S3 action, which the API expresses by method, path and query."""

from typing import Any
from urllib.parse import parse_qsl

_OBJECT = {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
_BUCKET = {"GET": "ListObjectsV2", "PUT": "CreateBucket", "HEAD": "HeadBucket", "POST": "DeleteObjects"}
_UPLOAD = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}


def s3_action(environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the action, bucket and key of a request with path-style addressing."""
    method = environ["REQUEST_METHOD"]
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    if not key and "uploads" in query:
        return "ListMultipartUploads", {"Bucket": bucket, **query}
    if not key and "object-lock" in query:
        return "GetBucketObjectLockConfiguration", {"Bucket": bucket, **query}
    if not key:
        return _BUCKET.get(method, method), {"Bucket": bucket, **query}
    if "uploads" in query:
        action = "CreateMultipartUpload"
    elif "uploadId" in query:
        action = _UPLOAD.get(method, method)
    else:
        action = _OBJECT.get(method, method)
    condition = environ.get("HTTP_IF_NONE_MATCH")
    conditions = {} if condition is None else {"IfNoneMatch": condition}
    return action, {"Bucket": bucket, "Key": key, **conditions}
