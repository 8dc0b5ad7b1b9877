/** Imports go one way: foundation < native-free-io, repository < command-line < report < agent, controller < demo, bench, test. */
function only(folder, allowed) {
  const allowedPaths = [folder, ...allowed].map((name) => `${name}/`).join("|");
  return {
    name: `${folder}-imports`,
    severity: "error",
    from: { path: `^${folder}/` },
    to: {
      path: "^(agent|bench|command-line|controller|demo|foundation|native-free-io|report|repository|test)/",
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
    only("command-line", ["foundation", "repository"]),
    only("report", ["command-line", "foundation", "repository"]),
    only("agent", ["command-line", "foundation", "native-free-io", "report", "repository"]),
    only("controller", ["command-line", "foundation", "report", "repository"]),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "default"] },
  },
};
