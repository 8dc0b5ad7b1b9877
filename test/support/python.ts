import { fileURLToPath } from "node:url";

/** Where scripts/s3-servers.sh installs what scripts/moto-requirements.txt lists. */
export const PYTHON = fileURLToPath(new URL("../../../.tools/moto/bin/python3", import.meta.url));
