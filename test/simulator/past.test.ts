import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { tellPast } from '../../src/simulator/past.ts';
import { tableId } from '../store/support.ts';

it('asks for the past of a table by its id, whatever characters that has', async () => {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.end(JSON.stringify({ numeros: [{ numero: 17 }] }));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  await tellPast(
    {
      url: new URL(`http://127.0.0.1:${address.port}`),
      key: null,
      tables: ['a/b', '50%'].map((id) => ({ id: tableId(id), name: id })),
      count: 10,
      random: Math.random,
      runId: 'run',
      nowMs: Date.now(),
      signal: new AbortController().signal,
    },
    null,
  );
  expect(asked).toEqual(['/api/v1/tables/a%2Fb/numbers?limit=10', '/api/v1/tables/50%25/numbers?limit=10']);
});
