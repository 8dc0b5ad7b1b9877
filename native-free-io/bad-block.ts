/**
 * Errors by which a device or file system reports a bad block, while other blocks may be fine. They are
 * numbers because Node names only some of them. Sources: block/blk-core.c, `blk_errors`; fs/btrfs and fs/xfs,
 * checksum and corruption errors.
 */
const BAD_BLOCK_ERRNOS: ReadonlySet<number> = new Set([
  5, // EIO: any other failure of the device
  61, // ENODATA: the medium cannot be read
  74, // EBADMSG: a checksum of the file system does not match
  84, // EILSEQ: the block's protection information does not match
  117, // EUCLEAN: the file system's structure is damaged
  121, // EREMOTEIO: the target of a network device reports a failure
]);

export function isBadBlock(error: unknown): boolean {
  return (
    error instanceof Error &&
    "errno" in error &&
    typeof error.errno === "number" &&
    BAD_BLOCK_ERRNOS.has(-error.errno)
  );
}
