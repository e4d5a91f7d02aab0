import type { ClientState, LossReason, TransportName } from '../client/connect.ts';

/** What the connection itself did, for the list of events. */
export type ConnectionNote =
  | { readonly name: 'connecting' | 'opened'; readonly transport: TransportName }
  | { readonly name: 'lost'; readonly code: number | null; readonly reason: LossReason }
  | { readonly name: 'waiting'; readonly attempt: number; readonly ms: number }
  | { readonly name: 'doubted'; readonly reason: Extract<ClientState, { name: 'stale' }>['reason'] }
  | { readonly name: 'failed' | 'closed'; readonly reason: string }
  | { readonly name: 'offline' }
  | { readonly name: 'recovered'; readonly topic: string; readonly replayed: number }
  | { readonly name: 'missed'; readonly topic: string; readonly reason: string };

/** What a change of the connection's state is worth in the list. */
export function notesOf(state: ClientState, before: ClientState, now: number): ConnectionNote[] {
  switch (state.name) {
    case 'live':
      return [{ name: 'opened', transport: state.transport }];
    case 'connecting':
    case 'recovering': {
      const isLost = state.name === 'recovering' && before.name !== 'recovering' && before.name !== 'offline';
      const next: ConnectionNote =
        state.retryAt === null
          ? { name: 'connecting', transport: state.transport }
          : { name: 'waiting', attempt: state.attempt, ms: state.retryAt - now };
      return isLost ? [{ name: 'lost', code: state.code, reason: state.reason }, next] : [next];
    }
    case 'stale':
      return [{ name: 'doubted', reason: state.reason }];
    case 'failed':
      return [{ name: 'failed', reason: `${state.code ?? ''} ${state.reason}`.trim() }];
    case 'offline':
      return [{ name: 'offline' }];
    case 'idle':
      return state.reason === 'unused' ? [] : [{ name: 'closed', reason: state.reason }];
    default:
      return state satisfies never;
  }
}
