import type { SeededRandom } from "../support/random.js";

/** Longer inputs would be slow, and reach no more code. */
const MAX_INPUT_BYTES = 256 * 1024;
const MAX_CHANGES = 4;
/** Values that a parser may treat specially, in each width. */
const EXTREMES = [
  ...[0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn],
  ...[2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n, 52n, 56n, 64n, 8192n, 524_288n],
];
const WORDS = ["BFRYPACK", "BFRYPEND", "BFRYINDX", "BFRYENCR", "NBDMAGIC", "IHAVEOPT", "base:allocation"];

/**
 * Changes an input in one to four places: bits, bytes, numbers, its length, or pieces from itself and other
 * inputs.
 */
export function mutateBytes(input: Buffer, others: readonly Buffer[], random: SeededRandom): Buffer {
  let bytes: Buffer = Buffer.from(input);
  for (let left = 1 + random.below(MAX_CHANGES); left > 0; left--) {
    bytes = random.pick(CHANGES)(bytes, random.pick(others), random);
  }
  return bytes.subarray(0, MAX_INPUT_BYTES);
}

type Change = (bytes: Buffer, other: Buffer, random: SeededRandom) => Buffer;

const CHANGES: Change[] = [
  flipBit,
  setByte,
  setNumber,
  setNumber,
  addToNumber,
  truncate,
  insert,
  remove,
  splice,
  swap,
  setWord,
];

function flipBit(bytes: Buffer, _: Buffer, random: SeededRandom): Buffer {
  if (bytes.length === 0) return bytes;
  const at = random.below(bytes.length);
  bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
  return bytes;
}

function setByte(bytes: Buffer, _: Buffer, random: SeededRandom): Buffer {
  if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
}

function setNumber(bytes: Buffer, _: Buffer, random: SeededRandom): Buffer {
  return writeNumber(bytes, random, () => random.pick([...EXTREMES, BigInt(bytes.length)]));
}

function addToNumber(bytes: Buffer, _: Buffer, random: SeededRandom): Buffer {
  return writeNumber(bytes, random, (old) => old + BigInt(random.below(33) - 16));
}

/**
 * Writes a number in any width and byte order, mostly at a multiple of four, where the format's numbers are.
 */
function writeNumber(bytes: Buffer, random: SeededRandom, change: (old: bigint) => bigint): Buffer {
  const width = random.pick([1, 2, 4, 4, 4, 8]);
  if (bytes.length < width) return bytes;
  const anywhere = random.below(bytes.length - width + 1);
  const at = random.below(4) === 0 ? anywhere : anywhere - (anywhere % 4);
  const field = bytes.subarray(at, at + width);
  const isLittle = random.below(2) === 0;
  if (isLittle) field.reverse();
  const value = BigInt.asUintN(8 * width, change(BigInt(`0x${field.toString("hex")}`)));
  field.write(value.toString(16).padStart(2 * width, "0"), "hex");
  if (isLittle) field.reverse();
  return bytes;
}

function truncate(bytes: Buffer, _: Buffer, random: SeededRandom): Buffer {
  return bytes.subarray(0, random.below(bytes.length + 1));
}

function insert(bytes: Buffer, _: Buffer, random: SeededRandom): Buffer {
  const at = random.below(bytes.length + 1);
  const length = 1 + random.below(random.pick([4, 64, 1024]));
  const added = random.below(2) === 0 ? random.bytes(length) : Buffer.alloc(length, random.below(256));
  return Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at)]);
}

function remove(bytes: Buffer, _: Buffer, random: SeededRandom): Buffer {
  const { start, end } = piece(bytes, random);
  return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
}

/** Inserts a piece of this or another input. */
function splice(bytes: Buffer, other: Buffer, random: SeededRandom): Buffer {
  const from = random.below(2) === 0 ? other : bytes;
  const taken = piece(from, random);
  const place = piece(bytes, random);
  const end = random.below(2) === 0 ? place.start : place.end;
  return Buffer.concat([
    bytes.subarray(0, place.start),
    from.subarray(taken.start, taken.end),
    bytes.subarray(end),
  ]);
}

/** Copies a piece over another place, which keeps the length. */
function swap(bytes: Buffer, _: Buffer, random: SeededRandom): Buffer {
  const { start, end } = piece(bytes, random);
  bytes.copy(bytes, random.below(bytes.length + 1), start, end);
  return bytes;
}

function setWord(bytes: Buffer, _: Buffer, random: SeededRandom): Buffer {
  bytes.write(random.pick(WORDS), random.below(bytes.length + 1), "latin1");
  return bytes;
}

function piece(bytes: Buffer, random: SeededRandom): { start: number; end: number } {
  const start = random.below(bytes.length + 1);
  const length = random.below(1 + Math.min(bytes.length - start, random.pick([8, 56, 1024, bytes.length])));
  return { start, end: start + length };
}
