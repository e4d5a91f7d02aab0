import uWS from 'uWebSockets.js';
import { MongoClient } from 'mongodb';
import { contenderOptions, endWithBench, listening } from './options.ts';

/**
 * The limit of every POST: uWebSockets takes the body, the driver inserts it as it came, one insert a request, and
 * nobody checks or follows anything.
 */

const { uri, database } = contenderOptions();
const client = await new MongoClient(uri, { maxPoolSize: 64, minPoolSize: 64 }).connect();
const numbers = client.db(database).collection<{ _id: string }>('roleta_numeros');
const writeConcern = { w: 'majority', j: true } as const;

interface Posted {
  readonly evento_id: string;
}

async function insert(body: Posted | readonly Posted[]): Promise<string> {
  if ('evento_id' in body) {
    await numbers.insertOne({ _id: body.evento_id, ...body }, { writeConcern });
    return JSON.stringify({ id: body.evento_id, status: 'created' });
  }
  const documents = body.map((posted) => ({ _id: posted.evento_id, ...posted }));
  await numbers.insertMany(documents, { writeConcern, ordered: false });
  return JSON.stringify(documents.map(({ _id }) => ({ id: _id, status: 'created' })));
}

const app = uWS.App().post('/*', (res) => {
  const chunks: Buffer[] = [];
  res.onAborted(() => undefined);
  res.onData((chunk, isLast) => {
    chunks.push(Buffer.from(new Uint8Array(chunk)));
    if (!isLast) return;
    const body: Posted | readonly Posted[] = JSON.parse(Buffer.concat(chunks).toString());
    void insert(body).then((answer) => {
      res.cork(() => res.writeStatus('evento_id' in body ? '201 Created' : '207 Multi-Status').end(answer));
    });
  });
});
app.listen('127.0.0.1', 0, (socket) => {
  if (socket === false) throw new Error('cannot listen');
  listening(uWS.us_socket_local_port(socket));
});
endWithBench();
