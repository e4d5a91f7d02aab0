import type { Socket } from 'node:net';
import { NOBODY } from './auth/conversation.ts';
import { CODES } from './codes.ts';
import { type Answered, dispatch } from './commands/dispatch.ts';
import type { Connection } from './connection.ts';
import type { Engine } from './engine.ts';
import { CommandError } from './errors.ts';
import { bodyNames, withTopologyVersion } from './exhaust.ts';
import { createOperation, type Operation } from './operation.ts';
import { createFraming } from './wire/framing.ts';
import { OP_MSG, parseMessage, WireError, type WireRequest } from './wire/messages.ts';
import { type Reply, writeReply } from './wire/reply.ts';
import { createWriter, type Writer } from './wire/writer.ts';

/** A client that sends on while its answers pile up unread is not read from beyond this many waiting requests or bytes. */
const MAX_QUEUED = 64;
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;

const FLUSH_ABOVE_BYTES = 32 * 1024;

/** Writers whose bytes the system has taken, to be used again: memory that is made anew for each reply is dear. */
const idleWriters: Writer[] = [];
const MAX_IDLE_WRITERS = 64;

function release(writer: Writer): void {
  writer.clear();
  if (idleWriters.length < MAX_IDLE_WRITERS) idleWriters.push(writer);
}

export interface ServedConnection {
  close(): void;
}

/** Replies on their way to a socket. */
function createOutput(socket: Socket) {
  let output: Writer | undefined;
  const flush = (): void => {
    if (output === undefined) return;
    const writer = output;
    output = undefined;
    if (socket.destroyed) release(writer);
    else socket.write(writer.view(), () => release(writer));
  };
  return {
    /** @returns the id of the reply */
    send(request: WireRequest, responseTo: number, reply: Reply, moreToCome: boolean): number {
      if (output === undefined) {
        output = idleWriters.pop() ?? createWriter();
        // A call of the system costs more than answering a small command. Replies of the same moment share one; a tick
        // ends before anything is waited for.
        process.nextTick(flush);
      }
      const requestId = writeReply(output, request.opcode, responseTo, reply, moreToCome);
      if (output.length > FLUSH_ABOVE_BYTES) flush();
      return requestId;
    },
    /** Until the client has taken what was sent; undefined when there is nothing to wait for. */
    drained(): Promise<void> | undefined {
      if (!socket.writableNeedDrain || socket.destroyed) return undefined;
      return new Promise((resolve) => {
        const done = () => {
          socket.off('drain', done);
          socket.off('close', done);
          resolve();
        };
        socket.on('drain', done);
        socket.on('close', done);
      });
    },
  };
}

/** Messages that wait to be answered. */
function createInput() {
  const framing = createFraming();
  const messages: Buffer[] = [];
  let bytes = 0;
  return {
    /** @throws WireError for what is no message */
    push(chunk: Buffer): void {
      for (const message of framing.push(chunk)) {
        messages.push(message);
        bytes += message.length;
      }
    },
    next(): Buffer | undefined {
      const message = messages.shift();
      bytes -= message?.length ?? 0;
      return message;
    },
    isFull: () => messages.length >= MAX_QUEUED || bytes > MAX_QUEUED_BYTES,
    clear(): void {
      messages.length = 0;
    },
  };
}

function connectionOf(socket: Socket, id: number): Connection {
  return {
    id,
    serverAddress: `${shownAddress(socket.localAddress)}:${socket.localPort ?? 0}`,
    clientAddress: `${shownAddress(socket.remoteAddress)}:${socket.remotePort ?? 0}`,
    appName: undefined,
    closing: false,
    user: undefined,
    uid: NOBODY,
    conversation: undefined,
  };
}

/** Serves one socket: its messages one after the other, until either side ends it. `defect` hears of server bugs. */
export function serveConnection(
  engine: Engine,
  socket: Socket,
  id: number,
  defect: (error: unknown) => void,
): ServedConnection {
  const connection = connectionOf(socket, id);
  const input = createInput();
  const output = createOutput(socket);
  let working = false;
  let current: Operation | undefined;

  const runOnce = async (request: WireRequest): Promise<Answered | undefined> => {
    current = createOperation();
    const outcome = await dispatch(engine, connection, request, current);
    current = undefined;
    if ('close' in outcome) {
      socket.destroy();
      return undefined;
    }
    return outcome;
  };

  /** Answers one message; an exhaust hello is answered over and over until the connection ends. */
  const answer = async (request: WireRequest): Promise<void> => {
    let responseTo = request.requestId;
    let next: WireRequest = request;
    for (;;) {
      const answered = await runOnce(next);
      if (answered === undefined || socket.destroyed || request.moreToCome) return;
      const version = answered.topologyVersion;
      const exhaust = request.exhaustAllowed && version !== undefined && isAwaiting(request);
      responseTo = output.send(next, responseTo, answered.reply, exhaust);
      if (!exhaust) return;
      await output.drained();
      next = withTopologyVersion(request, version);
    }
  };
  const fail = (error: unknown): void => {
    socket.destroy();
    if (!(error instanceof WireError)) defect(error);
  };

  const work = async (): Promise<void> => {
    working = true;
    try {
      for (let message = input.next(); message !== undefined && !socket.destroyed; message = input.next()) {
        await answer(parseMessage(message));
        await output.drained();
        if (!input.isFull() && socket.isPaused()) socket.resume();
      }
    } catch (error) {
      fail(error);
    }
    working = false;
  };

  socket.setNoDelay(true);
  socket.on('data', (chunk) => {
    try {
      input.push(chunk);
    } catch (error) {
      fail(error);
      return;
    }
    if (input.isFull()) socket.pause();
    if (!working) void work();
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    input.clear();
    current?.interrupt(new CommandError(CODES.Interrupted, 'the client closed the connection'));
  });
  return { close: () => socket.destroy() };
}

/** As it stands in a connection string: IPv4 plain, IPv6 in brackets. */
function shownAddress(address = '127.0.0.1'): string {
  const plain = address.replace(/^::ffff:/, '');
  return plain.includes(':') ? `[${plain}]` : plain;
}

function isAwaiting(request: WireRequest): boolean {
  return request.opcode === OP_MSG && bodyNames(request.body).includes('maxAwaitTimeMS');
}
