import { request as plain, type RequestOptions } from 'node:http';
import { request as secure } from 'node:https';
import { localUrl } from '../app/panel.ts';
import { type Config, loadOwnConfig } from '../config/load.ts';

/** A container's health check is ended by Docker after 5 s. */
const ANSWER_MS = 4_000;

type Door = Pick<Config, 'HOST' | 'PORT' | 'TLS_CERT_FILE' | 'ALLOWED_HOSTS'>;

/**
 * Asks the service of this machine at /readyz, by a name that it answers to, whoever its certificate is for. Resolves
 * with its answer's text; rejects, in words, when there is none or it is not ready.
 */
export async function askReady({
  HOST: host,
  PORT: port,
  TLS_CERT_FILE,
  ALLOWED_HOSTS: [name],
}: Door): Promise<string> {
  const url = new URL('/readyz', localUrl({ host, port, tls: TLS_CERT_FILE !== null }));
  const options: RequestOptions & { rejectUnauthorized: boolean } = {
    agent: false,
    timeout: ANSWER_MS,
    // The connection does not leave the machine; the certificate names the public host.
    rejectUnauthorized: false,
    ...(name === undefined ? {} : { headers: { host: name } }),
  };
  return await new Promise((resolve, reject) => {
    const asked = (TLS_CERT_FILE === null ? plain : secure)(url, options, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => {
        text += part;
      });
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(text);
        else reject(new Error(`${url.href} answered ${answer.statusCode}: ${text}`));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`${url.href} did not answer within ${ANSWER_MS} ms`)));
    asked.on('error', reject);
    asked.end();
  });
}

if (import.meta.filename === process.argv[1]) {
  askReady(loadOwnConfig().config).then(
    (text) => console.log(text),
    (error: unknown) => {
      console.error(error instanceof Error ? error.message : String(error));
      process.exitCode = 1;
    },
  );
}
