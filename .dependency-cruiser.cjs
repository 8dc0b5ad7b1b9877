/**
 * Imports go one way: between the folders at the top, and between the folders inside the big ones.
 * docs/architecture.md describes the layers. Each table lists a folder and the others that it may import.
 * Imports inside a folder are free, except for cycles.
 */

/** foundation < native-free-io, repository < command-line < report < agent, controller < demo, bench, test */
const TOP = {
  foundation: [],
  "native-free-io": ["foundation"],
  repository: ["foundation"],
  "command-line": ["foundation", "repository"],
  report: ["command-line", "foundation", "repository"],
  agent: ["command-line", "foundation", "native-free-io", "report", "repository"],
  // The controller touches no block device. It communicates with the agent through job objects.
  controller: ["command-line", "foundation", "report", "repository"],
};

/** format < storage < encryption < packs, points, open, jobs; points < protocol; packs, protocol < index */
const REPOSITORY = {
  // Bytes to values and back, without objects: the fuzzer runs these functions alone.
  format: [],
  // Objects by key, whatever they contain.
  storage: ["format"],
  // Reads key records, and wraps a storage.
  encryption: ["format", "storage"],
  packs: ["format", "storage"],
  // A key of encryption signs tombstones.
  points: ["encryption", "format", "storage"],
  // Commits and withdraws points. It does not know the index.
  protocol: ["format", "points", "storage"],
  // Loading leaves out condemned packs, and reads the footers of packs that no segment lists.
  index: ["format", "packs", "protocol", "storage"],
  // The config, the key and the pins of a repository; it reads no data.
  open: ["encryption", "format", "storage"],
  // Documents of jobs need neither index nor points.
  jobs: ["encryption", "format", "storage"],
};

const REPOSITORY_EXCEPTIONS = [
  // A block map and a pack are read by entries of an index, which they get as a parameter.
  { file: "format/block-map.ts", also: "index/chunk-index.ts", onlyTypes: true },
  { file: "packs/pack-reader.ts", also: "index/chunk-index.ts", onlyTypes: true },
  // A location carries the pins and the key of a repository from the main thread to the others.
  {
    file: "storage/storage.ts",
    also: "(encryption/(aes-gcm|passphrase)|open/expectation).ts",
    onlyTypes: true,
  },
  // The one place that knows every kind of storage, and the one that encrypts.
  { file: "storage/open-storage.ts", also: "encryption/", onlyTypes: false },
];

/** threads < restore < verify < backup < maintenance, and nbd < export: the data path. The rest uses it. */
const AGENT = {
  threads: [],
  restore: ["threads"],
  // Reads packs in the order of a restore.
  verify: ["restore", "threads"],
  // Proves known chunks as a restore reads them, and locks packs as verify proves them.
  backup: ["restore", "threads", "verify"],
  // Rewriting packs is a backup whose chunks come from other packs.
  maintenance: ["backup", "restore", "threads", "verify"],
  // Decodes chunks as a restore does.
  nbd: ["restore", "threads"],
  // A server on a private socket, with qemu-img as its client.
  export: ["nbd", "threads"],
  metrics: ["threads"],
  // Measures devices and storages to choose the number of threads.
  tune: ["backup", "threads"],
  // Listens to a backup through its recorder.
  report: ["backup", "metrics", "threads", "tune"],
  service: ["backup", "metrics", "report", "restore", "threads", "tune", "verify"],
};

/** aws < plan < steps < run < iam-policy < preflight < cli */
const CONTROLLER = {
  // Calls of AWS by one party. They know the id of a job, and no plan, step, journal or command.
  aws: [],
  plan: ["aws"],
  // A step knows its plan and its job, but neither the run that it belongs to nor the journal.
  steps: ["aws", "plan"],
  run: ["aws", "plan", "steps"],
  // Policies are built from the declarations of the steps in each workflow.
  "iam-policy": ["aws", "plan", "run", "steps"],
  preflight: ["aws", "iam-policy", "plan", "run", "steps"],
};

const pattern = (path) => path.replaceAll(".", "\\.");

/** Returns the rules of a table of folders below `root`. */
function oneWay(root, table, exceptions = []) {
  const siblings =
    root === "" ? `^(${[...Object.keys(TOP), "bench", "demo", "test"].join("|")})/` : `^${root}`;
  const allowedFor = (folder) => [folder, ...table[folder]].map((name) => `^${root}${name}/`);
  const rule = (name, from, to) => ({ name: `${root}${name}`, severity: "error", from, to });
  const exempt = exceptions.map(({ file }) => `^${root}${pattern(file)}$`);
  return [
    ...Object.keys(table).map((folder) =>
      rule(
        `${folder}-imports`,
        { path: `^${root}${folder}/`, pathNot: exempt },
        { path: siblings, pathNot: allowedFor(folder) },
      ),
    ),
    ...exceptions.flatMap(({ file, also, onlyTypes }) => {
      const from = { path: `^${root}${pattern(file)}$` };
      const others = `^${root}${pattern(also)}`;
      const [folder] = file.split("/");
      return [
        rule(`${file}-imports`, from, { path: siblings, pathNot: [...allowedFor(folder), others] }),
        ...(onlyTypes
          ? [rule(`${file}-types`, from, { path: others, dependencyTypesNot: ["type-only"] })]
          : []),
      ];
    }),
  ];
}

const DATA_PATH = "^agent/(backup|export|maintenance|nbd|restore|threads|verify)/";

module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    { name: "not-resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    ...oneWay("", TOP),
    ...oneWay("repository/", REPOSITORY, REPOSITORY_EXCEPTIONS),
    ...oneWay("agent/", AGENT),
    ...oneWay("controller/", CONTROLLER),
    {
      name: "data-path-without-command-lines",
      comment:
        "The data path serves commands, jobs and benchmarks alike: it parses no options and formats no text.",
      severity: "error",
      from: { path: DATA_PATH },
      to: { path: "^command-line/" },
    },
    {
      name: "data-path-without-reports",
      comment: "A backup names its steps by the words of a report, and draws nothing.",
      severity: "error",
      from: { path: DATA_PATH },
      to: { path: "^report/", dependencyTypesNot: ["type-only"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "default"] },
  },
};
