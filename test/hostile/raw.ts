import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Target } from './target.ts';

/** A TCP connection that keeps what came and knows when it ended. */
export interface RawSocket {
  readonly socket: Socket;
  readonly text: () => string;
  /** Resolves with everything received once the server closed, also by reset. */
  readonly ended: Promise<string>;
  /** Resolves once the text received fits. */
  until(fits: RegExp): Promise<string>;
}

/** Addresses of the loopback range, so that attackers do not share the witnesses' limits. */
let attackers = 1;
export const nextAttacker = (): string => `127.0.1.${(attackers++ % 250) + 1}`;

export function rawConnect(target: Target, localAddress = nextAttacker()): RawSocket {
  const loopback = target.host.startsWith('127.');
  const socket = connect({ port: target.port, host: target.host, ...(loopback ? { localAddress } : {}) });
  let text = '';
  let wake = (): void => {};
  const ended = new Promise<string>((resolve) => socket.on('close', () => resolve(text)));
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
    wake();
  });
  // A reset is one of the answers that an attacker may get; `ended` tells.
  socket.on('error', () => socket.destroy());
  return {
    socket,
    ended,
    text: () => text,
    async until(fits) {
      while (!fits.test(text)) {
        if (socket.destroyed) throw new Error(`ended before ${fits}: ${text}`);
        await Promise.race([
          ended,
          new Promise<void>((resolve) => {
            wake = resolve;
          }),
        ]);
      }
      return text;
    },
  };
}

export const request = (...lines: string[]): string => [...lines, '', ''].join('\r\n');

export const UPGRADE = (host: string): string[] => [
  'GET /ws HTTP/1.1',
  `Host: ${host}`,
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

/** A raw connection after its upgrade: for frames that no library would send. */
export async function rawWebsocket(target: Target, localAddress?: string): Promise<RawSocket> {
  const raw = rawConnect(target, localAddress);
  raw.socket.write(request(...UPGRADE(target.url)));
  await raw.until(/"type":"hello"/);
  return raw;
}

/** A WebSocket frame as a client sends it, masked (RFC 6455, 5.2). */
export function frameBytes(
  payload: string | Uint8Array,
  { opcode = 1, fin = true, rsv = 0, length }: { opcode?: number; fin?: boolean; rsv?: number; length?: number } = {},
): Buffer {
  const body = Buffer.from(payload);
  const size = length ?? body.length;
  const head = Buffer.alloc(size < 126 ? 2 : size < 65_536 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  if (size < 126) head[1] = 0x80 | size;
  else if (size < 65_536) {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(size, 2);
  } else {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(size), 2);
  }
  const mask = randomBytes(4);
  const masked = body.map((byte, at) => byte ^ (mask[at % 4] ?? 0));
  return Buffer.concat([head, mask, masked]);
}

/** How an ordinary client, which may behave badly, ends: its close code, or the status that refused it. */
export interface Attacker {
  readonly socket: WebSocket;
  readonly opened: Promise<boolean>;
  readonly closed: Promise<number>;
}

export function attack(target: Target, localAddress = nextAttacker(), onMessage?: (text: string) => void): Attacker {
  const loopback = target.host.startsWith('127.');
  const socket = new WebSocket(`ws://${target.url}/ws`, {
    perMessageDeflate: false,
    ...(loopback ? { localAddress } : {}),
  });
  let refused = 0;
  socket.on('unexpected-response', (_request, answer) => {
    refused = answer.statusCode ?? 1;
    answer.resume();
    socket.terminate();
  });
  socket.on('error', () => {});
  if (onMessage) socket.on('message', (data) => onMessage(String(data)));
  const closed = new Promise<number>((resolve) =>
    socket.on('close', (code) => resolve(refused === 0 ? code : refused)),
  );
  const opened = Promise.race([
    new Promise<boolean>((resolve) => socket.on('open', () => resolve(true))),
    closed.then(() => false),
  ]);
  return { socket, opened, closed };
}
