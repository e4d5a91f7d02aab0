import { isFields } from './read.ts';
import type { ClientRequest, LinkClosed } from './transport.ts';

/** The part of the Web Locks API that is used (w3c.github.io/web-locks). A lock ends with its page, however that ends. */
export interface Locks {
  request(name: string, callback: () => Promise<void>): Promise<unknown>;
}

/** The part of BroadcastChannel that is used. */
export interface TabChannel {
  postMessage(message: unknown): void;
  close(): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
}

export interface TabTools {
  readonly locks: Locks;
  readonly open: (name: string) => TabChannel;
}

/** From a tab's link to the leader. */
export type ToLeader =
  | { readonly from: string; readonly say: 'open'; readonly token: string | null }
  | { readonly from: string; readonly say: 'frame'; readonly frame: ClientRequest }
  | { readonly from: string; readonly say: 'close' };

/** From the leader to one link, or to all. */
export type FromLeader =
  | { readonly to: string | null; readonly say: 'leader' }
  | { readonly to: string | null; readonly say: 'frame'; readonly frame: unknown }
  | { readonly to: string | null; readonly say: 'closed'; readonly end: LinkClosed };

/** Tabs are of one origin and run the same script: what they say to each other is what they were compiled to say. */
export const isFromLeader = (value: unknown): value is FromLeader => isFields(value) && 'to' in value;
export const isToLeader = (value: unknown): value is ToLeader => isFields(value) && 'from' in value;

const isLocks = (value: unknown): value is Locks => value instanceof Object && 'request' in value;
const isChannel = (value: unknown): value is new (name: string) => TabChannel => typeof value === 'function';

/** What browsers have for tabs; null where one of the two is missing. */
export function browserTools(): TabTools | null {
  const navigator: unknown = Reflect.get(globalThis, 'navigator');
  const locks: unknown = navigator instanceof Object ? Reflect.get(navigator, 'locks') : null;
  const Channel: unknown = Reflect.get(globalThis, 'BroadcastChannel');
  return isLocks(locks) && isChannel(Channel) ? { locks, open: (name) => new Channel(name) } : null;
}

/** The lock and the channel of all tabs that share a connection to the server at `base`. */
export const tabsOf = (base: string): string => `runcash-live ${base}`;
