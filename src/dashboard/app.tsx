import { Component, type ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ConnectionBars } from './connection-bar.tsx';
import { ConnectionPanel } from './connection-panel.tsx';
import { Grid } from './grid.tsx';
import { LogView } from './log-view.tsx';
import type { Memory } from './memory.ts';
import { OperatorView } from './operator-view.tsx';
import { PageContext, type PageParts, usePage, useRedraw } from './page.ts';
import { type PageRoute, routeOf } from './route.ts';
import { useSignalCalls } from './signal-calls.ts';
import { TableView } from './table-view.tsx';
import { type Language, type Say, sayCode, wordsOf } from './text.ts';
import { stateWords } from './trust.ts';

const THEMES = [
  ['auto', 'themeAuto', '◐'],
  ['dark', 'themeDark', '●'],
  ['light', 'themeLight', '○'],
] as const;

const TABS = [
  ['tables', '#/', 'tables'],
  ['events', '#/eventos', 'events'],
  ['operator', '#/operacao', 'operator'],
] as const;

function ThemeButton() {
  const { memory, say } = usePage();
  const [at, setAt] = useState(() =>
    Math.max(
      0,
      THEMES.findIndex(([name]) => name === memory.get('theme')),
    ),
  );
  const [name, word, sign] = THEMES[at] ?? THEMES[0];
  useLayoutEffect(() => {
    document.documentElement.dataset['theme'] = name;
    memory.set('theme', name === 'auto' ? null : name);
  }, [name, memory.set]);
  return (
    <button type="button" aria-label={say(word)} title={say(word)} onClick={() => setAt((at + 1) % THEMES.length)}>
      {sign}
    </button>
  );
}

/** Portuguese for browsers that ask for it first, English for all others. */
const browserLanguage = (): Language =>
  (navigator.languages[0] ?? navigator.language).toLowerCase().startsWith('pt') ? 'pt' : 'en';

/** What the address names; a link to where one was gives the focus back. */
function useRoute(): PageRoute {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  const places = useRef(new Map<string, number>());
  const shown = useRef({ key: '', hash: location.hash });
  useEffect(() => {
    const follow = (): void => {
      places.current.set(shown.current.key, window.scrollY);
      setRoute(routeOf(location.hash));
    };
    window.addEventListener('hashchange', follow);
    return () => window.removeEventListener('hashchange', follow);
  }, []);
  const key = `${route.view} ${route.reference}`;
  useLayoutEffect(() => {
    const from = shown.current;
    shown.current = { key, hash: location.hash };
    if (from.key === '' || from.key === key) return;
    window.scrollTo(0, places.current.get(key) ?? 0);
    document.querySelector<HTMLElement>(`main a[href="${CSS.escape(from.hash)}"]`)?.focus({ preventScroll: true });
  }, [key]);
  return route;
}

/** Shows what went wrong in place of a part that cannot be drawn; another address tries anew. */
class Boundary extends Component<
  { readonly say: Say; readonly children: ComponentChildren },
  { problem: string | null }
> {
  override state = { problem: null };
  static override getDerivedStateFromError = (error: unknown) => ({ problem: String(error) });
  override componentDidCatch(error: unknown): void {
    console.error(error);
  }
  override render() {
    const { say, children } = this.props;
    if (this.state.problem === null) return children;
    return (
      <div class="empty refused" role="alert">
        <h1>{say('broken')}</h1>
        <p>{this.state.problem}</p>
        <a href="#/">{say('back')}</a>
      </div>
    );
  }
}

function View({ route }: { readonly route: PageRoute }) {
  switch (route.view) {
    case 'table':
      return <TableView reference={route.reference} query={route.query} />;
    case 'events':
      return <LogView />;
    case 'operator':
      return <OperatorView />;
    case 'tables':
      return <Grid query={route.query} />;
    default:
      return route.view satisfies never;
  }
}

interface HeaderProps {
  readonly view: PageRoute['view'];
  readonly isOpen: boolean;
  readonly toggle: () => void;
  readonly relanguage: (to: Language) => void;
}

