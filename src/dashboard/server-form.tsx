import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Memory } from './memory.ts';
import { type PageParts, usePage } from './page.ts';
import { serverAddress } from './server-address.ts';

const MAX_RECENT = 8;

const recentServers = (memory: Memory): string[] =>
  (memory.get('servers') ?? '').split(' ').filter((each) => each !== '');

/** Goes to a server, '' for the page's own, and remembers it until another is chosen. */
export function chooseServer({ model, memory }: Pick<PageParts, 'model' | 'memory'>, address: string, token: string) {
  memory.set('server', address === '' ? null : address);
  const servers = [address, ...recentServers(memory).filter((each) => each !== address)];
  if (address !== '') memory.set('servers', servers.slice(0, MAX_RECENT).join(' '));
  // What the address of the page asked for is over with the reader's own choice.
  history.replaceState(null, '', location.pathname + location.hash);
  model.moveTo(address, token);
}

interface FieldProps {
  readonly id: string;
  readonly label: string;
  readonly hint: string;
  readonly children: ComponentChildren;
}

/** A field below its label and above its hint. */
const Field = ({ id, label, hint, children }: FieldProps) => (
  <>
    <label for={id}>{label}</label>
    {children}
    <small id={`${id}-hint`}>{hint}</small>
  </>
);

interface ServerFormProps {
  /** Comes before the ids of its fields, where two such forms can be open. */
  readonly place?: string;
  readonly moved?: () => void;
}

/** Asks for a server and its token. */
export function ServerForm({ place = '', moved }: ServerFormProps) {
  const { model, memory, say } = usePage();
  const [server, setServer] = useState(model.server);
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState('');
  const submit = (): void => {
    const address = serverAddress(server, location.href);
    setProblem(address === null ? say('badUrl') : '');
    if (address === null) return;
    setServer(address);
    chooseServer({ model, memory }, address, token);
    moved?.();
  };
  return (
    <form
      class="server-form"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Field id={`${place}server`} label={say('server')} hint={say('serverHint')}>
        <input
          id={`${place}server`}
          name="server"
          type="text"
          inputMode="url"
          list={`${place}recent-servers`}
          placeholder={location.origin}
          aria-describedby={`${place}server-hint`}
          autocomplete="off"
          spellcheck={false}
          value={server}
          onInput={({ currentTarget }) => setServer(currentTarget.value)}
        />
      </Field>
      <datalist id={`${place}recent-servers`}>
        {recentServers(memory).map((each) => (
          <option key={each} value={each} />
        ))}
      </datalist>
      <Field id={`${place}token`} label={say('token')} hint={say('tokenHint')}>
        <input
          id={`${place}token`}
          name="token"
          type="password"
          aria-describedby={`${place}token-hint`}
          autocomplete="off"
          value={token}
          onInput={({ currentTarget }) => setToken(currentTarget.value)}
        />
      </Field>
      <button type="submit" class="primary">
        {say('connect')}
      </button>
      <p class="problem" role="alert">
        {problem}
      </p>
    </form>
  );
}
