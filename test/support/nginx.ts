import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Certificate } from './certificates.ts';
import { freePort, startDaemon } from './daemon.ts';

// Debian keeps it where only root looks
const NGINX = ['nginx', '/usr/sbin/nginx'].find((command) => spawnSync(command, ['-v']).status === 0);

/** False where nginx is not installed (Debian: `apt install nginx-light`). */
export const hasNginx = NGINX !== undefined;

export interface NginxOptions {
  /** `127.0.0.1:PORT` of the registry behind it. */
  readonly upstream: string;
  readonly certificate: Certificate;
  /** `client_max_body_size`; unlimited unless told. */
  readonly maxBody?: string;
  /** User name and password: nginx itself asks for them. */
  readonly basicAuth?: { readonly username: string; readonly password: string };
  /** What the registry is told of the scheme; the truth unless told. Wrong, it names http URLs. */
  readonly forwardedProto?: 'http' | 'https';
}

export interface Nginx {
  /** `127.0.0.1:PORT`; speaks https only. */
  readonly host: string;
  close(): Promise<void>;
}

/** Starts nginx before a registry, set up as distribution's documentation recommends. */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const host = `127.0.0.1:${await freePort()}`;
  const daemon = await startDaemon({
    command: NGINX ?? 'nginx',
    url: `https://${host}/`,
    prepare: async (directory) => {
      const { basicAuth } = options;
      await mkdir(join(directory, 'temp'));
      await writeFile(join(directory, 'users'), basicAuth === undefined ? '' : `${basicAuth.username}:{PLAIN}${basicAuth.password}\n`);
      await writeFile(join(directory, 'nginx.conf'), configuration(host, options));
      return ['-p', directory, '-c', 'nginx.conf', '-e', 'error.log'];
    },
  });
  return { host, close: async () => await daemon.close() };
}

function configuration(host: string, { upstream, certificate, maxBody = '0', basicAuth, forwardedProto }: NginxOptions): string {
  return `
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
${process.getuid?.() === 0 ? 'user root;' : ''}
events {}
http {
  access_log off;
  client_body_temp_path temp/body;
  proxy_temp_path temp/proxy;
  fastcgi_temp_path temp/fastcgi;
  uwsgi_temp_path temp/uwsgi;
  scgi_temp_path temp/scgi;
  server {
    listen ${host} ssl;
    ssl_certificate ${certificate.certFile};
    ssl_certificate_key ${certificate.keyFile};
    client_max_body_size ${maxBody};
    chunked_transfer_encoding on;
    location /v2/ {
      ${basicAuth === undefined ? '' : 'auth_basic "Registry"; auth_basic_user_file users;'}
      proxy_pass http://${upstream};
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto ${forwardedProto ?? '$scheme'};
      proxy_set_header Authorization ${basicAuth === undefined ? '$http_authorization' : '""'};
      proxy_request_buffering off;
      proxy_read_timeout 900;
    }
  }
}
`;
}
