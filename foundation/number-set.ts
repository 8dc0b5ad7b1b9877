/** A set of the numbers from 0 to a limit, one bit each. Once filled, threads can share its memory. */
export class NumberSet implements Iterable<number> {
  private readonly bits: Uint8Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.bits = new Uint8Array(memory);
  }

  /** Returns an empty set for numbers below `limit`. */
  static below(limit: number): NumberSet {
    return new NumberSet(new SharedArrayBuffer(Math.ceil(limit / 8)));
  }

  static attach(memory: SharedArrayBuffer): NumberSet {
    return new NumberSet(memory);
  }

  /** Counts the numbers in the set; each call counts them again. */
  count(): number {
    let count = 0;
    for (const byte of this.bits) {
      for (let rest = byte; rest !== 0; rest &= rest - 1) count++;
    }
    return count;
  }

  has(number: number): boolean {
    return ((this.bits[Math.floor(number / 8)] as number) & (1 << (number % 8))) !== 0;
  }

  add(number: number): void {
    const byte = Math.floor(number / 8);
    this.bits[byte] = (this.bits[byte] as number) | (1 << (number % 8));
  }

  /** Adds the numbers from `start` up to `start + length`, whole bytes at once. */
  addRange(start: number, length: number): void {
    const end = start + length;
    let number = start;
    for (; number < end && number % 8 !== 0; number++) this.add(number);
    const bytes = Math.floor((end - number) / 8);
    this.bits.fill(0xff, number / 8, number / 8 + bytes);
    for (number += bytes * 8; number < end; number++) this.add(number);
  }

  /** Yields the numbers in ascending order. */
  *[Symbol.iterator](): Iterator<number> {
    for (let byte = 0; byte < this.bits.length; byte++) {
      if (this.bits[byte] === 0) continue;
      for (let number = byte * 8; number < byte * 8 + 8; number++) if (this.has(number)) yield number;
    }
  }
}
