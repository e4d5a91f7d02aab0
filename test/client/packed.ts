import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { buildPackage } from '../../src/client/build.mjs';

export const run = promisify(execFile);
export const root = resolve(import.meta.dirname, '../..');
export const tsc = join(root, 'node_modules/typescript/bin/tsc');

/** What a project of its own has beside the client. */
const BESIDE = [
  'react',
  'react-dom',
  'scheduler',
  'vue',
  '@vue',
  'svelte',
  '@types',
  'csstype',
  'ws',
  'vite',
  '@vitejs',
];

/** A fresh project into which the packed client was installed. */
export interface PackedProject {
  readonly folder: string;
  write(name: string, text: string): Promise<void>;
  stop(): Promise<void>;
}

/** Packs the client as it is published, and installs it into a fresh project beside nothing but what that asks for. */
export async function packProject(): Promise<PackedProject> {
  const outer = await mkdtemp(join(tmpdir(), 'runcash-package-'));
  const declarations = join(outer, 'declarations');
  await run(
    process.execPath,
    [tsc, '-p', 'src/tsconfig.json', '--outDir', declarations, '--emitDeclarationOnly', '--incremental', 'false'],
    { cwd: root },
  );
  await buildPackage(join(outer, 'package'), join(declarations, 'src'));
  await run('npm', ['pack', '--silent', '--pack-destination', outer], { cwd: join(outer, 'package') });
  const [tarball = ''] = (await readdir(outer)).filter((name) => name.endsWith('.tgz'));
  const folder = join(outer, 'project');
  await mkdir(folder);
  const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);
  await write('package.json', JSON.stringify({ name: 'project', private: true }));
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--omit=peer', join(outer, tarball)], {
    cwd: folder,
  });
  for (const name of BESIDE) await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  return { folder, write, stop: () => rm(outer, { recursive: true, force: true }) };
}
