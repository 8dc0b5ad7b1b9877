"""An S3 server that answers at once and drops the bytes of packs and parts. Prints its port.

It keeps other objects in memory, so that a backup finds its repository. It checks neither signatures nor
checksums. It is written in Python for one flag: with MSG_TRUNC Linux drops received bytes without copying them
(tcp(7)). So the server takes almost no CPU time from the client."""

import re
import socket
import urllib.parse
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

objects = {}
# Dropped bytes are not written to this buffer.
NOWHERE = bytearray(8 * 1024 * 1024)


class NullSink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def do_PUT(self):
        path, query = self.target()
        if "partNumber" in query or "/packs/" in path:
            self.discard()
            return self.answer(200, headers={"ETag": '"0"'})
        body = self.rfile.read(self.length())
        if self.headers["If-None-Match"] == "*" and path in objects:
            return self.answer(412, "<Error><Code>PreconditionFailed</Code></Error>")
        objects[path] = body
        self.answer(200, headers={"ETag": '"0"'})

    def do_POST(self):
        _, query = self.target()
        self.discard()
        name = "InitiateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
        self.answer(200, f"<{name}Result><UploadId>0</UploadId><ETag>0</ETag></{name}Result>")

    def do_DELETE(self):
        """Deletes an object, or everything below a path that ends with a slash."""
        path, _ = self.target()
        for key in list(objects):
            if key == path or (path.endswith("/") and key.startswith(path)):
                del objects[key]
        self.answer(204)

    def do_GET(self):
        path, query = self.target()
        if "uploads" in query:
            return self.answer(200, "<ListMultipartUploadsResult/>")
        if "list-type" in query:
            return self.list(path.rstrip("/") + "/", query.get("prefix", [""])[0])
        if path not in objects:
            return self.answer(404, "<Error><Code>NoSuchKey</Code></Error>")
        body = objects[path]
        wanted = re.match(r"bytes=(\d+)-(\d+)$", self.headers["Range"] or "")
        if wanted is None:
            return self.answer(200, body)
        start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(body))
        self.answer(206, body[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"})

    def list(self, bucket, prefix):
        keys = sorted(key for key in objects if key.startswith(bucket + prefix))
        contents = "".join(
            f"<Contents><Key>{key[len(bucket):]}</Key><Size>{len(objects[key])}</Size></Contents>" for key in keys
        )
        self.answer(200, f"<ListBucketResult>{contents}</ListBucketResult>")

    def target(self):
        url = urllib.parse.urlsplit(self.path)
        return url.path, urllib.parse.parse_qs(url.query, keep_blank_values=True)

    def length(self):
        return int(self.headers["Content-Length"] or 0)

    def discard(self):
        if "chunked" in (self.headers["Transfer-Encoding"] or ""):
            return self.discard_chunked()
        left = self.length()
        if left > 0:
            left -= len(self.rfile.read(min(left, len(self.rfile.peek(1)))))
        while left > 0:
            dropped = self.connection.recv_into(NOWHERE, min(left, len(NOWHERE)), socket.MSG_TRUNC | socket.MSG_WAITALL)
            if dropped == 0:
                raise ConnectionResetError
            left -= dropped

    def discard_chunked(self):
        """Drops a chunked body, which the SDK sends when it computes a checksum while streaming."""
        while (size := int(self.rfile.readline().split(b";")[0], 16)) > 0:
            self.rfile.read(size + 2)
        while self.rfile.readline().strip():
            pass

    def answer(self, status, body="", headers=None):
        content = body.encode() if isinstance(body, str) else body
        self.send_response_only(status)
        for name, value in {"Date": formatdate(usegmt=True), "Content-Length": len(content), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


server = ThreadingHTTPServer(("127.0.0.1", 0), NullSink)
print(server.server_port, flush=True)
server.serve_forever()
