import { blocksOf } from './blocks.ts';

/** How a command of the documents is checked. */
export type Check =
  /** Run as it stands, with `more` arguments to make it short; ends by itself with exit code 0. */
  | { readonly kind: 'run'; readonly more?: readonly string[]; readonly says: RegExp }
  /** Started as it stands; runs until it is told to stop. */
  | { readonly kind: 'start'; readonly more?: readonly string[]; readonly says: RegExp }
  /** Run by a shell, in a folder of its own. */
  | { readonly kind: 'shell' }
  /** Run or checked by the test that is named. */
  | { readonly kind: 'elsewhere'; readonly by: string }
  /** A program that is not part of this project: what it is told about this project is compared with it. */
  | { readonly kind: 'foreign'; readonly by: string };

const elsewhere = (by: string): Check => ({ kind: 'elsewhere', by });
const foreign = (by: string): Check => ({ kind: 'foreign', by });
const POSTED = /acknowledged [1-9]/;

/** Every kind of command that the documents show. One that fits none of these is checked by nobody, and a test says so. */
const CHECKS: readonly (readonly [RegExp, Check])[] = [
  [/^npm ci( && npm test)?$/, elsewhere('.ci/run')],
  [/^npm ci --omit=optional$/, elsewhere('.ci/package.sh')],
  [/^npx -y -p node@20 -c 'npm start'$/, elsewhere('.ci/run')],
  [/^npm (install runcash-live-client|ci && npm run build && npm pack \S+)$/, elsewhere('test/client/package.test.ts')],
  [/^npm install uWebSockets\.js@github:uNetworking\/\S+$/, foreign('test/docs/readme.test.ts')],
  [/^npm (run (build|lint|types)|test)$/, elsewhere('.ci/run')],
  [/^npm test -- --config test\/\w+\/vitest\.config\.ts$/, elsewhere('.ci/run')],
  [/^TEST_\w+=\S+ npm test$/, elsewhere('test/support/mongo.ts')],
  [/^npm ci && npm run demo$/, elsewhere('test/cli/process.test.ts')],
  [/^npx wscat -c \S+$/, elsewhere('test/docs/transcript.test.ts')],
  [/^docker compose /, elsewhere('test/docs/readme.test.ts')],
  [/^npm run bench -- (fanout|house|floods|limits|networks|pollers|all --record)$/, elsewhere('.ci/run')],
  [/^npx runcash-live test-mongod /, elsewhere('test/cli/test-mongod.test.ts')],
  [/^npx runcash-live soak$/, elsewhere('test/soak/soak.test.ts')],
  [/^npx runcash-live simulate$/, { kind: 'start', more: ['--rate', '50'], says: POSTED }],
  [/^npm ci && (SOCKETIO=true |set SOCKETIO=true&& )npm start$/, elsewhere('test/legacy/live.test.ts')],
  [/^npx runcash-live simulate --legacy$/, { kind: 'start', more: ['--speed', '50'], says: POSTED }],
  [/^npx runcash-live simulate --direct/, { kind: 'start', more: ['--rate', '50'], says: POSTED }],
  [/^npx runcash-live simulate .*--replay .*--verify$/, { kind: 'run', more: ['--speed', '400'], says: /200/ }],
  [
    /^npx runcash-live simulate .*--verify$/,
    { kind: 'run', more: ['--duration', '1'], says: /Delivered [1-9]\d*, missing 0/ },
  ],
  [/^npx runcash-live config print$/, { kind: 'run', says: /^ {2}PORT = / }],
  [/^npx runcash-live config check$/, { kind: 'run', says: /can be used/ }],
  [/^npx runcash-live doctor$/, { kind: 'run', says: /^ok {4}replica set: / }],
  [/^npx runcash-live token make/, { kind: 'run', says: /^[\w-]+\.[\w-]+\.[\w-]+$/ }],
  [/^npx runcash-live tail \S+( --json)?$/, { kind: 'start', more: ['--history', '1'], says: /2010165/ }],
  [/^npx runcash-live export \S+$/, { kind: 'run', says: /^roleta_id,roleta_nome,/ }],
  [/^npm run mongo -- /, { kind: 'start', more: ['--port', '0'], says: /^listening mongodb:/ }],
  [/^npx runcash-live alerts-test$/, elsewhere('test/alerts/alerts-test.test.ts')],
  [/^curl /, { kind: 'shell' }],
  [/^echo /, { kind: 'shell' }],
  [/^(npm install --global pm2$|pm2 )/, foreign('test/docs/readme.test.ts')],
  [/^(sudo systemctl|journalctl) .*\bruncash-live\b/, foreign('test/docs/readme.test.ts')],
  [/^nssm /, foreign('test/docs/commands.test.ts')],
];

/** How a command is checked; null when nobody does. */
export const checkOf = (command: string): Check | null =>
  CHECKS.find(([pattern]) => pattern.test(command))?.[1] ?? null;

/** The commands in the shell blocks of a document, continued lines as one, without those that go into a socket. */
export const blockCommands = (markdown: string): string[] =>
  blocksOf(markdown)
    .filter(({ language }) => language === 'sh' || language === 'bat')
    .flatMap(({ text }) => text.replace(/\\\n\s*/g, '').split('\n'))
    .filter((line) => line !== '' && !line.startsWith('> ') && !line.startsWith('#'));

/** Commands with arguments that stand in a sentence: `npx runcash-live tail 2010165`. */
export const sentenceCommands = (markdown: string): string[] => {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/`((?:npm run [\w:-]+ --|npx runcash-live [\w-]+) [^`]+)`/g)].map(
    (match) => match[1] ?? '',
  );
};

/** The words of a command line as a shell takes them, quotes gone. */
export const wordsOf = (command: string): string[] =>
  [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
