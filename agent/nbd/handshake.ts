import type { Connection, Session } from "./connection.js";
import { type NbdExport, type Next, OptionAnswers } from "./option-answers.js";
import { GREETING_MAGIC, HANDSHAKE, OPTION_MAGIC, OPTION_REPLY } from "./protocol.js";

const FLAGS = HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes;
/** The longest option has a name and a few more words. */
const MAX_OPTION_BYTES = 16 * 1024;
/** "NBD_OPT_EXPORT_NAME": its answer ends in zeros, unless the client asks to leave them out. */
const EXPORT_NAME_ZEROES = 124;

/**
 * Runs the handshake phase, fixed newstyle (proto.md, "Fixed newstyle negotiation").
 * @returns undefined if the connection must be closed: the client ended it, or violates the protocol
 */
export async function shakeHands(connection: Connection, volume: NbdExport): Promise<Session | undefined> {
  const greeting = Buffer.alloc(18);
  greeting.writeBigUInt64BE(GREETING_MAGIC, 0);
  greeting.writeBigUInt64BE(OPTION_MAGIC, 8);
  greeting.writeUInt16BE(FLAGS, 16);
  await connection.writer.write(greeting);
  const clientFlags = (await connection.reader.read(4))?.readUInt32BE();
  if (clientFlags === undefined || clientFlags > FLAGS) return undefined;
  const zeroes = (clientFlags & HANDSHAKE.noZeroes) === 0 ? EXPORT_NAME_ZEROES : 0;
  const answers = new OptionAnswers(connection.writer, volume, zeroes);
  let next: Next = "option";
  while (next === "option") next = await answerNext(connection, answers);
  return next === "transmission" ? answers.session : undefined;
}

async function answerNext({ reader }: Connection, answers: OptionAnswers): Promise<Next> {
  const header = await reader.read(16);
  if (header === undefined || header.readBigUInt64BE(0) !== OPTION_MAGIC) return "close";
  const option = header.readUInt32BE(8);
  const length = header.readUInt32BE(12);
  if (length > MAX_OPTION_BYTES) {
    await answers.reply(option, OPTION_REPLY.tooBig);
    return "close";
  }
  const data = await reader.read(length);
  return data === undefined ? "close" : answers.answer(option, data);
}
