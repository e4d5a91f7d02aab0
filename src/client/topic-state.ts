import type { ResetReason } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import type { Table } from './table.ts';

/** A position, or '' for none, which comes before all of them. */
export type Place = Position | '';

export const later = (a: Place, b: Place): Place => (a > b ? a : b);

/** Where the client stands with one topic. `roulette:*` has a state too, without a table. */
export interface TopicState {
  readonly topic: string;
  table: Table | null;
  /** Everything of this topic at or below was received. Resume from here. */
  position: Place;
  /** Position of the last snapshot: it contains what is at or below, though its request may not be complete yet. */
  mark: Place;
  /** Why a snapshot is owed: a reset was not followed by it yet. */
  owed: ResetReason | null;
  /** It may exist no more: nothing came of it since a reset of all tables, or in another epoch. */
  doubtful: boolean;
  /** How many numbers of the table are certain to be the last ones, or all that there are. */
  sure: number;
  /** The highest event held back behind a hole. */
  withheld: Place;
  /** Requests that did not make the topic whole. */
  tries: number;
}

/** A topic that nothing is known of yet. */
export const NOTHING: Omit<TopicState, 'topic'> = {
  table: null,
  position: '',
  mark: '',
  owed: null,
  doubtful: false,
  sure: 0,
  withheld: '',
  tries: 0,
};
