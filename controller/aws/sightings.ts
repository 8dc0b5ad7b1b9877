/**
 * Decides whether a resource that EC2 does not show is gone.
 * Answers may miss new resources, and also resources that earlier answers showed.
 * AWS: "Ensure idempotency", "Eventual consistency in the Amazon EC2 API".
 */
export class Sightings {
  private readonly missingSince = new Map<string, number>();

  /** @param visibleMs time without a sighting after which a resource is gone */
  constructor(private readonly visibleMs: number) {}

  /**
   * Records whether the last answer contained a resource.
   * @returns whether the resource is gone
   */
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
