import { initPlain } from "../support/repositories.js";
import { testDamage } from "./damage-suite.js";

testDamage({
  name: "a damaged repository",
  init: initPlain,
  damages: ["flip a bit", "overwrite a range", "cut the end", "delete a range", "delete the object"],
  randomCases: 20,
});
