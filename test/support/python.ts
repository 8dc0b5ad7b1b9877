import { fileURLToPath } from "node:url";

/** The Python for which scripts/s3-servers.sh installs the packages of scripts/moto-requirements.txt. */
export const PYTHON = fileURLToPath(new URL("../../../.tools/moto/bin/python3", import.meta.url));
