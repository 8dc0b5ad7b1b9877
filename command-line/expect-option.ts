import { EXPECTATION_FORM, type Expectation, parseExpectation } from "../repository/expectation.js";
import { usage } from "./options.js";
import { text } from "./text-option.js";

/**
 * Declares an option that pins the repository.
 * @param variable environment variable that replaces the option
 */
export function expectOption<Name extends string>(name: Name, variable: string) {
  return {
    ...text("Trust:", name, `Pin: refuse any repository but this one; ${EXPECTATION_FORM}, else ${variable}`),
    default: process.env[variable] || undefined,
    defaultDescription: variable,
  };
}

/**
 * Parses pins of a repository.
 * @param name of the option, or of the other place that the pin comes from, for errors
 * @returns an empty array without pins
 * @throws Usage
 */
export function parsePins(name: string, ...pins: (string | undefined)[]): Expectation[] {
  return pins
    .filter((pin) => pin !== undefined)
    .map((pin) => {
      const expectation = parseExpectation(pin);
      if (expectation !== undefined) return expectation;
      throw usage(
        `${name} is not a pin of a repository: ${pin}`,
        `Write ${EXPECTATION_FORM}, as \`blockferry-agent init\` and \`key list\` print it.`,
      );
    });
}
