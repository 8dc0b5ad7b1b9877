/** Shows the progress of a run. */
export interface Display {
  begin(title: string): void;
  /** Shows the progress of the current step. */
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
