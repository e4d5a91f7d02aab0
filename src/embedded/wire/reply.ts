import { Binary, type Document, Long } from 'bson';
import { encode } from '../values/bson.ts';
import { MORE_TO_COME, OP_MSG, OP_REPLY, type WireRequest } from './messages.ts';
import type { Writer } from './writer.ts';

/** A cluster time: seconds and an ordinal. */
interface Time {
  readonly t: number;
  readonly i: number;
}

/** What a command answers. */
export interface Reply {
  /** The fields of these documents, one after the other. */
  readonly documents: readonly Document[];
  /** `operationTime` and `$clusterTime`, which a replica set puts at the end of every answer. */
  readonly times: { readonly operation: Time; readonly cluster: Time } | undefined;
}

const SIGNATURE = encode({ hash: new Binary(Buffer.alloc(20)), keyId: Long.ZERO });

const AWAIT_CAPABLE = 8;

let nextRequestId = 1;

/**
 * Writes a reply as a whole message in the form of the request's opcode. `responseTo` is the id that it answers.
 *
 * @returns the reply's own id
 */
export function writeReply(
  writer: Writer,
  opcode: WireRequest['opcode'],
  responseTo: number,
  reply: Reply,
  moreToCome = false,
): number {
  const begin = writer.length;
  const requestId = nextRequestId;
  nextRequestId = (nextRequestId + 1) & 0x7fffffff;
  const isMsg = opcode === OP_MSG;
  writer.int32(0); // the length, written when it is known
  writer.int32(requestId);
  writer.int32(responseTo);
  writer.int32(isMsg ? OP_MSG : OP_REPLY);
  if (isMsg) {
    writer.int32(moreToCome ? MORE_TO_COME : 0);
    writer.byte(0);
  } else for (const field of [AWAIT_CAPABLE, 0, 0, 0, 1]) writer.int32(field); // flags, no cursor, from 0, one document
  writeBody(writer, reply);
  writer.patchInt32(writer.length - begin, begin);
  return requestId;
}

function writeBody(writer: Writer, { documents, times }: Reply): void {
  const body = writer.start();
  for (const document of documents) writer.fields(document);
  if (times !== undefined) {
    writer.time('operationTime', times.operation);
    const cluster = writer.startField('$clusterTime');
    writer.time('clusterTime', times.cluster);
    writer.raw('signature', SIGNATURE);
    writer.finish(cluster);
  }
  writer.finish(body);
}
