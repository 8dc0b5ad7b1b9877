/** The texts about an interrupt of one command. */
export interface Interruption {
  /**
   * The activity of the command after the first signal: it ends by itself. Without it the command ends at once,
   * because no step of it can be left half done.
   */
  doing?: string;
  /** State that the command leaves, as a clause. */
  outcome: string;
  /** An instruction for the user. */
  remedy: string;
  /** Message after the second signal. */
  left?: string;
  /** How long the command may take to end after the first signal; no limit if left out. */
  windDownMs?: number;
}

/** Longer than any request or write in progress takes, except on a device that hangs. */
const WIND_DOWN_MS = 2500;

const AGAIN = "Run the same command again.";

/** For commands that create resources in AWS. */
const REMOVING = {
  doing: "removing the temporary resources",
  left: "Quit at once. Run `blockferry cleanup` to remove the temporary resources.",
};

/** The texts of all commands of both programs, by program and command. */
export const INTERRUPTIONS: Readonly<Record<string, Interruption>> = {
  "blockferry-agent init": {
    outcome: "the new repository may be incomplete; it holds no data yet",
    remedy: "Run the same command again: it continues in the place that it has started with.",
  },
  "blockferry-agent backup": {
    doing: "keeping the stored data",
    outcome: "no recovery point was made, and the data that were stored stay in the repository",
    remedy: "Run the same command again; a backup continues from the data that are already stored.",
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent restore": {
    doing: "leaving the targets incomplete",
    outcome:
      "the restore is not complete; an unfinished file was removed, and a device that was being written holds only a part of its volume",
    remedy:
      "Run the same command again before you use the target, with --force for a device that was written.",
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent nbd": {
    doing: "the volume is no longer served, and nothing in the repository was changed",
    outcome: "the volume was not served, and nothing in the repository was changed",
    remedy: AGAIN,
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent export": {
    doing: "removing the unfinished image",
    outcome: "no image was made, and nothing in the repository was changed",
    remedy: AGAIN,
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent list": {
    outcome: "the list is not complete, and nothing was changed",
    remedy: AGAIN,
  },
  "blockferry-agent show": {
    outcome: "the point was not shown, and nothing was changed",
    remedy: AGAIN,
  },
  "blockferry-agent verify": {
    doing: "ending the check without a result",
    outcome: "only a part was checked, so there is no result; nothing in the repository was changed",
    remedy: "Run the same command again; a shorter run checks a sample with --read-data=PERCENT.",
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent copy": {
    doing: "keeping the copied data",
    outcome:
      "points that were copied completely stay in the other repository, and the data of the next one stay, too",
    remedy: "Run the same command again: it copies only the rest.",
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent stats": {
    doing: "ending the count",
    outcome: "nothing was counted completely, and nothing was changed",
    remedy: AGAIN,
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent tune": {
    doing: "removing the objects of the measurement",
    outcome: "the measurement has no result, and its objects were removed from the repository",
    remedy: "Run the same command again, with a smaller --seconds if it took too long.",
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent forget": {
    outcome: "points that were forgotten by then stay forgotten, and all others are unchanged",
    remedy: "See the points with `list`, and run the same command again for the rest.",
  },
  "blockferry-agent prune": {
    doing: "leaving the rest to the next prune",
    outcome: "nothing that a recovery point needs was removed, and some unneeded data are still stored",
    remedy: "Run the same command again: it removes the rest.",
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent repair": {
    doing: "leaving the rest unrepaired",
    outcome: "repairs that were finished stay, and nothing else was changed",
    remedy: "Run the same command again: it repairs the rest.",
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent key": {
    doing: "leaving the keys as they are now",
    outcome:
      "a new key may have been added, and an old one may still be there; the data can be read with each of them",
    remedy: "See the keys with `key list`, and run the same command again if one is missing or left over.",
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent trust": {
    outcome: "the record of the repository may have been removed already",
    remedy: "See the records with `trust list`.",
  },
  "blockferry-agent serve": {
    doing: "stopping the service; the next one resumes a job that is running",
    outcome: "the service was stopped; a job that was running has no result yet",
    remedy: "Start the service again: it resumes the job.",
    windDownMs: WIND_DOWN_MS,
  },
  "blockferry-agent limits": {
    outcome: "no limits were computed",
    remedy: AGAIN,
  },
  "blockferry backup": {
    ...REMOVING,
    outcome: "the job made no recovery point",
    remedy: "Start the backup again; data that the worker has stored are not stored again.",
  },
  "blockferry check": {
    outcome: "not everything was checked; a check creates nothing",
    remedy: AGAIN,
  },
  "blockferry restore": {
    ...REMOVING,
    outcome: "the restore did not finish",
    remedy: "Start the restore again; it creates its own volumes.",
  },
  "blockferry status": {
    outcome: "the status was not read completely, and no job was changed",
    remedy: AGAIN,
  },
  "blockferry cancel": {
    outcome: "the job may or may not be cancelled",
    remedy: "Run the same command again: a second request does no harm.",
  },
  "blockferry resume": {
    ...REMOVING,
    outcome: "the job has ended and was not finished",
    remedy: "Start a new job when you want one.",
  },
  "blockferry cleanup": {
    outcome: "some resources may be removed and others still be there",
    remedy: "Run the same command again: it removes the rest.",
  },
  "blockferry points": {
    outcome: "the list of points is not complete, and nothing was changed",
    remedy: AGAIN,
  },
  "blockferry show": {
    outcome: "the recovery point was not shown, and nothing was changed",
    remedy: AGAIN,
  },
  "blockferry iam-policy": {
    outcome: "no policy was printed; the command changes nothing",
    remedy: AGAIN,
  },
};
