import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  chooseRoute,
  isBridged,
  isRefused,
  type KeyKind,
  ROUTE_TABLE,
  ROUTES,
  type Route,
} from "../../../controller/plan/route.js";
import { WORKFLOWS } from "../../../controller/run/workflow.js";

const SITUATIONS: [Parameters<typeof chooseRoute>[0], Route][] = [
  [{ accounts: "same", regions: "same", bridge: "none" }, "same-account"],
  [{ accounts: "same", regions: "same", bridge: "given" }, "same-account"],
  [{ accounts: "same", regions: "different", bridge: "none" }, "cross-region"],
  [{ accounts: "same", regions: "different", bridge: "given" }, "cross-region"],
  [{ accounts: "different", regions: "same", bridge: "none" }, "cross-account"],
  [{ accounts: "different", regions: "same", bridge: "given" }, "cross-account-bridge"],
  [{ accounts: "different", regions: "different", bridge: "none" }, "cross-account-region"],
  [{ accounts: "different", regions: "different", bridge: "given" }, "cross-account-region-bridge"],
];

describe("the route", () => {
  for (const [situation, route] of SITUATIONS) {
    test(`is ${route} with ${JSON.stringify(situation)}`, () => assert.equal(chooseRoute(situation), route));
  }

  test("refuses aws/ebs volumes exactly where snapshots are shared as they are", () => {
    const refusing = ROUTES.filter((route) => isRefused(route, "aws-managed"));
    assert.deepEqual(refusing, ["cross-account", "cross-account-region"]);
    for (const key of ["none", "customer"] as KeyKind[]) {
      assert.ok(ROUTES.every((route) => !isRefused(route, key)));
    }
  });

  test("copies with a bridge key only snapshots that cannot be shared, unless it goes to another Region", () => {
    const bridged = (key: KeyKind) => ROUTES.filter((route) => isBridged(route, key));
    assert.deepEqual(bridged("customer"), ["cross-region", "cross-account-region-bridge"]);
    assert.deepEqual(bridged("aws-managed"), [
      "cross-account-bridge",
      "cross-region",
      "cross-account-region-bridge",
    ]);
  });

  test("has the steps that its row in the table asks for", () => {
    for (const route of ROUTES) {
      const names = WORKFLOWS[route].map(({ name }) => name);
      const { shares, workerCopies, bridges } = ROUTE_TABLE[route];
      assert.equal(names.includes("share-snapshots"), shares, route);
      assert.equal(names.includes("copy-shared-snapshots"), workerCopies, route);
      assert.equal(names.includes("bridge-snapshots"), bridges !== "none", route);
      assert.deepEqual(
        names.slice(-4),
        ["launch-worker", "create-volumes", "attach-volumes", "run-job"],
        route,
      );
      assert.equal(names[0], "create-snapshots", route);
    }
  });
});
