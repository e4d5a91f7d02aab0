import { encode, topicOf } from '../../src/protocol/messages.ts';
import { ORIGIN } from '../../src/protocol/position.ts';
import { colourOf } from '../../src/roulette/wheel.ts';
import { startProgram } from '../harness/child.ts';
import { idOf, messageOf, numberOf, type Spin } from '../harness/spin.ts';
import type { Subject, SubjectKind, SubjectPlace } from '../harness/subject.ts';
import type { DialectName } from '../load/dialects.ts';

/** What the service is measured against. */

export const argsOf = ({ uri, database }: SubjectPlace): string[] => ['--uri', uri, '--database', database];

/** Starts a program of this folder. */
export async function startContender(file: string, args: readonly string[]) {
  const child = startProgram(`bench/contenders/${file}`, { args });
  const port = Number((await child.line(/^listening (\d+)/))[1]);
  return { child, port };
}

/** A contender that is one program. */
function single(name: string, file: string, dialect: DialectName): SubjectKind {
  return {
    name,
    async start(place): Promise<Subject> {
      const { child, port } = await startContender(file, argsOf(place));
      return { dialect, host: '127.0.0.1', port, pids: [child.pid], publish: null, stop: () => child.end() };
    },
  };
}

/** The text that the service would send for a spin. */
const textOf = (spin: Spin): string => {
  const numero = numberOf(spin.seq);
  const { id: roleta_id, name: roleta_nome } = spin.table;
  const document = { _id: idOf(spin), roleta_id, roleta_nome, numero, cor: colourOf(numero), timestamp: new Date() };
  return encode(messageOf(document, ORIGIN, ORIGIN));
};

/** The limit of every fan-out on this machine: no database, no encoding, no subscribers to look after. */
export const BARE_UWS: SubjectKind = {
  name: 'bare uWebSockets',
  async start() {
    const { child, port } = await startContender('bare-uws', []);
    return {
      dialect: 'plain',
      host: '127.0.0.1',
      port,
      pids: [child.pid],
      publish: (spins) =>
        child.send({ publish: spins.map((spin) => ({ topic: topicOf(spin.table.id), text: textOf(spin) })) }),
      stop: () => child.end(),
    };
  },
};

/** The same with a change stream in its process: what the database costs anybody who follows it. */
export const BARE_UWS_WATCHING: SubjectKind = single('bare uWebSockets + change stream', 'bare-uws', 'plain');
export const WS: SubjectKind = single('ws + change stream', 'ws', 'plain');
export const SOCKET_IO: SubjectKind = single('Socket.IO on ws + change stream', 'socket-io', 'socketio');
export const SOCKET_IO_UWS: SubjectKind = single(
  'Socket.IO on uWebSockets + change stream',
  'socket-io-uws',
  'socketio',
);
export const FIRST_DESIGN: SubjectKind = single('first design: Socket.IO + polling', 'first-design', 'socketio');

/** Two instances: the one that watches emits, the subscribers are at the other. */
export const MONGO_ADAPTER: SubjectKind = {
  name: 'Socket.IO with mongo-adapter, 2 instances',
  async start(place) {
    const front = await startContender('mongo-adapter', argsOf(place));
    const back = await startContender('mongo-adapter', [...argsOf(place), '--watch']);
    return {
      dialect: 'socketio',
      host: '127.0.0.1',
      port: front.port,
      pids: [front.child.pid, back.child.pid],
      publish: null,
      async stop() {
        await Promise.all([front.child.end(), back.child.end()]);
      },
    };
  },
};
