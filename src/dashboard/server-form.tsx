import { useState } from 'preact/hooks';
import { type PageParts, usePage } from './page.ts';
import { serverAddress } from './server-address.ts';

const MAX_RECENT = 8;

/** Goes to a server, '' for the page's own, and remembers it until another is chosen. */
export function chooseServer({ model, memory }: Pick<PageParts, 'model' | 'memory'>, address: string, token: string) {
  memory.set('server', address === '' ? null : address);
  // What the address of the page asked for is over with the reader's own choice.
  history.replaceState(null, '', location.pathname + location.hash);
  model.moveTo(address, token);
}

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
  const recent = (memory.get('servers') ?? '').split(' ').filter((each) => each !== '');
  const submit = (): void => {
    const address = serverAddress(server, location.href);
    setProblem(address === null ? say('badUrl') : '');
    if (address === null) return;
    if (address !== '') {
      memory.set('servers', [address, ...recent.filter((each) => each !== address)].slice(0, MAX_RECENT).join(' '));
    }
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
      <label for={`${place}server`}>{say('server')}</label>
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
      <datalist id={`${place}recent-servers`}>
        {recent.map((each) => (
          <option key={each} value={each} />
        ))}
      </datalist>
      <small id={`${place}server-hint`}>{say('serverHint')}</small>
      <label for={`${place}token`}>{say('token')}</label>
      <input
        id={`${place}token`}
        name="token"
        type="password"
        aria-describedby={`${place}token-hint`}
        autocomplete="off"
        value={token}
        onInput={({ currentTarget }) => setToken(currentTarget.value)}
      />
      <small id={`${place}token-hint`}>{say('tokenHint')}</small>
      <button type="submit" class="primary">
        {say('connect')}
      </button>
      <p class="problem" role="alert">
        {problem}
      </p>
    </form>
  );
}
