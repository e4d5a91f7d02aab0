import type { LogEntry } from './server-record.ts';
import { type Say, sayCode } from './text.ts';
import { codeWords, lossCause, lossWords } from './trust.ts';

/** Kinds of entries, the connection's own first. */
export const LOG_TYPES = [
  'connection',
  'new_number',
  'strategy_update',
  'number_corrected',
  'number_removed',
  'snapshot',
  'subscribed',
  'reset',
  'sync',
  'status',
  'table_added',
  'resolved',
  'hello',
  'pong',
  'error',
  'bye',
] as const;

/** What only says that the connection is there. */
export const isPing = ({ message: { type } }: LogEntry): boolean => type === 'pong' || type === 'sync';

type Note = Extract<LogEntry['message'], { readonly type: 'connection' }>;

function noteLine(note: Note, say: Say): string {
  switch (note.name) {
    case 'connecting':
      return say('logConnecting', sayCode(say, 'transport', note.transport));
    case 'opened':
      return say('logOpened', sayCode(say, 'transport', note.transport));
    case 'lost':
      return say('logLost', note.code ?? '–', lossCause(note.code, note.reason, say));
    case 'waiting':
      return say('logWaiting', note.attempt, (note.ms / 1000).toFixed(1));
    case 'doubted':
      return say('logDoubted', lossWords(note.reason, say));
    case 'failed':
      return say('logFailed', note.reason);
    case 'closed':
      return say('logClosed');
    case 'offline':
      return say('noNetwork');
    case 'recovered':
      return say('logRecovered', note.replayed, note.topic);
    case 'missed':
      return say('logMissed', note.topic, sayCode(say, 'reason', note.reason));
    default:
      return note satisfies never;
  }
}

/** What of an entry is worth a line. */
export function logLine({ message }: LogEntry, say: Say): string {
  switch (message.type) {
    case 'connection':
      return noteLine(message, say);
    case 'new_number':
    case 'number_corrected':
      return `${message.roleta_nome} ${message.rotulo ?? message.numero} ${say(message.cor)}${message.suspeito ? ' ?' : ''}`;
    case 'number_removed':
      return `${message.roleta_nome} ${message.id}`;
    case 'strategy_update':
      return `${message.roleta_nome} ${say(message.estado)} ${message.sugestao_display}`;
    case 'snapshot':
      return `${message.roleta_nome} (${message.numeros.length})`;
    case 'reset':
      return `${message.topic} ${sayCode(say, 'reason', message.reason)}`;
    case 'subscribed':
      return message.topics
        .map((each) =>
          each.recovered
            ? say('logRecovered', each.replayed, each.topic)
            : say('logSnapshot', each.topic, sayCode(say, 'reason', each.reason)),
        )
        .join(', ');
    case 'sync':
    case 'pong':
      return message.position;
    case 'status':
      return sayCode(say, 'feed', message.feed);
    case 'table_added':
    case 'resolved':
      return `${message.roleta_nome} ${message.roleta_id}`;
    case 'hello':
      return `${message.instance} ${message.server} ${message.epoch}`;
    case 'error':
      return `${message.code} ${message.message}`;
    case 'bye':
      return `${message.code} ${codeWords(message.code, say)}`;
    case 'unsubscribed':
      return message.topics.join(', ');
    case 'authenticated':
      return message.expires ?? '';
    default:
      return message satisfies never;
  }
}
