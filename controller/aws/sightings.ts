/**
 * Tells what is gone from what EC2 does not show at the moment: what is new and what was seen before may both be missing from an
 * answer. AWS: "Ensure idempotency", "Eventual consistency in the Amazon EC2 API".
 */
export class Sightings {
  private readonly missingSince = new Map<string, number>();

  /** @param visibleMs after which a resource that was missing all the time is gone */
  constructor(private readonly visibleMs: number) {}

  /** Takes down whether the last answer had a resource. @returns whether it is gone */
  isGone(id: string, wasSeen: boolean): boolean {
    if (wasSeen) {
      this.missingSince.delete(id);
      return false;
    }
    const since = this.missingSince.get(id) ?? performance.now();
    this.missingSince.set(id, since);
    return performance.now() - since >= this.visibleMs;
  }
}
