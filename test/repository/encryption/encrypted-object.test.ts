import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { decryptObject, encryptObject } from "../../../repository/encryption/aes-gcm-cipher.js";
import { newKey } from "../../support/encryption.js";

const key = newKey();
const body = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
const name = fc.string({ minLength: 1, maxLength: 30 });

test("an object of any content and name is read back unchanged", () => {
  fc.assert(
    fc.property(name, body, (called, bytes) => {
      assert.deepEqual(decryptObject(key, called, encryptObject(key, called, bytes)), bytes);
    }),
  );
});

test("the same object written twice shares no ciphertext", () => {
  const bytes = Buffer.alloc(64, "a");
  const [one, two] = [encryptObject(key, "x", bytes), encryptObject(key, "x", bytes)];
  assert.ok(!one.subarray(48).equals(two.subarray(48)));
  assert.equal(one.indexOf("aaaa"), -1);
});

test("an object opens under no other name, in no other repository and with no other key", () => {
  const bytes = encryptObject(key, "points/a.json", Buffer.from("a point"));
  assert.equal(decryptObject(key, "points/b.json", bytes), undefined);
  assert.equal(decryptObject({ ...key, repository: randomUUID() }, "points/a.json", bytes), undefined);
  assert.equal(decryptObject({ ...newKey(), repository: key.repository }, "points/a.json", bytes), undefined);
});

test("an object with any bit flipped, or cut at any length, does not open", () => {
  const bytes = encryptObject(key, "x", Buffer.from("some body"));
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = Buffer.from(bytes);
    damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    assert.equal(decryptObject(key, "x", damaged), undefined, `bit ${bit}`);
  }
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(decryptObject(key, "x", bytes.subarray(0, length)), undefined, `${length} bytes`);
  }
});
