import type { Memory } from './memory.ts';
import type { Changes, Model } from './model.ts';
import type { Language, Say } from './text.ts';

/** What every view is built from. */
export interface Surroundings {
  readonly model: Model;
  readonly memory: Memory;
  readonly say: Say;
  readonly language: Language;
  /** Says something to screen readers. */
  announce(text: string): void;
}

/** One page of the page. */
export interface View {
  readonly element: HTMLElement;
  readonly title: string;
  draw(changes: Changes): void;
  /** Once a second. */
  tick(now: number): void;
  leave(): void;
}
