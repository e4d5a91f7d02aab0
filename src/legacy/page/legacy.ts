/** What this page uses of the client library, which comes as the server's own bundle and is no module. */
interface LegacySocket {
  on(event: 'connect', listener: () => void): void;
  on(event: 'disconnect', listener: (reason: string) => void): void;
  on(event: 'connect_error', listener: (error: Error) => void): void;
  onAny(listener: (event: string, ...args: readonly unknown[]) => void): void;
  emit(event: string, argument: unknown): void;
  disconnect(): void;
  readonly io: { readonly engine: { readonly transport: { readonly name: string } } };
}

declare const io: (
  url: string,
  options: { readonly transports?: readonly string[]; readonly auth: Readonly<Record<string, string>>; forceNew: true },
) => LegacySocket;

const LOGGED = 200;
const SHOWN = 20;
const WHILE_CONNECTED = ['disconnect', 'subscribe', 'unsubscribe', 'history', 'post'] as const;

function part<E extends HTMLElement>(id: string, kind: new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new TypeError(`the page has no ${id}`);
}

/** An element with a text, which is never read as HTML. */
function element<K extends keyof HTMLElementTagNameMap>(tag: K, text: string): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

const textOf = (id: string): string => part(id, HTMLInputElement).value.trim();
const put = (id: string, text: string): void => part(id, HTMLOutputElement).replaceChildren(text);

const log = part('log', HTMLOListElement);
let socket: LegacySocket | null = null;
let numbers: readonly Fields[] = [];
let count = 0;

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? { ...value } : {});

/** The address of the server that is typed in, or of the one that this page came from. */
const serverUrl = (): string => (textOf('server') || location.origin).replace(/\/+$/, '');

function note(words: string): void {
  log.prepend(element('li', `${new Date().toLocaleTimeString('pt-BR')} ${words}`));
  while (log.children.length > LOGGED) log.lastElementChild?.remove();
}

function show(state: string, connected: boolean): void {
  put('state', state);
  part('state', HTMLOutputElement).dataset['state'] = connected ? 'on' : 'off';
  for (const id of WHILE_CONNECTED) part(id, HTMLButtonElement).disabled = !connected;
  // Also while it tries again by itself.
  part('disconnect', HTMLButtonElement).disabled = socket === null;
}

function showNumbers(): void {
  const items = numbers.map(({ numero, cor, roleta_nome: name }) =>
    Object.assign(element('li', String(numero)), { className: String(cor), title: String(name) }),
  );
  part('numbers', HTMLOListElement).replaceChildren(...items);
}

function heard(event: string, payload: unknown): void {
  put('count', String(++count));
  if (event === 'connection_status')
    put('mongodb', fieldsOf(payload)['mongodb'] === true ? 'conectado' : 'desconectado');
  if (event === 'recent_history' && Array.isArray(payload)) numbers = payload.map(fieldsOf);
  if (event === 'new_number') numbers = [fieldsOf(payload), ...numbers].slice(0, SHOWN);
  if (event === 'strategy_update') {
    const { roleta_nome: name, estado, sugestao_display: suggestion } = fieldsOf(payload);
    put('strategy', `${name}: ${estado}, ${suggestion}`);
  }
  showNumbers();
  if (event.startsWith('global_') && !part('globals', HTMLInputElement).checked) return;
  note(`${event} ${JSON.stringify(payload)}`);
}

async function listTables(): Promise<void> {
  const answer = await fetch(`${serverUrl()}/api/roletas`);
  const list: unknown = await answer.json();
  if (!Array.isArray(list)) return;
  const options = list
    .map(fieldsOf)
    .map(({ id, nome }) => Object.assign(element('option', String(nome)), { value: String(id) }));
  part('known', HTMLDataListElement).replaceChildren(...options);
}

function connect(): void {
  socket?.disconnect();
  const transport = part('transport', HTMLSelectElement).value;
  const token = textOf('token');
  const next = io(serverUrl(), {
    ...(transport === '' ? {} : { transports: [transport] }),
    auth: token === '' ? {} : { token },
    forceNew: true,
  });
  socket = next;
  show('conectando', false);
  next.on('connect', () => {
    show(`conectado por ${next.io.engine.transport.name}`, true);
    listTables().catch((error: unknown) => note(`lista de roletas: ${error}`));
  });
  next.on('disconnect', (reason) => show(`desconectado: ${reason}`, false));
  next.on('connect_error', (error) => show(`erro: ${error.message}`, false));
  next.onAny((event, payload) => {
    if (socket === next) heard(event, payload);
  });
}

/** A random number for the table, as the first scraper posted it. */
async function post(): Promise<void> {
  const table = textOf('table');
  const key = textOf('key');
  const numero = Math.floor(Math.random() * 37);
  const place = /^\d{7}$/.test(table) ? { roleta_id: table } : { roleta_nome: table };
  const answer = await fetch(`${serverUrl()}/emit-event`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...(key === '' ? {} : { Authorization: `Bearer ${key}` }) },
    body: JSON.stringify({ event: 'new_number', data: { type: 'new_number', ...place, numero } }),
  });
  note(`POST /emit-event: ${answer.status} ${await answer.text()}`);
}

part('connection', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  connect();
});
part('disconnect', HTMLButtonElement).addEventListener('click', () => {
  socket?.disconnect();
  socket = null;
  show('desconectado', false);
});
part('tables', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  socket?.emit('subscribe_to_roleta', textOf('table'));
});
part('unsubscribe', HTMLButtonElement).addEventListener('click', () => {
  socket?.emit('unsubscribe_from_roleta', textOf('table'));
});
part('history', HTMLButtonElement).addEventListener('click', () => {
  socket?.emit('request_history', { roletaId: textOf('table') });
});
part('post', HTMLButtonElement).addEventListener('click', () => {
  post().catch((error: unknown) => note(`POST /emit-event: ${error}`));
});
part('clear', HTMLButtonElement).addEventListener('click', () => log.replaceChildren());
connect();
