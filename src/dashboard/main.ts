import { createConnectionPanel, stateDetail, stateWords } from './connection-panel.ts';
import { button, fill, h, setText } from './dom.ts';
import { createGrid } from './grid.ts';
import { browserLanguage } from './language.ts';
import { createLogView } from './log-view.ts';
import { createMemory } from './memory.ts';
import { createModel, type Model } from './model.ts';
import { createOperatorView } from './operator-view.ts';
import { createTableView } from './table-view.ts';
import { type Language, wordsOf } from './text.ts';
import type { Surroundings, View } from './view.ts';

const memory = createMemory();

const THEMES = ['auto', 'dark', 'light'] as const;
type Theme = (typeof THEMES)[number];
const isTheme = (text: string | null): text is Theme => THEMES.some((theme) => theme === text);
const themeWord = (theme: Theme) => (theme === 'auto' ? 'themeAuto' : theme === 'dark' ? 'themeDark' : 'themeLight');

/** The view that an address names. */
function viewOf(hash: string, around: Surroundings): View {
  const table = /^#\/mesa\/([^/]+)$/.exec(hash)?.[1];
  if (table !== undefined) return createTableView(around, decodeURIComponent(table));
  if (hash === '#/eventos') return createLogView(around);
  if (hash === '#/operacao') return createOperatorView(around);
  return createGrid(around);
}

/** Builds the page in one language; the returned function takes it down. */
function build(root: HTMLElement, model: Model, language: Language, relanguage: (to: Language) => void): () => void {
  const say = wordsOf(language);
  document.documentElement.lang = language === 'pt' ? 'pt-BR' : 'en';
  const voice = h('p', { class: 'unseen', 'aria-live': 'polite' });
  const around: Surroundings = { model, memory, say, language, announce: (text) => setText(voice, text) };

  const rememberedTheme = memory.get('theme');
  let theme: Theme = isTheme(rememberedTheme) ? rememberedTheme : 'auto';
  const themeButton = button('', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'auto';
    memory.set('theme', theme === 'auto' ? null : theme);
    showTheme();
  });
  const showTheme = (): void => {
    document.documentElement.dataset['theme'] = theme;
    setText(themeButton, theme === 'auto' ? '◐' : theme === 'dark' ? '●' : '○');
    themeButton.setAttribute('aria-label', say(themeWord(theme)));
    themeButton.title = say(themeWord(theme));
  };
  showTheme();

  const toggle = (open: boolean): void => {
    panel.element.hidden = !open;
    pill.setAttribute('aria-expanded', String(open));
    document.body.classList.toggle('with-panel', open);
    panel.draw();
    if (open) panel.element.querySelector<HTMLElement>('button, input, select')?.focus();
    else pill.focus();
  };
  const pillWord = h('span', { class: 'word' });
  const pillDetail = h('span', { class: 'detail' });
  const pill = h(
    'button',
    { type: 'button', class: 'pill', 'aria-expanded': 'false', 'aria-controls': 'connection' },
    h('span', { class: 'dot', 'aria-hidden': 'true' }),
    pillWord,
    pillDetail,
  );
  pill.addEventListener('click', () => toggle(panel.element.hidden !== false));
  const panel = createConnectionPanel(around, () => toggle(false));

  const tabs = [
    { hash: '#/', word: 'tables' as const },
    { hash: '#/eventos', word: 'events' as const },
    { hash: '#/operacao', word: 'operator' as const },
  ].map(({ hash, word }) => ({ hash, link: h('a', { href: hash }, say(word)) }));
  const main = h('main', { id: 'main', tabindex: -1 });
  const skip = h('a', { class: 'skip', href: '#main' }, say('skip'));
  skip.addEventListener('click', (event) => {
    event.preventDefault();
    main.focus();
  });

  fill(root, [
    skip,
    h(
      'header',
      { class: 'top' },
      h(
        'a',
        { class: 'brand', href: '#/' },
        h('span', { class: 'mark', 'aria-hidden': 'true' }),
        'RunCash ',
        h('b', {}, 'Live'),
      ),
      h('nav', { 'aria-label': say('views') }, ...tabs.map(({ link }) => link)),
      h(
        'div',
        { class: 'tools' },
        pill,
        button(say('languageShort'), () => relanguage(language === 'pt' ? 'en' : 'pt'), {
          class: 'plain',
          lang: language === 'pt' ? 'en' : 'pt-BR',
          title: say('language'),
          'aria-label': `${say('languageShort')} – ${say('language')}`,
        }),
        themeButton,
      ),
    ),
    h('div', { class: 'stage' }, main, panel.element),
    voice,
  ]);

  let view: View | null = null;
  const show = (): void => {
    view?.leave();
    view = viewOf(location.hash, around);
    fill(main, [view.element]);
    for (const { hash, link } of tabs) {
      const here = location.hash === hash || (hash === '#/' && !tabs.some((tab) => tab.hash === location.hash));
      if (here) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    entitle();
  };
  const entitle = (): void => {
    const title = view?.title ?? '';
    const text = title === '' ? 'RunCash Live' : `${title} – RunCash Live`;
    if (document.title !== text) document.title = text;
  };
  const drawState = (): void => {
    const { state } = model;
    pill.dataset['state'] = state.name;
    const words = stateWords(state, say);
    if (pillWord.textContent !== words) around.announce(say('stateNow', words));
    setText(pillWord, words);
    setText(pillDetail, stateDetail(state, say, Date.now()));
  };

  const stopWatching = model.watch((changes) => {
    // Another server: what the view holds on to belongs to the old one.
    if (changes.moved) show();
    view?.draw(changes);
    if (changes.state) drawState();
    if (changes.tables.size > 0) entitle();
    panel.draw();
  });
  const timer = window.setInterval(() => {
    view?.tick(Date.now());
    drawState();
    panel.tick();
  }, 1000);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && !panel.element.hidden) toggle(false);
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.key === '/' && !typing) {
      const search = document.querySelector<HTMLInputElement>('input[type=search]');
      if (search) {
        event.preventDefault();
        search.focus();
      }
    }
  };
  window.addEventListener('hashchange', show);
  window.addEventListener('keydown', onKey);
  show();
  drawState();

  return () => {
    stopWatching();
    window.clearInterval(timer);
    window.removeEventListener('hashchange', show);
    window.removeEventListener('keydown', onKey);
    view?.leave();
  };
}

const root = document.getElementById('app');
if (root) {
  const asked = new URLSearchParams(location.search).get('server');
  const remembered = memory.get('language');
  let language: Language = remembered === 'pt' || remembered === 'en' ? remembered : browserLanguage();
  const model = createModel(asked ?? memory.get('server') ?? '', '');
  let takeDown = (): void => undefined;
  const rebuild = (to: Language): void => {
    language = to;
    takeDown();
    takeDown = build(root, model, language, (next) => {
      memory.set('language', next);
      rebuild(next);
    });
  };
  rebuild(language);
}
