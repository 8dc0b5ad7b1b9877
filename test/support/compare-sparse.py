"""
Compares two files, which may be sparse: `compare-sparse.py FILE FILE`. Holes of both files are not read,
because reading them takes seconds for each GiB.
"""

import errno
import os
import sys

PIECE_BYTES = 1 << 20


def extents_of(file):
    """Yields the ranges with data, as `lseek(2)` reports them."""
    at = 0
    while True:
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        at = os.lseek(file, start, os.SEEK_HOLE)
        yield start, at


def first_difference(files):
    """Returns the first place where the files differ, or None."""
    for file in files:
        for start, end in extents_of(file):
            for offset in range(start, end, PIECE_BYTES):
                length = min(PIECE_BYTES, end - offset)
                one, other = (os.pread(each, length, offset) for each in files)
                if one != other:
                    return offset
    return None


paths = sys.argv[1:3]
opened = [os.open(path, os.O_RDONLY) for path in paths]
sizes = [os.fstat(file).st_size for file in opened]
if sizes[0] != sizes[1]:
    sys.exit(f"{paths[0]} has {sizes[0]} bytes, {paths[1]} has {sizes[1]}")
difference = first_difference(opened)
if difference is not None:
    sys.exit(f"{paths[0]} and {paths[1]} differ in the MiB from byte {difference} on")
