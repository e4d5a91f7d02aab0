import type { Socket } from 'socket.io';
import type { GuardedSocket } from './exchange.ts';

/** An Engine.IO connection. */
export type EngineConnection = Socket['conn'];

/** Someone in rooms. A record, since there is one per connection. */
export interface Member {
  readonly conn: EngineConnection;
  readonly rooms: Set<string>;
  /** Packets sent to it, less what its rooms had published when it joined them. */
  sent: number;
}

/**
 * Rooms with one publish per room, however many are in it: Socket.IO's own walk over all sockets of a room for every
 * event, and its patch for uWebSockets is one per process, so that two servers in one would publish into the last.
 */
export interface Rooms {
  join(member: Member, room: string): void;
  leave(member: Member, room: string): void;
  leaveAll(member: Member): void;
  /** The connection went from polling to WebSocket: what its rooms get comes there from now on. */
  upgraded(member: Member): void;
  /** Whether anybody is in any room. */
  any(): boolean;
  /** Packets sent to it, by name and by its rooms. */
  sentTo(member: Member): number;
  /** Sends to everybody in a room; `packet` is asked for only when somebody is. */
  send(room: string, packet: () => string): void;
}

/** Those who take positions get one argument more, and so have rooms of their own. */
export const roomVariant = (room: string, withPositions: boolean): string => (withPositions ? `${room}+` : room);

/** Who subscribed to a table. */
export const tableRoom = (table: string, withPositions: boolean): string =>
  roomVariant(`table:${table}`, withPositions);

/** Who gets what goes to everybody: one room for those who may see all tables, else one for each table. */
export const allRooms = (allowed: ReadonlySet<string> | null, withPositions: boolean): string[] =>
  allowed === null
    ? [roomVariant('all', withPositions)]
    : [...allowed].map((table) => roomVariant(`of:${table}`, withPositions));

/** Topics of uWebSockets are shared with the gateway's, whose names begin otherwise. */
const topicOfRoom = (room: string): string => `socketio:${room}`;

/** Engine.IO's mark of a message, which `conn.write` sets by itself. */
const MESSAGE = '4';

export function createRooms(
  socketOf: (transport: object) => GuardedSocket | null,
  publish: (topic: string, message: string) => void,
): Rooms {
  const sizes = new Map<string, number>();
  /** Packets sent to a room so far. */
  const published = new Map<string, number>();
  /** Those that uWebSockets cannot reach by itself. */
  const polling = new Map<string, Set<Member>>();

  function hear(member: Member, room: string): void {
    const socket = socketOf(member.conn.transport);
    if (socket !== null) {
      socket.subscribe(topicOfRoom(room));
      return;
    }
    const members = polling.get(room);
    if (members) members.add(member);
    else polling.set(room, new Set([member]));
  }

  function forget(member: Member, room: string): void {
    const members = polling.get(room);
    if (members?.delete(member) && members.size === 0) polling.delete(room);
  }

  function leave(member: Member, room: string): void {
    if (!member.rooms.delete(room)) return;
    member.sent += published.get(room) ?? 0;
    const left = (sizes.get(room) ?? 1) - 1;
    if (left === 0) sizes.delete(room);
    else sizes.set(room, left);
    forget(member, room);
    socketOf(member.conn.transport)?.unsubscribe(topicOfRoom(room));
  }

  return {
    join(member, room) {
      if (member.rooms.has(room)) return;
      member.rooms.add(room);
      member.sent -= published.get(room) ?? 0;
      sizes.set(room, (sizes.get(room) ?? 0) + 1);
      hear(member, room);
    },
    leave,
    leaveAll(member) {
      for (const room of [...member.rooms]) leave(member, room);
    },
    upgraded(member) {
      for (const room of member.rooms) {
        forget(member, room);
        hear(member, room);
      }
    },
    any: () => sizes.size > 0,
    sentTo: ({ rooms, sent }) => [...rooms].reduce((sum, room) => sum + (published.get(room) ?? 0), sent),
    send(room, packetOf) {
      if (!sizes.has(room)) return;
      published.set(room, (published.get(room) ?? 0) + 1);
      const packet = packetOf();
      publish(topicOfRoom(room), MESSAGE + packet);
      for (const { conn } of polling.get(room) ?? []) conn.write(packet);
    },
  };
}
