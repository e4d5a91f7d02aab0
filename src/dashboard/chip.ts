import type { NumberItem } from '../protocol/messages.ts';
import { h } from './dom.ts';
import type { Say } from './text.ts';

/** A number in its colour. `big` is the last number of a table. */
export function chip(item: Pick<NumberItem, 'numero' | 'cor' | 'suspeito'>, say: Say, big = false): HTMLElement {
  const suspect = item.suspeito === true;
  return h(
    'span',
    {
      class: `chip ${item.cor}${big ? ' big' : ''}${suspect ? ' suspect' : ''}`,
      ...(suspect ? { title: say('suspect') } : {}),
    },
    item.numero,
    h('span', { class: 'unseen' }, ` ${say(item.cor)}${suspect ? `, ${say('suspectShort')}` : ''}`),
  );
}

/** A row of numbers, newest first. Redraws only what is new: an unchanged tail is left where it is. */
export function createStrip(say: Say, length: number, label: string) {
  const element = h('ol', { class: 'strip', 'aria-label': label });
  let shown: readonly NumberItem[] = [];
  return {
    element,
    update(numeros: readonly NumberItem[]): void {
      const next = numeros.slice(0, length);
      if (next.length === shown.length && next.every((item, at) => item === shown[at])) return;
      const [newest] = next;
      const pushed = newest !== undefined && next.slice(1).every((item, at) => item === shown[at]);
      if (pushed && next.length > 1) {
        element.prepend(h('li', {}, chip(newest, say)));
        while (element.children.length > next.length) element.lastElementChild?.remove();
      } else {
        element.replaceChildren(...next.map((item) => h('li', {}, chip(item, say))));
      }
      shown = next;
    },
  };
}
