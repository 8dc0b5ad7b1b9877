import { agentJson } from "../support/agent.js";
import { testDamage } from "./damage-suite.js";

testDamage({
  name: "a damaged repository",
  init: async (repo) => void (await agentJson("init", "--repo", repo)),
  damages: ["flip a bit", "overwrite a range", "cut the end", "delete a range", "delete the object"],
  randomCases: 20,
});
