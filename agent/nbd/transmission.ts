import type { Connection, Session } from "./connection.js";
import { BASE_ALLOCATION, COMMAND, COMMAND_FLAG, ERRNO, MAX_PAYLOAD_BYTES, STATE } from "./protocol.js";
import { SimpleReplies, StructuredReplies } from "./replies.js";
import { findFault, parseRequest, REQUEST_BYTES, type Request } from "./request.js";
import type { Extent, VolumeReader } from "./volume-reader.js";

/**
 * Requests of one connection that are answered at once.
 * Each keeps one chunk in memory while the client takes it, 8 MiB in all. While this many wait for a slow
 * client, no further request is read.
 */
const REQUESTS_IN_FLIGHT = 16;
/** Extents in one answer, which take 32 KiB. The client asks again for the rest. */
const MAX_EXTENTS = 4096;

/**
 * Runs the transmission phase (proto.md, "Transmission phase").
 * It answers requests, several at once and in any order, until the client ends it or loses its place in the
 * stream.
 */
export async function transmit(
  connection: Connection,
  session: Session,
  volume: VolumeReader,
): Promise<void> {
  const answerer = new Answerer(connection, session, volume);
  const inFlight = new Set<Promise<void>>();
  for (;;) {
    if (inFlight.size >= REQUESTS_IN_FLIGHT) await Promise.race(inFlight);
    const request = await nextRequest(connection);
    if (request === undefined) break;
    const answered: Promise<void> = answerer
      .answer(request)
      .catch(() => connection.cut())
      .finally(() => inFlight.delete(answered));
    inFlight.add(answered);
  }
  await Promise.all(inFlight);
}

/** @returns undefined at the end. Data that a client tries to write are discarded. */
async function nextRequest({ reader }: Connection): Promise<Request | undefined> {
  const header = await reader.read(REQUEST_BYTES);
  const request = header === undefined ? undefined : parseRequest(header);
  if (request === undefined || request.command === COMMAND.disconnect) return undefined;
  if (request.command !== COMMAND.write) return request;
  const isTaken = request.length <= MAX_PAYLOAD_BYTES && (await reader.discard(request.length));
  return isTaken ? request : undefined;
}

class Answerer {
  private readonly replies: SimpleReplies | StructuredReplies;

  constructor(
    { writer }: Connection,
    private readonly session: Session,
    private readonly volume: VolumeReader,
  ) {
    this.replies =
      session.replies === "structured"
        ? new StructuredReplies(writer, volume)
        : new SimpleReplies(writer, volume);
  }

  /** @throws if the connection cannot continue */
  answer(request: Request): Promise<void> {
    switch (request.command) {
      case COMMAND.read:
        return this.ifSound(request, () => this.replies.data(request));
      case COMMAND.blockStatus:
        return this.ifSound(request, () => this.blockStatus(request));
      case COMMAND.cache:
        return this.ifSound(request, () => this.cache(request));
      case COMMAND.flush:
        return this.replies.success(request);
      case COMMAND.write:
      case COMMAND.trim:
      case COMMAND.writeZeroes:
        return this.replies.error(request, ERRNO.perm, "a recovery point is read-only");
      default:
        return this.replies.error(request, ERRNO.invalid, `unknown command ${request.command}`);
    }
  }

  private ifSound(request: Request, answer: () => Promise<void>): Promise<void> {
    const fault = findFault(request, this.volume.sizeBytes);
    return fault === undefined ? answer() : this.replies.error(request, ERRNO.invalid, fault);
  }

  private async blockStatus(request: Request): Promise<void> {
    if (!(this.replies instanceof StructuredReplies) || !this.session.hasBlockStatus) {
      return this.replies.error(request, ERRNO.invalid, `${BASE_ALLOCATION.name} was not negotiated`);
    }
    const limit = (request.flags & COMMAND_FLAG.reqOne) === 0 ? MAX_EXTENTS : 1;
    const extents: Extent[] = [];
    for (const extent of this.volume.extents(request)) {
      extents.push(extent);
      if (extents.length === limit) break;
    }
    await this.replies.extents(request, extents, { context: BASE_ALLOCATION.id, state: STATE });
  }

  /** The client will read the range, and gets the error of a damaged part then. */
  private async cache(request: Request): Promise<void> {
    await this.volume.prove(request).catch(() => undefined);
    await this.replies.success(request);
  }
}
