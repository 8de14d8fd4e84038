import { KitError } from '../errors.ts';
import { abortable } from './abortable.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { Credential } from './credential.ts';
import { findCredential } from './credentials.ts';
import type { Endpoint } from './endpoint.ts';
import type { NetworkOptions } from './options.ts';
import { basicAuthorization, requestToken, type Token } from './token.ts';
import type { Transport } from './transport.ts';

/** What is known about one registry after its first challenge. */
interface RegistryState {
  challenge: Challenge | undefined;
  credential: Promise<Credential | undefined> | undefined;
  readonly tokens: Map<string, Promise<Token>>;
}

/** An Authorization header. */
export interface Authorization {
  readonly header: string;
  /** False for anonymous tokens. */
  readonly isAuthenticated: boolean;
  /** True for tokens that were had from the token service, and so can be renewed. */
  readonly isToken: boolean;
}

interface WantedScopes {
  readonly scopes: readonly string[];
  /** What a challenge asks for besides. */
  readonly extra: readonly string[];
}

/** Authorization headers by registry and scope. Credentials are looked up only when a registry asks for them. */
export class Authenticator {
  readonly #transport: Transport;
  readonly #options: NetworkOptions;
  readonly #states = new Map<string, RegistryState>();

  constructor(transport: Transport, options: NetworkOptions) {
    this.#transport = transport;
    this.#options = options;
  }

  /** The header for a request, once the registry's way is known; before that a request goes without. */
  async authorize(endpoint: Endpoint, scopes: readonly string[], signal: AbortSignal | undefined): Promise<Authorization | undefined> {
    const { challenge } = this.#state(endpoint);
    return challenge === undefined ? undefined : abortable(this.#build(endpoint, challenge, { scopes, extra: [] }), signal);
  }

  /**
   * Answers a 401 with its WWW-Authenticate `header`. `sent` is what was refused, if anything: its token is forgotten.
   * Undefined when there is nothing (more) to try.
   * @throws KitError CREDENTIALS_FAILED | UNAUTHORIZED | REGISTRY_ERROR | NETWORK
   */
  async answer(
    endpoint: Endpoint,
    header: string | undefined,
    { scopes, sent, signal }: { scopes: readonly string[]; sent: Authorization | undefined; signal: AbortSignal | undefined },
  ): Promise<Authorization | undefined> {
    const challenge = chooseChallenge(parseChallenges(header ?? ''));
    if (challenge === undefined) return undefined;
    const state = this.#state(endpoint);
    // Basic credentials and foreign tokens that were refused stay refused
    if (sent !== undefined && !sent.isToken) return undefined;
    if (sent !== undefined) await this.#forget(state, sent);
    state.challenge = challenge;
    const extra = (challenge.parameters.get('scope') ?? '').split(' ');
    return abortable(this.#build(endpoint, challenge, { scopes, extra }), signal);
  }

  async #build(endpoint: Endpoint, challenge: Challenge, wanted: WantedScopes): Promise<Authorization | undefined> {
    const credential = await this.#credential(endpoint);
    const isAuthenticated = credential !== undefined;
    if (credential !== undefined && 'registryToken' in credential) {
      return { header: `Bearer ${credential.registryToken}`, isAuthenticated, isToken: false };
    }
    if (challenge.scheme === 'bearer') {
      const token = await this.#token(endpoint, challenge, wanted, credential);
      return { header: `Bearer ${token.value}`, isAuthenticated, isToken: true };
    }
    if (credential === undefined) return undefined;
    if ('username' in credential) return { header: basicAuthorization(credential), isAuthenticated, isToken: false };
    throw new KitError('UNAUTHORIZED', `${endpoint.registry}: the registry wants a user name and password, an identity token is stored`, {
      hint: `log in with \`kit login ${endpoint.registry} --username USER\``,
    });
  }

  #credential(endpoint: Endpoint): Promise<Credential | undefined> {
    const state = this.#state(endpoint);
    state.credential ??= findCredential(endpoint.credentials ?? endpoint.registry, this.#options);
    return state.credential;
  }

  /** From the cache, or shared with the requests that want the same at this moment, or new. */
  async #token(
    endpoint: Endpoint,
    challenge: Challenge,
    { scopes, extra }: WantedScopes,
    credential: Credential | undefined,
  ): Promise<Token> {
    const { tokens } = this.#state(endpoint);
    const key = mergeScopes(scopes).join(' ');
    const known = tokens.get(key);
    const token = await known?.catch(() => undefined);
    if (token !== undefined && token.expiresAt > Date.now()) return token;
    if (tokens.get(key) === known) {
      tokens.set(key, requestToken(this.#transport, { endpoint, challenge, scopes: mergeScopes([...scopes, ...extra]), credential }));
    }
    return this.#pending(tokens, key);
  }

  async #pending(tokens: ReadonlyMap<string, Promise<Token>>, key: string): Promise<Token> {
    const pending = tokens.get(key);
    if (pending === undefined) throw new KitError('INTERNAL', `no token request for \`${key}\``);
    return pending;
  }

  /** Takes away the token that was refused, unless another request has replaced it already. */
  async #forget(state: RegistryState, sent: Authorization): Promise<void> {
    for (const [key, pending] of state.tokens) {
      const token = await pending.catch(() => undefined);
      const isRefused = token === undefined || `Bearer ${token.value}` === sent.header;
      if (isRefused && state.tokens.get(key) === pending) state.tokens.delete(key);
    }
  }

  #state(endpoint: Endpoint): RegistryState {
    // one mirror may stand for several registries, and tell them apart by its headers
    const key = JSON.stringify([endpoint.registry, endpoint.origin, endpoint.credentials, endpoint.headers]);
    let state = this.#states.get(key);
    if (state === undefined) {
      state = { challenge: undefined, credential: undefined, tokens: new Map() };
      this.#states.set(key, state);
    }
    return state;
  }
}

/** Bearer before Basic: a token can be limited to what is needed. */
function chooseChallenge(challenges: readonly Challenge[]): Challenge | undefined {
  return challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges.find(({ scheme }) => scheme === 'basic');
}

/** Scopes `type:name:action[,action]` with the actions of equal resources joined, in a stable order. */
export function mergeScopes(scopes: readonly string[]): string[] {
  const actions = new Map<string, Set<string>>();
  for (const scope of scopes) {
    const cut = scope.lastIndexOf(':');
    if (cut < 1) continue;
    const resource = scope.slice(0, cut);
    const known = actions.get(resource) ?? new Set();
    for (const action of scope.slice(cut + 1).split(',')) known.add(action);
    actions.set(resource, known);
  }
  return [...actions].map(([resource, names]) => `${resource}:${[...names].toSorted().join(',')}`).toSorted();
}
