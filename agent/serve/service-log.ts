/** What a service tells whoever runs it: a line for each event. Facts are ids and numbers, never a credential. */
export interface ServiceLog {
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
}

export type LogFacts = Record<string, string | number>;
