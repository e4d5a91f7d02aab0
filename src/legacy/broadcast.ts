import { formatLastPosition } from '../gateway/live/topics-query.ts';
import type { Frame } from '../protocol/messages.ts';
import type { TableId } from '../roulette/table.ts';
import type { LegacySource } from './conversation.ts';
import { packetOf, readFrame, recentHistory } from './payloads.ts';
import { type Rooms, roomVariant } from './rooms.ts';

/** Tells rooms what the feed publishes to all tables, as the first system told it. */
export function createBroadcast(
  rooms: Rooms,
  source: Pick<LegacySource, 'resolve' | 'table'>,
  toEverybody: boolean,
  epoch: () => string,
): (frame: Frame) => void {
  function tell(names: readonly string[], event: string, payload: unknown, position: string): void {
    for (const name of names) {
      rooms.send(roomVariant(name, false), () => packetOf([event, payload]));
      rooms.send(roomVariant(name, true), () => packetOf([event, payload, position]));
    }
  }

  function history(tables: readonly TableId[]): void {
    for (const table of tables) {
      const state = source.table(table);
      if (state === null) continue;
      const position = formatLastPosition(state.epoch, state.position, false);
      tell([`table:${table}`], 'recent_history', recentHistory([state]), position);
    }
  }

  return (frame) => {
    const read = rooms.any() ? readFrame(frame) : null;
    if (read === null) return;
    const position = formatLastPosition(epoch(), frame.position ?? '', false);
    switch (read.type) {
      case 'new_number':
      case 'strategy_update': {
        const all = ['all', `of:${read.roleta_id}`];
        tell(toEverybody ? all : [`table:${read.roleta_id}`], read.type, read, position);
        tell(all, read.type === 'new_number' ? 'global_update' : 'global_strategy_update', read, position);
        return;
      }
      case 'number_corrected':
      case 'number_removed':
        // The first system knew no corrections: the list is told anew.
        history(source.resolve(read.roleta_id));
        return;
      case 'snapshot':
        tell([`table:${read.roleta_id}`], 'recent_history', recentHistory([read]), position);
        return;
      case 'status':
        rooms.send('everyone', () =>
          packetOf(['connection_status', { connected: true, mongodb: read.feed === 'live' }]),
        );
        return;
      case 'subscribed':
      case 'resolved':
      case 'unsubscribed':
      case 'error':
        return;
      default:
        read satisfies never;
    }
  };
}
