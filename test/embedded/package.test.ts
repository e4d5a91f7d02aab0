import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

test('another project starts it by one import', () => {
  const program = `
    import { startEmbeddedMongo } from 'runcash-live/mongo';
    import { MongoClient } from 'mongodb';
    const server = await startEmbeddedMongo();
    const client = new MongoClient(server.uri);
    await client.db('d').collection('c').insertOne({ n: 1 });
    console.log(await client.db('d').collection('c').countDocuments());
    await client.close();
    await server.stop();`;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
  expect(output).toBe('1\n');
});
