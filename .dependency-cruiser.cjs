/** Imports go one way: foundation < native-free-io, repository < agent < demo, bench, test. */
function only(folder, allowed) {
  const allowedPaths = [folder, ...allowed].map((name) => `${name}/`).join("|");
  return {
    name: `${folder}-imports`,
    severity: "error",
    from: { path: `^${folder}/` },
    to: {
      path: "^(agent|bench|demo|foundation|native-free-io|repository|test)/",
      pathNot: `^(${allowedPaths})`,
    },
  };
}

module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    { name: "not-resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    only("foundation", []),
    only("native-free-io", ["foundation"]),
    only("repository", ["foundation"]),
    only("agent", ["foundation", "native-free-io", "repository"]),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
  },
};
