// An identity provider for the sign-in tests: node-oidc-provider with people and keys of our own.
//
//   node provider.mjs CACHE ISSUER ADDRESS PORT REDIRECT
//
// Any login that PEOPLE has gets in, with any password. Each start has new keys.

import { createRequire } from 'node:module'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { pathToFileURL } from 'node:url'

const [cache, issuer, address, port, redirect] = process.argv.slice(2)
const require = createRequire(`${cache}/`)
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')))

const PEOPLE = {
  hazel: { email: 'hazel@burrow.example', email_verified: true, name: 'Hazel', groups: ['family'] },
  fiver: { email: 'fiver@burrow.example', email_verified: true, name: 'Fiver', groups: ['guests', 'family'] },
  cowslip: { email: 'cowslip@warren.example', email_verified: true, name: 'Cowslip', groups: ['guests'] },
  liar: { email: 'bigwig@burrow.example', email_verified: false, name: 'Bigwig <b>himself</b>', groups: ['family'] },
}

const id = () => randomBytes(6).toString('hex')
const key = (type, options, more) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid: id(), use: 'sig', ...more,
})
const client = (name, alg) => ({
  client_id: name, client_secret: `the secret of ${name}: 1+1=2`, redirect_uris: [redirect], grant_types: ['authorization_code'],
  response_types: ['code'], id_token_signed_response_alg: alg,
})

const provider = new Provider(issuer, {
  clients: [client('warren', 'RS256'), client('warren-es', 'ES256')],
  jwks: { keys: [key('rsa', { modulusLength: 2048 }, { alg: 'RS256' }), key('ec', { namedCurve: 'P-256' }, { alg: 'ES256' })] },
  cookies: { keys: [id()] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  scopes: ['openid', 'email', 'profile', 'groups'],
  conformIdTokenClaims: true, // what scopes ask for is told at the userinfo endpoint alone
  pkce: { methods: ['S256'], required: () => true },
  clientBasedCORS: () => false,
  features: { devInteractions: { enabled: true } },
  findAccount: (_, sub) => PEOPLE[sub] && { accountId: sub, claims: () => ({ sub, ...PEOPLE[sub] }) },
})
provider.on('server_error', (_, error) => console.error(error))
provider.on('grant.error', (_, error) => console.error(error))
provider.listen(Number(port), address, () => console.log('listening'))
