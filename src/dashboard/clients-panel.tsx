import { useCallback, useEffect, useState } from 'preact/hooks';
import { type AnswerFields, listIn, textOf } from './fields.ts';
import type { Model } from './model.ts';
import { usePage } from './page.ts';
import { type Say, sayCode, type Word } from './text.ts';
import { span } from './time.ts';
import { asError, problemWords } from './trust.ts';

const REFRESH_MS = 5_000;

interface Guests {
  readonly clients: readonly AnswerFields[];
  readonly denials: readonly AnswerFields[];
  /** Why the lists did not come; null when they did. */
  readonly problem: Error | null;
}

async function guestsOf(model: Model, key: string | undefined): Promise<Guests> {
  const [open, denied] = await Promise.all([
    model.ask('/api/v1/clients?limit=1000', {}, key),
    model.ask('/api/v1/denials', {}, key),
  ]);
  return { clients: listIn(open, 'clients'), denials: listIn(denied, 'denials'), problem: null };
}

/** What is told of a client beside who it is, by the word for it. */
const COLUMNS: readonly (readonly [Word, (client: AnswerFields, say: Say, now: number) => string])[] = [
  ['address', ({ address }) => textOf(address)],
  ['transport', ({ transport }, say) => sayCode(say, 'transport', textOf(transport))],
  ['topics', ({ topics }) => textOf(topics)],
  ['connectedFor', ({ since }, _say, now) => span(now - Date.parse(textOf(since)))],
  ['sent', ({ sent }) => textOf(sent)],
  ['behind', ({ lag_bytes: bytes }) => `${textOf(bytes)} B`],
];

interface ClientRowProps {
  readonly client: AnswerFields;
  readonly close: (subject: string) => void;
  readonly revoke: (subject: string) => void;
}

function ClientRow({ client, close, revoke }: ClientRowProps) {
  const { model, say } = usePage();
  const subject = client['subject'];
  return (
    <tr>
      <th scope="row">{textOf(subject)}</th>
      {COLUMNS.map(([word, told]) => (
        <td key={word} data-label={say(word)}>
          {told(client, say, model.now())}
        </td>
      ))}
      <td>
        {typeof subject === 'string' && (
          <>
            <button type="button" onClick={() => close(subject)}>
              {say('closeClient')}
            </button>
            <button type="button" class="danger" onClick={() => revoke(subject)}>
              {say('revoke')}
            </button>
          </>
        )}
      </td>
    </tr>
  );
}

interface DenialsProps {
  readonly denials: readonly AnswerFields[];
  readonly restore: (kind: string, name: string) => void;
}

function Denials({ denials, restore }: DenialsProps) {
  const { say } = usePage();
  return (
    <>
      <h3>{say('denials')}</h3>
      {denials.length === 0 && <p class="note">{say('noDenials')}</p>}
      <ul class="denials">
        {denials.map((denial) => {
          const kind = typeof denial['sub'] === 'string' ? 'sub' : 'jti';
          const name = textOf(denial[kind]);
          return (
            <li key={`${kind} ${name}`}>
              <code>{`${kind} ${name}`}</code>{' '}
              <span class="note">{denial['reason'] === null ? '' : textOf(denial['reason'])}</span>
              <button type="button" onClick={() => restore(kind, name)}>
                {say('allowAgain')}
              </button>
            </li>
          );
        })}
      </ul>
    </>
  );
}

/** Who is connected, with ways to close and to revoke, and who is revoked. For operators: the server decides. */
export function ClientsPanel({ adminKey }: { readonly adminKey: string }) {
  const { model, say, announce } = usePage();
  const [{ clients, denials, problem }, setGuests] = useState<Guests>({ clients: [], denials: [], problem: null });
  const key = adminKey === '' ? undefined : adminKey;
  const failed = useCallback((error: unknown) => setGuests((before) => ({ ...before, problem: asError(error) })), []);
  useEffect(() => {
    const load = () => guestsOf(model, key).then(setGuests, failed);
    load();
    const timer = setInterval(load, REFRESH_MS);
    return () => clearInterval(timer);
  }, [model, key, failed]);

  /** Orders something and tells what came of it. */
  const order = (path: string, init: RequestInit, words: string): void => {
    model
      .ask(path, init, key)
      .then(() => announce(words))
      .then(() => guestsOf(model, key))
      .then(setGuests)
      .catch(failed);
  };
  const close = (sub: string): void =>
    order(`/api/v1/clients?sub=${encodeURIComponent(sub)}`, { method: 'DELETE' }, say('closedClients', sub));
  const revoke = (sub: string): void => {
    if (!confirm(say('confirmRevoke', sub))) return;
    order('/api/v1/denials', { method: 'POST', body: JSON.stringify({ sub }) }, say('revoked', sub));
  };
  const restore = (kind: string, name: string): void =>
    order(`/api/v1/denials?${kind}=${encodeURIComponent(name)}`, { method: 'DELETE' }, say('restored', name));

  return (
    <section class="panel clients">
      <h2>{say('clients', clients.length)}</h2>
      <p class="problem" role="alert">
        {problem === null ? '' : problemWords(problem, say)}
      </p>
      <table>
        <thead>
          <tr>
            {(['subject', ...COLUMNS.map(([word]) => word)] as const).map((word) => (
              <th key={word} scope="col">
                {say(word)}
              </th>
            ))}
            <th scope="col">
              <span class="unseen">{say('actions')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {clients.map((client) => (
            <ClientRow key={textOf(client['id'])} client={client} close={close} revoke={revoke} />
          ))}
        </tbody>
      </table>
      <Denials denials={denials} restore={restore} />
    </section>
  );
}
