/**
 * Modes of what blockferry makes. A disk holds the files of all its users, so a backup or a restored image is for its owner
 * alone, whatever the umask says; a file that is replaced keeps its own mode.
 */
export const PRIVATE_FILE_MODE = 0o600;
export const PRIVATE_FOLDER_MODE = 0o700;