function Header({ view, isOpen, toggle, relanguage }: HeaderProps) {
  const { model, say, language } = usePage();
  const { state } = model;
  const other = language === 'pt' ? 'en' : 'pt';
  return (
    <header class="top">
      <a class="brand" href="#/">
        <span class="mark" aria-hidden="true" />
        RunCash <b>Live</b>
      </a>
      <nav aria-label={say('views')}>
        {TABS.map(([name, hash, word]) => (
          <a
            key={name}
            href={hash}
            aria-current={view === name || (view === 'table' && name === 'tables') ? 'page' : undefined}
          >
            {say(word)}
          </a>
        ))}
      </nav>
      <div class="tools">
        <button
          type="button"
          class="pill"
          data-state={state.name}
          aria-expanded={isOpen}
          aria-controls="connection"
          onClick={toggle}
        >
          <span class="dot" aria-hidden="true" />
          <span class="word">{stateWords(state, say)}</span>
          <span class="detail">{state.name === 'live' ? sayCode(say, 'transport', state.transport) : ''}</span>
        </button>
        <button
          type="button"
          class="plain"
          lang={other === 'pt' ? 'pt-BR' : 'en'}
          title={say('language')}
          aria-label={`${say('languageShort')} – ${say('language')}`}
          onClick={() => relanguage(other)}
        >
          {say('languageShort')}
        </button>
        <ThemeButton />
      </div>
    </header>
  );
}

/** The panel of the connection; closing it gives the focus back to what opens it. */
function usePanel(): { readonly isOpen: boolean; toggle(): void } {
  const [isOpen, setOpen] = useState(false);
  const toggle = (): void => {
    if (isOpen) document.querySelector<HTMLElement>('.pill')?.focus();
    setOpen(!isOpen);
  };
  useEffect(() => {
    if (!isOpen) return;
    const pressed = ({ key }: KeyboardEvent): void => {
      if (key === 'Escape') toggle();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  });
  return { isOpen, toggle };
}

/** `/` goes to the search, wherever one is. */
function useSearchKey(): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      const search = document.querySelector<HTMLInputElement>('input[type=search]');
      if (event.key !== '/' || typing || !search) return;
      event.preventDefault();
      search.focus();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}

/** The language that was chosen here, or else the browser's; kept, and told to the document. */
function useLanguage({ get, set }: Memory): [Language, (to: Language) => void] {
  const [language, setLanguage] = useState<Language>(() => {
    const remembered = get('language');
    return remembered === 'pt' || remembered === 'en' ? remembered : browserLanguage();
  });
  useLayoutEffect(() => {
    document.documentElement.lang = language === 'pt' ? 'pt-BR' : 'en';
  }, [language]);
  return [
    language,
    (to) => {
      set('language', to);
      setLanguage(to);
    },
  ];
}

/** Names the view in the tab of the browser, behind how many signals there are. */
function useDocumentTitle(signals: number, title: string): void {
  useEffect(() => {
    document.title = `${signals > 0 ? `(${signals}) ` : ''}${title} – RunCash Live`;
  }, [signals, title]);
}

interface AppProps {
  readonly ground: Pick<PageParts, 'model' | 'memory' | 'statusLog'>;
  /** What `?server=` said where that is no server. */
  readonly refused: string | null;
}

export function App({ ground, refused }: AppProps) {
  const { model, memory } = ground;
  const redraw = useRedraw();
  const route = useRoute();
  const [announced, announce] = useState('');
  const [title, entitle] = useState('');
  const { isOpen, toggle } = usePanel();
  const main = useRef<HTMLElement>(null);
  const [language, relanguage] = useLanguage(memory);
  useEffect(() => model.watch(redraw), [model, redraw]);
  useSearchKey();
  // The same object as long as it says the same: whoever uses it is drawn again with another one.
  const parts = useMemo<PageParts>(
    () => ({ ...ground, say: wordsOf(language), language, announce, entitle, redraw }),
    [language, ground, redraw],
  );
  const { say } = parts;
  useDocumentTitle(useSignalCalls(parts), title);
  const state = stateWords(model.state, say);
  useEffect(() => announce(say('stateNow', state)), [state, say]);
  return (
    <PageContext.Provider value={parts}>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        {say('skip')}
      </button>
      <Header view={route.view} {...{ isOpen, toggle, relanguage }} />
      <ConnectionBars refused={refused} />
      <div class={`stage ${isOpen ? 'with-panel' : ''}`}>
        <main id="main" tabIndex={-1} ref={main}>
          <Boundary key={`${model.server} ${route.view} ${route.reference}`} say={say}>
            <View route={route} />
          </Boundary>
        </main>
        {isOpen && <ConnectionPanel close={toggle} />}
      </div>
      <p class="unseen" aria-live="polite">
        {announced}
      </p>
    </PageContext.Provider>
  );
}
