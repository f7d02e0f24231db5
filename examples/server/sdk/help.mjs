// What the tests of sdk.test.mjs have in common. The environment is that of TestNodeSDK:
//
//   MFA_SDK      the package: workos8 or workos11
//   MFA_API      the server, as the SDK sees it
//   MFA_CONTROL  where a test reads its clock and its messages; see control_test.go
//   MFA_KEY      an API key of the server
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { beforeEach } from 'node:test';

export const { MFA_SDK, MFA_API, MFA_CONTROL, MFA_KEY } = process.env;
const sdk = await import(MFA_SDK);
export const eleven = MFA_SDK === 'workos11'; // it has other names, and sends what failed again
const { hostname, port } = new URL(MFA_API);
export const connect = (key) => new sdk.WorkOS(key, { apiHostname: hostname, port: Number(port), https: false });
const workos = connect(MFA_KEY);
export const mfa = eleven ? workos.multiFactorAuth : workos.mfa;
export const createUserFactor = (options) => (eleven ? mfa.createUserAuthFactor(options) : workos.userManagement.enrollAuthFactor(options));
export const listUserFactors = (options) => (eleven ? mfa.listUserAuthFactors(options) : workos.userManagement.listAuthFactors(options));

async function control(path, method = 'POST') {
  const response = await fetch(MFA_CONTROL + path, { method });
  assert.equal(response.status, 200, path);
  return response.json();
}
export const now = () => control('/now', 'GET'); // milliseconds
export const advance = (seconds) => control(`/advance?seconds=${seconds}`);
export const messages = (number) => control(`/messages?to=${encodeURIComponent(number)}`, 'GET');
export const requests = () => control('/requests'); // those since the last time
export const loseAnswer = () => control('/lose'); // of the next request

beforeEach(requests);

// The person's app: RFC 6238 in steps of 30 seconds from now.
export function code(secret, milliseconds, steps = 0) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(milliseconds / 30_000) + steps));
  const mac = createHmac('sha1', key).update(step).digest();
  const n = mac.readUInt32BE(mac.at(-1) & 0xf) & 0x7fffffff;
  return String(n % 1_000_000).padStart(6, '0');
}

export const right = async (factor) => code(factor.totp.secret, await now());

export async function wrong(factor) {
  const time = await now();
  const valid = [-1, 0, 1].map((steps) => code(factor.totp.secret, time, steps));
  return ['000000', '000001', '000002', '000003'].find((c) => !valid.includes(c));
}

let used = 99; // from +12015550100 on
export const freshNumber = () => `+1201555${String(++used).padStart(4, '0')}`;
export const enrollApp = () => mfa.enrollFactor({ type: 'totp', issuer: 'Foo Corp', user: 'alan.turing@foo-corp.com' });
export const enrollPhone = (phoneNumber = freshNumber()) => mfa.enrollFactor({ type: 'sms', phoneNumber });
export const challenge = (factor, smsTemplate) => mfa.challengeFactor({ authenticationFactorId: factor.id, ...(smsTemplate && { smsTemplate }) });
// enrollFor enrolls for a user what this SDK has no method for, with the body of those that
// have one; recovery codes are the server's own extension.
export async function enrollFor(userId, factor) {
  const response = await fetch(`${MFA_API}/auth/factors/enroll`, {
    method: 'POST', headers: { Authorization: `Bearer ${MFA_KEY}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ ...factor, user_id: userId }),
  });
  assert.equal(response.status, 201);
  return response.json();
}
export const verify = (ch, code) => mfa.verifyChallenge({ authenticationChallengeId: ch.id, code });
export const lastCode = async (number) => (await messages(number)).at(-1).match(/[0-9]{6}/)[0];

// A refusal is one exception of the SDK's own, after one request.
export async function refused(call, exception, status, code, message) {
  await requests();
  const error = await call().then(() => assert.fail('it was not refused'), (e) => e);
  assert.ok(error instanceof sdk[exception], `${error.name}: ${error.message}`);
  assert.equal(error.name, exception);
  assert.equal(error.status, status);
  if (exception === 'GenericServerException') assert.equal(error.rawData.code, code); // in 8 there alone
  if (exception !== 'GenericServerException' || eleven) assert.equal(error.code, code);
  if (eleven) assert.match(error.requestID, /^[0-9a-f-]{36}$/);
  if (message) assert.equal(error.message, message);
  assert.equal((await requests()).length, 1, 'requests on the wire');
  return error;
}

const factorID = /^auth_factor_[0-9A-HJKMNP-TV-Z]{26}$/;
const challengeID = /^auth_challenge_[0-9A-HJKMNP-TV-Z]{26}$/;
const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
export const unknownFactor = 'auth_factor_01FVYZ5QM8N98T9ME5BCB2BBMJ';
export const unknownChallenge = 'auth_challenge_01FVYZWQTZQ5VB6BC5MPG2EYC5';

export function isFactor(factor, type) {
  assert.equal(factor.object, 'authentication_factor');
  assert.match(factor.id, factorID);
  assert.match(factor.createdAt, timestamp);
  assert.match(factor.updatedAt, timestamp);
  assert.equal(factor.type, type);
}

export function isChallenge(ch, factor) {
  assert.equal(ch.object, 'authentication_challenge');
  assert.match(ch.id, challengeID);
  assert.match(ch.createdAt, timestamp);
  assert.match(ch.updatedAt, timestamp);
  assert.equal(Date.parse(ch.expiresAt) - Date.parse(ch.createdAt), 600_000);
  assert.equal(ch.authenticationFactorId, factor.id);
  assert.equal(ch.code, undefined);
}

export function hasSecrets(totp, issuer, user) {
  assert.equal(totp.issuer, issuer);
  assert.equal(totp.user, user);
  assert.match(totp.secret, /^[A-Z2-7]{32}$/);
  const uri = new URL(totp.uri);
  assert.equal(uri.protocol, 'otpauth:');
  assert.equal(uri.searchParams.get('secret'), totp.secret);
  assert.equal(uri.searchParams.get('issuer'), issuer);
  const [scheme, image] = totp.qrCode.split(',');
  assert.equal(scheme, 'data:image/png;base64');
  assert.deepEqual([...Buffer.from(image, 'base64').subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
}

// sentTwice says that one call was two requests on the wire, with one key.
export async function sentTwice(path) {
  const sent = await requests();
  assert.deepEqual(sent.map((r) => r.path), [path, path]);
  assert.ok(sent[0].key);
  assert.equal(sent[1].key, sent[0].key);
}
