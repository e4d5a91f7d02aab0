import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { Binary, Int32 } from 'bson';
import { type Document, MongoClient, type MongoClientOptions } from 'mongodb';
import { type EmbeddedMongo, type EmbeddedMongoOptions, startEmbeddedMongo } from '../../../src/embedded/server.ts';
import { connectWire, type WireClient } from './wire.ts';

/** A server with `--auth`, and its clients. */
export interface AuthServer {
  readonly mongo: EmbeddedMongo;
  /** A client by its connection string, as an application is given it. */
  as(user: string, password: string, source?: string, options?: MongoClientOptions): MongoClient;
  anonymous(): MongoClient;
  /** Who has the role root; made by `makeRoot`. */
  root(): MongoClient;
  makeRoot(): Promise<void>;
  /** With the password `pass`. */
  createUser(user: string, roles: readonly unknown[], db?: string): Promise<Document>;
  /** A raw connection on which that user of `shop` has authenticated. */
  wireAs(user: string): Promise<WireClient>;
  stop(): Promise<void>;
}

export async function startAuthServer(options: EmbeddedMongoOptions = {}): Promise<AuthServer> {
  const mongo = await startEmbeddedMongo({ ...options, auth: true });
  const clients: MongoClient[] = [];
  const wires: WireClient[] = [];
  const client = (uri: string, more: MongoClientOptions = {}): MongoClient => {
    const made = new MongoClient(uri, { serverSelectionTimeoutMS: 3_000, ...more });
    clients.push(made);
    return made;
  };
  const self: AuthServer = {
    mongo,
    as(user, password, source = 'admin', more = {}) {
      const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}@`;
      return client(`${mongo.uri.replace('//', `//${credentials}`)}&authSource=${source}`, more);
    },
    anonymous: () => client(mongo.uri),
    root: () => self.as('root', 'secret'),
    async makeRoot() {
      await self
        .anonymous()
        .db('admin')
        .command({ createUser: 'root', pwd: 'secret', roles: ['root'] });
    },
    createUser: (user, roles, db = 'shop') => self.root().db(db).command({ createUser: user, pwd: 'pass', roles }),
    async wireAs(user) {
      const wire = await connectWire(mongo.port);
      wires.push(wire);
      const begun = await saslStart(wire, user, 'shop');
      const ended = await wire.command(saslContinue(proofOf(user, 'pass', String(begun['payload'])), 'shop'));
      if (Number(ended['ok']) !== 1) throw new Error(String(ended['errmsg']));
      return wire;
    },
    async stop() {
      for (const wire of wires) wire.close();
      await Promise.all(clients.map((one) => one.close()));
      await mongo.stop();
    },
  };
  return self;
}

const NONCE = 'abc';

/** Begins SCRAM-SHA-256; of the answer the payload is given as text. */
export async function saslStart(wire: WireClient, user: string, db = 'admin'): Promise<Document> {
  const answer = await wire.command({
    saslStart: new Int32(1),
    mechanism: 'SCRAM-SHA-256',
    payload: new Binary(Buffer.from(`n,,n=${user},r=${NONCE}`)),
    options: { skipEmptyExchange: true },
    $db: db,
  });
  const payload: unknown = answer['payload'];
  return { ...answer, payload: payload instanceof Binary ? Buffer.from(payload.value()).toString() : '' };
}

export const saslContinue = (payload: string, db = 'admin'): Document => ({
  saslContinue: new Int32(1),
  conversationId: new Int32(1),
  payload: new Binary(Buffer.from(payload)),
  $db: db,
});

/** The client's last message, https://www.rfc-editor.org/rfc/rfc5802#section-3 */
export function proofOf(user: string, password: string, serverFirst: string): string {
  const [, nonce = '', salt = '', iterations = ''] = /^r=([^,]*),s=([^,]*),i=(\d+)$/.exec(serverFirst) ?? [];
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest();
  const withoutProof = `c=biws,r=${nonce}`;
  const message = `n=${user},r=${NONCE},${serverFirst},${withoutProof}`;
  const signature = createHmac('sha256', storedKey).update(message).digest();
  const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] ?? 0)));
  return `${withoutProof},p=${proof.toString('base64')}`;
}
