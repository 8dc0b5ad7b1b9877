/** The log of a service, one line per event. Facts are ids and numbers, never a credential. */
export interface ServiceLog {
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
}

export type LogFacts = Record<string, string | number>;
