import { Writable } from 'node:stream';
import { startRuncash } from '../../src/app/start.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/log/log.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';

/** A whole service on a database of its own, for what documents show. */
export interface Stage {
  readonly port: number;
  readonly url: string;
  readonly mongoUri: string;
  readonly database: string;
  /** Stores something through the HTTP API; rejects when it is not taken. */
  post(path: string, body: unknown): Promise<unknown>;
  /** Reads JSON over HTTP. */
  get(path: string): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts MongoDB and the service, ready to serve; `environment` has variables of `.env.example`. */
export async function startStage(environment: Readonly<Record<string, string>> = {}): Promise<Stage> {
  const mongo = await startMongo();
  const database = freshDatabase();
  const { config } = loadConfig({ PORT: '0', MONGODB_DB_NAME: database, DRAIN_SECONDS: '0', ...environment });
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const live = await startRuncash({
    config,
    mongoUri: mongo.uri,
    version: '0.1.0',
    log: await createLog({ level: 'error', pretty: false, output }),
    pageFolder: 'dist/page',
    worker: null,
  });
  await live.ready;
  const url = `http://127.0.0.1:${live.port}`;
  const json = async (path: string, init: RequestInit): Promise<unknown> => {
    const answer = await fetch(`${url}${path}`, init);
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    return await answer.json();
  };
  return {
    port: live.port,
    url,
    mongoUri: mongo.uri,
    database,
    post: (path, body) =>
      json(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    get: (path) => json(path, {}),
    async stop() {
      await live.stop(0);
      await mongo.stop();
    },
  };
}
