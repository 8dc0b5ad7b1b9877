/**
 * Modes of files and folders that blockferry creates. A disk image contains the files of all users of the
 * disk. So only its owner may read a backup or a restored image, regardless of the umask. A replaced file keeps
 * its own mode.
 */
export const PRIVATE_FILE_MODE = 0o600;
export const PRIVATE_FOLDER_MODE = 0o700;
