"""A FUSE file system that passes everything through to a folder, with oddities of real file systems.

Usage: odd-file-system.py FOLDER MOUNT_POINT [ODDITY,...]
"""

import errno
import os
import sys

from mfusepy import FUSE, FuseOSError, Operations

ODDITIES = {
    "nocase": "stores all names in lower case",
    "nochmod": "refuses to change modes and owners",
    "nodirsync": "cannot sync folders",
    "noblocks": "reports that no file has any blocks",
    "nofsync": "cannot sync files",
    "nolink": "has no hard links",
    "norename": "does not replace a file by renaming another",
    "badsync": "reports an I/O error when a folder is synced",
    "quota": "has a quota of 16 MiB",
    "short": "reads fewer bytes than requested",
    "stale": "lists a new folder as empty for ever",
}
STATUS = ("st_atime_ns", "st_ctime_ns", "st_mtime_ns", "st_gid", "st_uid", "st_mode", "st_nlink", "st_size", "st_blocks")
ROOM = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize", "f_namemax")
SHORT_BYTES = 65536 + 512
QUOTA_BYTES = 16 * 1024 * 1024
O_LARGEFILE = 0o100000


class OddFileSystem(Operations):
    use_ns = True

    def __init__(self, folder, oddities):
        self.folder = folder
        self.oddities = oddities
        self.new_folders = set()

    def real(self, path):
        return self.folder + (path.lower() if "nocase" in self.oddities else path)

    def refuse(self, oddity, code):
        if oddity in self.oddities:
            raise FuseOSError(code)

    def used_bytes(self):
        if "quota" not in self.oddities:
            return 0
        return sum(os.lstat(os.path.join(top, name)).st_size for top, _, names in os.walk(self.folder) for name in names)

    def access(self, path, mode):
        if not os.access(self.real(path), mode):
            raise FuseOSError(errno.EACCES)
        return 0

    def getattr(self, path, fh=None):
        found = os.lstat(self.real(path))
        status = {name.removesuffix("_ns"): getattr(found, name) for name in STATUS}
        if "noblocks" in self.oddities:
            status["st_blocks"] = 0
        return status

    def statfs(self, path):
        found = os.statvfs(self.real(path))
        return {name: getattr(found, name) for name in ROOM}

    def readdir(self, path, fh):
        is_stale = "stale" in self.oddities and path in self.new_folders
        return [".", "..", *([] if is_stale else os.listdir(self.real(path)))]

    def mkdir(self, path, mode):
        self.new_folders.add(path)
        return os.mkdir(self.real(path), mode) or 0

    def rmdir(self, path):
        return os.rmdir(self.real(path)) or 0

    def unlink(self, path):
        return os.unlink(self.real(path)) or 0

    def rename(self, old, new):
        if os.path.exists(self.real(new)):
            self.refuse("norename", errno.EPERM)
        return os.rename(self.real(old), self.real(new)) or 0

    def link(self, target, source):
        self.refuse("nolink", errno.EPERM)
        return os.link(self.real(source), self.real(target)) or 0

    def chmod(self, path, mode):
        self.refuse("nochmod", errno.EPERM)
        return os.chmod(self.real(path), mode) or 0

    def chown(self, path, uid, gid):
        self.refuse("nochmod", errno.EPERM)
        return os.chown(self.real(path), uid, gid) or 0

    def create(self, path, mode, fi=None):
        return os.open(self.real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path, flags):
        return os.open(self.real(path), flags & ~os.O_DIRECT & ~O_LARGEFILE)

    def read(self, path, size, offset, fh):
        wanted = min(size, SHORT_BYTES) if "short" in self.oddities else size
        return os.pread(fh, wanted, offset)

    def write(self, path, data, offset, fh):
        if self.used_bytes() + len(data) > QUOTA_BYTES:
            self.refuse("quota", errno.EDQUOT)
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        return os.truncate(self.real(path), length) or 0

    def utimens(self, path, times=None):
        return os.utime(self.real(path), ns=times) or 0

    def release(self, path, fh):
        return os.close(fh) or 0

    def flush(self, path, fh):
        return 0

    def fsync(self, path, datasync, fh):
        self.refuse("nofsync", errno.EINVAL)
        return os.fsync(fh) or 0

    def opendir(self, path):
        return 0

    def fsyncdir(self, path, datasync, fh):
        self.refuse("nodirsync", errno.EINVAL)
        self.refuse("badsync", errno.EIO)
        return 0


def main():
    folder, mount_point, *rest = sys.argv[1:]
    oddities = set(rest[0].split(",")) if rest else set()
    if not oddities <= ODDITIES.keys():
        sys.exit(f"oddities: {ODDITIES}")
    # Short reads reach the program only without the page cache.
    FUSE(
        OddFileSystem(folder, oddities),
        mount_point,
        foreground=True,
        nothreads=True,
        direct_io="short" in oddities,
    )


main()
