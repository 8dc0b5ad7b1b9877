import assert from "node:assert/strict";
import { createDecipheriv, createHash, createHmac, createSecretKey, hkdfSync, scryptSync } from "node:crypto";
import { test } from "node:test";
import { keyCheck } from "../../repository/encryption/aes-gcm.js";
import { AesGcmCipher, decryptObject, encryptObject } from "../../repository/encryption/aes-gcm-cipher.js";
import { decodeIndexSegment } from "../../repository/format/index-segment.js";
import { block, dumped, format } from "./dumps.js";

const REPOSITORY = "01234567-89ab-4cde-8f01-23456789abcd";
const DATA_KEY = Buffer.from(Array.from({ length: 32 }, (_, number) => number));
const PACK_ID = "00112233445566778899aabbccddeeff";
const POINT = "points/20261123T112150Z-3f9a1c2b.json";
const CHUNKS = [Buffer.from("Hello, block device!\n"), Buffer.alloc(64, "a")];

const key = { repository: REPOSITORY, dataKey: createSecretKey(DATA_KEY) };
const uuid = Buffer.from(REPOSITORY.replaceAll("-", ""), "hex");
const pack = dumped("encrypted-pack");

/** Derives a key as docs/format.md says, without the code of the repository. */
function derived(info: string, salt: Uint8Array = uuid): Buffer {
  return Buffer.from(hkdfSync("sha256", DATA_KEY, salt, info, 32));
}

function opened(
  sealed: Buffer,
  keyBytes: Buffer,
  nonce: Buffer,
  context: Uint8Array = Buffer.alloc(0),
): Buffer {
  const decipher = createDecipheriv("aes-256-gcm", keyBytes, nonce).setAAD(context);
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}

function pieceOfPack(start: number, end: number, kind: 0 | 1): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32LE(start, 0);
  nonce.writeUInt32LE(kind, 4);
  return opened(pack.subarray(start, end), derived(`blockferry pack ${PACK_ID}`), nonce);
}

test("the encrypted pack in docs/format.md opens as the page says, without blockferry's code", () => {
  assert.deepEqual(pieceOfPack(0x20, 0x45, 0), CHUNKS[0]);
  assert.deepEqual(pieceOfPack(0x45, 0x60, 0).toString("hex"), "1f61010027506161616161");
  const footer = pieceOfPack(0x60, 0xd8, 1);
  assert.deepEqual(footer, dumped("decrypted-footer"));
  const ids = CHUNKS.map((chunk) =>
    createHmac("sha256", derived("blockferry chunk id")).update(chunk).digest(),
  );
  assert.deepEqual([footer.subarray(0, 32), footer.subarray(52, 84)], ids);
  const covered = [pack.subarray(0, 0x20), pack.subarray(0x60, 0xd8), pack.subarray(0xf8)];
  const sha256 = createHash("sha256").update(Buffer.concat(covered)).digest();
  assert.deepEqual(pack.subarray(0xd8, 0xf8), sha256);
});

test("the encrypted object in docs/format.md opens as the page says, and is written in the very bytes of the page", () => {
  const object = dumped("encrypted-object");
  const salt = Buffer.concat([uuid, object.subarray(16, 48)]);
  const context = Buffer.concat([object.subarray(0, 48), Buffer.from(POINT)]);
  const body = opened(object.subarray(48), derived("blockferry object", salt), Buffer.alloc(12), context);
  assert.equal(body.toString(), '{"hello":"world"}');
  assert.deepEqual(decryptObject(key, POINT, object), body);
  assert.deepEqual(encryptObject(key, POINT, body, Buffer.from(object.subarray(16, 48))), object);
});

test("the pieces of the encrypted pack are written in the very bytes of docs/format.md", () => {
  const cipher = new AesGcmCipher(key).pack(PACK_ID);
  for (const [start, end, piece] of [
    [0x20, 0x45, "chunk"],
    [0x45, 0x60, "chunk"],
    [0x60, 0xd8, "footer"],
  ] as const) {
    const buffer = Buffer.alloc(end - start);
    const plain = pieceOfPack(start, end, piece === "chunk" ? 0 : 1);
    plain.copy(buffer);
    cipher.encrypt(piece, buffer, { start: 0, end: plain.length }, start);
    assert.deepEqual(buffer, pack.subarray(start, end));
  }
  assert.ok(format.includes(keyCheck(key)));
});

test("the encrypted index segment in docs/format.md opens as the page says, and lists the pack", () => {
  const segment = dumped("encrypted-index-segment");
  const name = `index/${createHash("sha256").update(segment).digest("hex")}`;
  assert.ok(format.includes(`\`${name}\``));
  const salt = Buffer.concat([uuid, segment.subarray(16, 48)]);
  const context = Buffer.concat([segment.subarray(0, 48), Buffer.from("index")]);
  const body = opened(segment.subarray(48), derived("blockferry object", salt), Buffer.alloc(12), context);
  assert.equal(body.toString("hex", 32, 48), PACK_ID);
  assert.equal(body.readUInt32LE(48), pack.length);
  const footer = dumped("decrypted-footer");
  assert.deepEqual(
    [body.subarray(112, 164), body.subarray(56, 108)],
    [footer.subarray(0, 52), footer.subarray(52)],
  );
  const { packs } = decodeIndexSegment(segment, name, new AesGcmCipher(key));
  assert.deepEqual(packs, [{ id: PACK_ID, sizeBytes: pack.length }]);
});

test("the key record in docs/format.md opens with its passphrase as the page says", () => {
  const { body } = JSON.parse(block("key-record"));
  const { salt, N, r, p } = body.from;
  const stretched = { N, r, p, maxmem: 2 ** 28 };
  const wrapping = scryptSync("correct horse battery staple", Buffer.from(salt, "base64"), 32, stretched);
  assert.ok(format.includes(wrapping.toString("hex")));
  const context = Buffer.from(`blockferry wrapped key ${REPOSITORY} ${body.id}`);
  assert.deepEqual(
    opened(Buffer.from(body.wrapped, "base64"), wrapping, Buffer.alloc(12), context),
    DATA_KEY,
  );
});
