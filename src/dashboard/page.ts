import { Component, type ComponentType, createContext, createElement, type FunctionComponent } from 'preact';
import { useContext, useEffect, useLayoutEffect, useReducer, useRef } from 'preact/hooks';
import type { Memory } from './memory.ts';
import type { Model } from './model.ts';
import { routeOf } from './route.ts';
import type { StatusLog } from './status-log.ts';
import type { Language, Say } from './text.ts';

/** What every part of the page is built from. */
export interface PageParts {
  readonly model: Model;
  readonly memory: Memory;
  readonly statusLog: StatusLog;
  readonly say: Say;
  readonly language: Language;
  /** Says something to screen readers. */
  announce(text: string): void;
  /** Names the page in the tab of the browser. */
  entitle(words: string): void;
  /** Draws the whole page again, after what it remembers has changed. */
  redraw(): void;
}

export const PageContext = createContext<PageParts | null>(null);

export function usePage(): PageParts {
  const parts = useContext(PageContext);
  if (parts === null) throw new Error('outside of the page');
  return parts;
}

/** Returns what draws the component again. */
export const useRedraw = (): (() => void) => useReducer<number, void>((times) => times + 1, 0)[1];

const ticking = new Set<() => void>();
setInterval(() => {
  for (const tick of ticking) tick();
}, 1000);

/** What `read` says at the time of the tables' clocks, and again every second; the component is drawn again only when that differs. */
export function useTicking<T>(read: (now: number) => T): T {
  const { model } = usePage();
  const redraw = useRedraw();
  const shown = read(model.now());
  const latest = useRef({ read, shown });
  latest.current = { read, shown };
  useEffect(() => {
    const tick = (): void => {
      if (latest.current.read(model.now()) !== latest.current.shown) redraw();
    };
    ticking.add(tick);
    return () => {
      ticking.delete(tick);
    };
  }, [redraw, model.now]);
  return shown;
}

const differs = (a: object, b: object): boolean =>
  Object.entries(a).some(([name, value]) => Reflect.get(b, name) !== value) ||
  Object.keys(a).length !== Object.keys(b).length;

/** The component, drawn again only when one of its properties is another. */
export function memo<P extends object>(inner: FunctionComponent<P>): ComponentType<P> {
  return class extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return differs(this.props, next);
    }
    override render() {
      return createElement(inner, this.props);
    }
  };
}

/** Gives the focus back to an element that lost it because it was moved while being drawn. */
export function useKeptFocus(): void {
  const before = document.activeElement;
  useLayoutEffect(() => {
    const lost = before instanceof HTMLElement && before !== document.activeElement && before.isConnected;
    if (lost) before.focus({ preventScroll: true });
  });
}

/** Names the page in the tab of the browser. */
export function useTitle(words: string): void {
  const { entitle } = usePage();
  useEffect(() => entitle(words), [entitle, words]);
}

/** The same address with other filters; an empty value leaves its name out. Replaces the entry in the history. */
export function replaceQuery(changes: Readonly<Record<string, string>>): void {
  const { query } = routeOf(location.hash);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') query.delete(name);
    else query.set(name, value);
  }
  const [path = '#/'] = location.hash.split('?');
  const search = query.toString();
  history.replaceState(null, '', `${path === '' ? '#/' : path}${search === '' ? '' : `?${search}`}`);
  window.dispatchEvent(new HashChangeEvent('hashchange'));
}
