/** A role that accesses a repository directly, not through EC2. */
export type RepositoryRole = "controller" | "agent" | "restoring-agent" | "verify" | "maintenance";

/** The objects that a role reads and writes, as key patterns; `*` matches any text. */
export interface RepositoryRights {
  read: string[];
  /** Objects that the role creates but may not replace. */
  create: string[];
  /** Objects that the role may replace. */
  replace: string[];
  /** Objects that the role may also upload in parts. */
  upload: string[];
  remove: string[];
}

const LEASE = { create: ["locks/*.json"], replace: ["locks/*.beat"] };

export const REPOSITORY_RIGHTS: Record<RepositoryRole, RepositoryRights> = {
  controller: {
    read: ["config.json", "keys/*", "jobs/*", "points/*"],
    create: ["jobs/*/job.json"],
    replace: ["jobs/*/journal*.json", "jobs/*/cancel"],
    upload: [],
    remove: [],
  },
  /** The agent only adds to the repository. It cannot read journals, because they contain external ids. */
  agent: {
    read: [
      ...["config.json", "keys/*", "packs/*", "index/*", "points/*", "locks/*", "prune/*"],
      ...["jobs/*/job.json", "jobs/*/cancel", "jobs/*/status.json", "jobs/*/result.json"],
    ],
    create: ["packs/*", "index/*", "points/*", "jobs/*/result.json", ...LEASE.create],
    replace: ["jobs/*/status.json", "jobs/*/figures.json", "tmp/*", ...LEASE.replace],
    upload: ["packs/*"],
    remove: ["locks/*", "tmp/*"],
  },
  /** A restoring agent writes only a lease, its heartbeat and its result. */
  "restoring-agent": {
    read: [
      ...["config.json", "keys/*", "packs/*", "index/*", "points/*", "locks/*", "prune/*"],
      ...["jobs/*/job.json", "jobs/*/cancel", "jobs/*/status.json", "jobs/*/result.json"],
    ],
    create: ["jobs/*/result.json", ...LEASE.create],
    replace: ["jobs/*/status.json", ...LEASE.replace],
    upload: [],
    remove: ["locks/*"],
  },
  /** `verify` reads every object. It keeps its progress on its own machine. */
  verify: {
    read: ["*"],
    create: LEASE.create,
    replace: LEASE.replace,
    upload: [],
    remove: ["locks/*"],
  },
  /**
   * `forget`, `prune`, `repair` and `copy`. Only this role may remove recovery points and the objects they
   * need.
   */
  maintenance: {
    read: ["*"],
    create: ["packs/*", "index/*", "points/*", ...LEASE.create],
    replace: ["prune/*", "forgotten/*", "tmp/*", ...LEASE.replace],
    upload: ["packs/*"],
    remove: ["packs/*", "index/*", "points/*", "locks/*", "prune/*", "tmp/*"],
  },
};
