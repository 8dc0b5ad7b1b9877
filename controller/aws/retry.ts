import { isNotFound } from "./aws-errors.js";
import { poll, type Wait } from "./poll.js";

/** Repeats a call while EC2 does not know an id that it returned a moment ago. */
export async function untilVisible<T>(wait: Wait, call: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + wait.timing.visibleMs;
  const { answer } = await poll({ ...wait, timeoutMs: wait.timing.visibleMs * 2 }, async () => {
    try {
      return { answer: await call() };
    } catch (error) {
      if (isNotFound(error) && performance.now() < deadline) return undefined;
      throw error;
    }
  });
  return answer;
}
