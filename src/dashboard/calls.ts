import type { Memory } from './memory.ts';

/** How a reader may be told of a new signal; none unless asked for. */
export const CALLS = ['sound', 'notify', 'badge'] as const;
export type Call = (typeof CALLS)[number];

/** Browsers notify for pages of https and of this machine alone. */
export const canNotify = (): boolean => 'Notification' in window;

export const callsIn = (memory: Memory): ReadonlySet<string> => new Set((memory.get('calls') ?? '').split(','));

export function keepCall(memory: Memory, call: Call, isWanted: boolean): void {
  const calls = new Set(callsIn(memory));
  if (isWanted) calls.add(call);
  else calls.delete(call);
  memory.set('calls', [...calls].join(','));
}
