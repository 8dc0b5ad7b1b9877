/** Where a run shows what it does. */
export interface Display {
  begin(title: string): void;
  /** How far the step is that has begun. */
  progress(text: string): void;
  end(outcome: "done" | "failed"): void;
  note(text: string): void;
}

export const NO_DISPLAY: Display = {
  begin: () => undefined,
  progress: () => undefined,
  end: () => undefined,
  note: () => undefined,
};
