import { connect, type Socket } from 'node:net';

/**
 * The client half of RFC 6455 on bare sockets. A library would spend more on every frame than the servers under
 * measurement do, and on two cores that would be measured in their place.
 */

export const TEXT = 1;
export const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

export interface WireOptions {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly subprotocol: string | null;
  /** The address to come from, so that more sockets than one address has ports can be opened. */
  readonly localAddress: string;
}

export interface WireEvents {
  /** The upgrade was answered. */
  opened(wire: Wire): void;
  /** A text or binary frame; the bytes are only valid during the call. */
  frame(wire: Wire, bytes: Buffer, start: number, end: number): void;
  /** Over, from whichever side; `code` is that of the close frame, if there was one. */
  closed(wire: Wire, code: number | null): void;
}

export interface Wire {
  send(opcode: number, payload: Buffer): void;
  /** Reads nothing any more, from the next bytes on: a reader that has stalled. */
  stall(): void;
  cut(): void;
}

/** One read of any socket: they all share it, since a callback is done with it before the next read. */
const shared = Buffer.allocUnsafe(256 * 1024);
const NOTHING = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');

/** A client frame. Its mask is zero, which servers cannot tell from any other. */
function frameOf(opcode: number, payload: Buffer): Buffer {
  const long = payload.length > 125;
  const head = Buffer.alloc(long ? 8 : 6);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (long ? 126 : payload.length);
  if (long) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

export function openWire(options: WireOptions, events: WireEvents): Wire {
  let upgraded = false;
  let stalled = false;
  let over = false;
  let rest = NOTHING;
  let code: number | null = null;
  const { host, port, path, subprotocol, localAddress } = options;

  /** Takes whole frames from `bytes`; returns how many bytes were taken. */
  const frames = (bytes: Buffer): number => {
    let at = 0;
    while (at + 2 <= bytes.length && !stalled) {
      const opcode = (bytes[at] ?? 0) & 15;
      let length = (bytes[at + 1] ?? 0) & 127;
      let start = at + 2;
      if (length === 126) {
        if (at + 4 > bytes.length) break;
        length = bytes.readUInt16BE(at + 2);
        start = at + 4;
      } else if (length === 127) {
        if (at + 10 > bytes.length) break;
        length = Number(bytes.readBigUInt64BE(at + 2));
        start = at + 10;
      }
      const end = start + length;
      if (end > bytes.length) break;
      if (opcode === PING) wire.send(PONG, Buffer.from(bytes.subarray(start, end)));
      else if (opcode === CLOSE) code = length >= 2 ? bytes.readUInt16BE(start) : 1005;
      else if (opcode !== PONG) events.frame(wire, bytes, start, end);
      at = end;
    }
    return at;
  };

  const receive = (read: number): boolean => {
    if (stalled) return false;
    let bytes = shared.subarray(0, read);
    if (rest.length > 0) bytes = Buffer.concat([rest, bytes]);
    let from = 0;
    if (!upgraded) {
      const headEnd = bytes.indexOf(HEAD_END);
      if (headEnd < 0) {
        rest = Buffer.from(bytes);
        return true;
      }
      if (!bytes.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) {
        socket.destroy(new Error(bytes.subarray(0, headEnd).toString('latin1')));
        return false;
      }
      upgraded = true;
      from = headEnd + HEAD_END.length;
      events.opened(wire);
    }
    const taken = from + frames(bytes.subarray(from));
    rest = taken === bytes.length ? NOTHING : Buffer.from(bytes.subarray(taken));
    return !stalled;
  };

  const socket: Socket = connect({
    host,
    port,
    localAddress,
    noDelay: true,
    onread: { buffer: shared, callback: receive },
  });
  const wire: Wire = {
    send(opcode, payload) {
      if (!over) socket.write(frameOf(opcode, payload));
    },
    stall() {
      stalled = true;
    },
    cut: () => socket.destroy(),
  };
  socket.once('connect', () => {
    const protocol = subprotocol === null ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`;
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${protocol}\r\n`,
    );
  });
  // What went wrong is told by `closed`, which follows; the count of those that are missing shows it.
  socket.on('error', () => undefined);
  socket.once('end', () => socket.destroy());
  socket.once('close', () => {
    over = true;
    events.closed(wire, code);
  });
  return wire;
}
