import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canSharePort } from '../../../src/gateway/network/node.ts';
import { freshDatabase, startMongo, type TestMongo } from '../../support/mongo.ts';
import { startProcess, startRuncashProcess } from '../../support/process.ts';

/** Lets the import of uWebSockets.js fail, as it does where its binary does not load or was not installed. */
const withoutUws = (() => {
  const hooks = `export const resolve = (name, context, next) => {
    if (name === 'uWebSockets.js') throw new Error('no binary for this machine');
    return next(name, context);
  };`;
  const register = `import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hooks)}));`;
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(register)}` };
})();

describe('a machine without uWebSockets.js', () => {
  let mongo: TestMongo;
  beforeAll(async () => {
    mongo = await startMongo();
  });
  afterAll(() => mongo.stop());

  it('is served by the spare network, which the log, /status and a metric say', async () => {
    const running = await startRuncashProcess(mongo.uri, freshDatabase(), { ...withoutUws, NETWORK: 'auto' });
    try {
      await running.line(/"event":"network_spare".*no binary for this machine/);
      const status = await (await fetch(`${running.url}/status`)).json();
      expect(status).toMatchObject({ network: expect.stringContaining('uWebSockets.js is not used') });
      const metrics = await (await fetch(`${running.url}/metrics`)).text();
      expect(metrics).toContain('runcash_network{library="node"} 1');
      expect(metrics).toContain('runcash_network{library="uws"} 0');
    } finally {
      await running.end();
    }
  });

  it('refuses to start when uWebSockets.js is demanded, and says what it needs', async () => {
    const running = startProcess('src/main.js', [], {
      ...withoutUws,
      NETWORK: 'uws',
      PORT: '0',
      MONGODB_URI: mongo.uri,
    });
    await running.line(/no binary for this machine.*glibc.*NETWORK=auto/);
    expect(await running.exited).toBe(78);
  });

  it.skipIf(canSharePort())(
    'cannot run several workers on a Node that does not share ports: exit 78, in words',
    async () => {
      const running = startProcess('src/main.js', [], {
        ...withoutUws,
        NETWORK: 'auto',
        WORKERS: '2',
        // Any that is free: it is not listened on.
        PORT: '65123',
        MONGODB_URI: mongo.uri,
      });
      await running.line(/Several processes on one port need uWebSockets.js or Node 22.12; this is Node \d/);
      expect(await running.exited).toBe(78);
    },
  );
});
