import type { Document } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { type AskAdmin, rights } from '../../src/cli/doctor-rights.ts';

/** A server that answers `connectionStatus` for a user who holds these privileges. */
function serverFor(user: string | null, privileges: readonly Document[]): AskAdmin {
  const answer = {
    authInfo: {
      authenticatedUsers: user === null ? [] : [{ user, db: 'runcash' }],
      authenticatedUserPrivileges: privileges,
    },
  };
  return () => Promise.resolve(answer);
}

const READ = ['find', 'listCollections', 'changeStream', 'listIndexes'];
const READ_WRITE = [...READ, 'insert', 'update', 'remove', 'createIndex', 'createCollection'];
const on = (db: string, actions: readonly string[], collection = ''): Document => ({
  resource: { db, collection },
  actions,
});

describe("the doctor's look at privileges", () => {
  it('is content with readWrite on the one database', async () => {
    const found = await rights(serverFor('live', [on('runcash', READ_WRITE)]), ['runcash']);
    expect(found).toMatchObject({ verdict: 'ok', found: 'live may do all that is needed' });
  });

  it('names every action that a reading user lacks, and the command that grants it', async () => {
    const found = await rights(serverFor('live', [on('runcash', READ)]), ['runcash']);
    expect(found).toMatchObject({ verdict: 'bad', found: 'live lacks insert on runcash, update on runcash' });
    expect(found.remedy).toBe('db.grantRolesToUser("live", [{ role: "readWrite", db: "runcash" }])');
  });

  it('does not take a privilege on one collection or another database for one on the database', async () => {
    const privileges = [on('runcash', READ_WRITE, 'roleta_numeros'), on('other', READ_WRITE)];
    expect((await rights(serverFor('live', privileges), ['runcash'])).found).toContain('find on runcash');
  });

  it('wants the stream over all databases when numbers and tables are in two', async () => {
    const both = [on('runcash', READ_WRITE), on('roletas_db', READ_WRITE)];
    const databases = ['runcash', 'roletas_db'];
    const found = await rights(serverFor('live', both), databases);
    expect(found).toMatchObject({ verdict: 'bad', found: 'live lacks changeStream and find on all databases' });
    expect(found.remedy).toContain('readAnyDatabase');
    expect((await rights(serverFor('live', [...both, on('', READ)]), databases)).verdict).toBe('ok');
    const root = [{ resource: { anyResource: true }, actions: READ_WRITE }];
    expect((await rights(serverFor('root', root), databases)).verdict).toBe('ok');
  });

  it('notes a user who may not make indexes, without which the service still works', async () => {
    const actions = READ_WRITE.filter((action) => !action.startsWith('create'));
    const found = await rights(serverFor('live', [on('runcash', actions)]), ['runcash']);
    expect(found).toMatchObject({ verdict: 'note', found: expect.stringContaining('createIndex on runcash') });
  });

  it('notes a server that asks nobody to log in', async () => {
    expect((await rights(serverFor(null, []), ['runcash'])).verdict).toBe('note');
  });
});
