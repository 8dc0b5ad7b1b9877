import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

/**
 * Returns the folder for this machine's records about repositories: BLOCKFERRY_STATE_DIR, or `blockferry` in
 * the user's state folder. (XDG Base Directory Specification: a relative XDG_STATE_HOME is ignored)
 */
export function stateFolder(): string {
  const { BLOCKFERRY_STATE_DIR, XDG_STATE_HOME } = process.env;
  if (BLOCKFERRY_STATE_DIR) return resolve(BLOCKFERRY_STATE_DIR);
  const home =
    XDG_STATE_HOME && isAbsolute(XDG_STATE_HOME) ? XDG_STATE_HOME : join(homedir(), ".local/state");
  return join(home, "blockferry");
}
