// What the vendor's SDK for Node makes of the server. The Go test TestNodeSDK runs this
// once with each version of it. The clock stands still unless a test advances it, and
// each test has a factor and a number of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MFA_API, MFA_KEY, advance, challenge, code, connect, createUserFactor, eleven, enrollApp, enrollFor, enrollPhone, freshNumber,
  hasSecrets, isChallenge, isFactor, lastCode, listUserFactors, loseAnswer, messages, mfa, now, refused, requests, right,
  sentTwice, unknownChallenge, unknownFactor, verify, wrong,
} from './help.mjs';

test('enroll an app', async () => {
  const factor = await enrollApp();
  isFactor(factor, 'totp');
  hasSecrets(factor.totp, 'Foo Corp', 'alan.turing@foo-corp.com');
  assert.equal(factor.sms, undefined);
});

test('enroll a phone number', async () => {
  const factor = await enrollPhone('+15005550006');
  isFactor(factor, 'sms');
  assert.deepEqual(factor.sms, { phoneNumber: '+15005550006' });
  assert.equal(factor.totp, undefined);
});

test('enroll an invalid phone number', async () => {
  await refused(() => enrollPhone('foo'), 'UnprocessableEntityException', 422, 'invalid_phone_number', 'Phone number is invalid.');
});

test('get a factor, without secrets', async () => {
  for (const enrolled of [await enrollApp(), await enrollPhone()]) {
    const factor = await mfa.getFactor(enrolled.id);
    isFactor(factor, enrolled.type);
    assert.deepEqual(factor, { ...enrolled, ...(enrolled.totp && { totp: { issuer: 'Foo Corp', user: 'alan.turing@foo-corp.com' } }) });
    // The SDK leaves out what it does not know, so this is what the server sent.
    const response = await fetch(`${MFA_API}/auth/factors/${factor.id}`, { headers: { Authorization: `Bearer ${MFA_KEY}` } });
    const text = await response.text();
    assert.deepEqual(Object.keys(JSON.parse(text)[enrolled.type]), enrolled.type === 'totp' ? ['issuer', 'user'] : ['phone_number']);
    assert.doesNotMatch(text, /secret|otpauth|qr_code/);
  }
});

test("enroll and list a user's factors", async () => {
  const userId = 'user_01E4ZCR3C56J083X43JQXF3JK5';
  const { authenticationFactor: factor, authenticationChallenge: ch } = await createUserFactor({
    userId, type: 'totp', totpIssuer: 'Foo Corp', totpUser: 'alan.turing@foo-corp.com',
  });
  isFactor(factor, 'totp');
  hasSecrets(factor.totp, 'Foo Corp', 'alan.turing@foo-corp.com');
  assert.equal(factor.userId, userId);
  isChallenge(ch, factor);
  assert.deepEqual((await listUserFactors({ userId })).data, [], 'not confirmed yet');

  assert.equal((await verify(ch, await right(factor))).valid, true);
  const list = await listUserFactors({ userId });
  assert.equal(list.object, 'list');
  assert.deepEqual(list.listMetadata, { before: null, after: null });
  const [listed] = list.data;
  assert.equal(list.data.length, 1);
  isFactor(listed, 'totp');
  assert.equal(listed.id, factor.id);
  assert.equal(listed.userId, userId);
  assert.deepEqual(listed.totp, { issuer: 'Foo Corp', user: 'alan.turing@foo-corp.com' });
});

test("enroll a user's own secret", async () => {
  const user = { userId: 'user_01E4ZCR3C56J083X43JQXF3JK6', type: 'totp' };
  const totpSecret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
  const { authenticationFactor: factor, authenticationChallenge: ch } = await createUserFactor({ ...user, totpSecret });
  hasSecrets(factor.totp, 'mfa', user.userId);
  assert.equal(factor.totp.secret, totpSecret);
  assert.equal((await verify(ch, code(totpSecret, await now()))).valid, true);
  await refused(() => createUserFactor({ ...user, totpSecret: 'short' }), 'UnprocessableEntityException', 422, 'invalid_totp_secret');
});

// No SDK can say that a challenge is to confirm, and several fail on a list with recovery codes.
test('enroll and confirm a second factor of each type, beside recovery codes', async () => {
  const userId = 'user_01E4ZCR3C56J083X43JQXF3JK7';
  const enrollUserApp = async () => (await createUserFactor({ userId, type: 'totp', totpIssuer: 'Foo Corp', totpUser: 'alan' })).authenticationFactor;
  const first = await enrollUserApp();
  assert.equal((await verify(await challenge(first), await right(first))).valid, true);
  const codes = await enrollFor(userId, { type: 'recovery_codes' });
  assert.equal(codes.recovery_codes.length, 10);

  const app = await enrollUserApp();
  assert.equal((await verify(await challenge(app), await right(app))).valid, true);
  const listed = async () => (await listUserFactors({ userId })).data.map((f) => f.id).sort();
  assert.deepEqual(await listed(), [first.id, app.id].sort());

  const phone = await enrollFor(userId, { type: 'sms', phone_number: freshNumber() });
  assert.equal((await verify(await challenge(phone), await lastCode(phone.sms.phone_number))).valid, true);
  const generic = await enrollFor(userId, { type: 'generic_otp' });
  const asked = await challenge(generic);
  assert.equal((await verify(asked, asked.code)).valid, true);

  for (const { id, type } of [first, app, phone, generic]) isFactor(await mfa.getFactor(id), type);
  if (eleven) assert.deepEqual(await listed(), [first, app, phone, generic].map((f) => f.id).sort());
  else await assert.rejects(listed, TypeError); // of its own: it takes each factor of a list for an app
});

test('a second factor that is not confirmed within an hour', async () => {
  const userId = 'user_01E4ZCR3C56J083X43JQXF3JK8';
  const { authenticationFactor: first, authenticationChallenge: ch } = await createUserFactor({ userId, type: 'totp' });
  assert.equal((await verify(ch, await right(first))).valid, true);
  const { authenticationFactor: second } = await createUserFactor({ userId, type: 'totp' });
  await advance(3600);
  isChallenge(await challenge(second), second);
  await advance(1);
  const error = await refused(() => challenge(second), 'UnprocessableEntityException', 422, 'authentication_factor_unverified');
  assert.match(error.message, /"confirm": true/);
});

test('challenge and verify an app', async () => {
  const factor = await enrollApp();
  const ch = await challenge(factor);
  isChallenge(ch, factor);
  const answer = await verify(ch, await right(factor));
  assert.equal(answer.valid, true);
  isChallenge(answer.challenge, factor);
  assert.equal(answer.challenge.id, ch.id);
});

test('challenge and verify a phone number', async () => {
  const factor = await enrollPhone();
  const { phoneNumber } = factor.sms;
  const plain = await challenge(factor);
  isChallenge(plain, factor);
  assert.match((await messages(phoneNumber)).at(-1), /^Your verification code is [0-9]{6}\.$/);
  assert.equal((await verify(plain, await lastCode(phoneNumber))).valid, true);

  await advance(60);
  const templated = await challenge(factor, 'Your FooCorp is {{code}}.');
  const texts = await messages(phoneNumber);
  assert.equal(texts.length, 2);
  assert.match(texts.at(-1), /^Your FooCorp is [0-9]{6}\.$/);
  assert.equal((await verify(templated, await lastCode(phoneNumber))).valid, true);
});

test('challenge with a template that lacks the code', async () => {
  const factor = await enrollPhone();
  // The SDK shows the codes of "errors" in place of the message.
  const error = await refused(() => challenge(factor, 'Hello.'), 'UnprocessableEntityException', 422, 'invalid_request_parameters');
  assert.match(error.message, /^The following requirement must be met:\n\tsms_template_[a-z_]+\n$/);
  assert.deepEqual(await messages(factor.sms.phoneNumber), []);
});

test('verify a wrong code: not valid, and the challenge can be tried again', async () => {
  const factor = await enrollApp();
  const ch = await challenge(factor);
  const answer = await verify(ch, await wrong(factor));
  assert.equal(answer.valid, false);
  isChallenge(answer.challenge, factor);
  assert.equal((await verify(ch, await right(factor))).valid, true);
});

test('verify again', async () => {
  const factor = await enrollApp();
  const ch = await challenge(factor);
  const answer = await right(factor);
  assert.equal((await verify(ch, answer)).valid, true);
  await refused(() => verify(ch, answer), 'UnprocessableEntityException', 422, 'authentication_challenge_previously_verified',
    `The authentication challenge '${ch.id}' has already been verified.`);
});

test('verify too late', async () => {
  const factor = await enrollApp();
  const ch = await challenge(factor);
  await advance(600);
  await refused(async () => verify(ch, await right(factor)), 'UnprocessableEntityException', 422, 'authentication_challenge_expired',
    `The authentication challenge '${ch.id}' has expired.`);
});

test('what is not there', async () => {
  const noFactor = `Authentication Factor not found: '${unknownFactor}'.`;
  await refused(() => mfa.getFactor(unknownFactor), 'NotFoundException', 404, 'entity_not_found', noFactor);
  await refused(() => mfa.deleteFactor(unknownFactor), 'NotFoundException', 404, 'entity_not_found', noFactor);
  await refused(() => challenge({ id: unknownFactor }), 'NotFoundException', 404, 'entity_not_found', noFactor);
  await refused(() => verify({ id: unknownChallenge }, '123456'), 'NotFoundException', 404, 'entity_not_found',
    `Authentication Challenge not found: '${unknownChallenge}'.`);
});

test('delete a factor', async () => {
  const factor = await enrollApp();
  const ch = await challenge(factor);
  assert.equal(await mfa.deleteFactor(factor.id), undefined);
  await refused(() => mfa.getFactor(factor.id), 'NotFoundException', 404, 'entity_not_found');
  await refused(() => mfa.deleteFactor(factor.id), 'NotFoundException', 404, 'entity_not_found');
  await refused(() => challenge(factor), 'NotFoundException', 404, 'entity_not_found');
  await refused(async () => verify(ch, await right(factor)), 'NotFoundException', 404, 'entity_not_found');
});

test('a key that the server does not know', async () => {
  const stranger = connect('sk_test_of_somebody_else');
  await refused(() => (stranger.multiFactorAuth ?? stranger.mfa).getFactor(unknownFactor), 'UnauthorizedException', 401, undefined);
});

// The SDK would wait and send the same again if these were 429.
test('a message too soon is refused at once', async () => {
  const factor = await enrollPhone();
  await challenge(factor);
  const error = await refused(() => challenge(factor), 'GenericServerException', 400, 'rate_limit_exceeded');
  assert.match(error.rawData.message, /^Too many requests\. Wait for [12]m\d+s\.$/); // to the end of a minute
  assert.ok(error.rawData.retry_after >= 60 && error.rawData.retry_after <= 120, `${error.rawData.retry_after} s`);
  assert.equal((await messages(factor.sms.phoneNumber)).length, 1);
  await advance(60);
  isChallenge(await challenge(factor), factor);
});

test('a code too soon after five wrong ones is refused at once', async () => {
  const factor = await enrollApp();
  const [first, second] = [await challenge(factor), await challenge(factor)];
  for (let i = 0; i < 5; i++) assert.equal((await verify(first, await wrong(factor))).valid, false);

  const full = await refused(async () => verify(first, await right(factor)), 'GenericServerException', 400, 'one_time_code_too_many_attempts');
  assert.equal(full.rawData.retry_after, undefined, 'no wait helps this challenge');
  const early = await refused(async () => verify(second, await right(factor)), 'GenericServerException', 400, 'one_time_code_too_many_attempts',
    'Too many requests. Wait for 30s.');
  assert.equal(early.rawData.retry_after, 30);
  await refused(() => challenge(factor), 'GenericServerException', 400, 'rate_limit_exceeded');

  await advance(30);
  assert.equal((await verify(second, await right(factor))).valid, true);
});

if (eleven) {
  test('sends an idempotency key of its own with each call', async () => {
    const factor = await enrollPhone();
    await challenge(factor);
    await mfa.getFactor(factor.id);
    const [enroll, post, get] = await requests();
    assert.match(enroll.key, /^retry-[0-9a-f-]{36}$/);
    assert.match(post.key, /^retry-[0-9a-f-]{36}$/);
    assert.notEqual(post.key, enroll.key);
    assert.equal(get.key, '');
  });

  test('verifies although the first answer was lost', async () => {
    const factor = await enrollApp();
    const ch = await challenge(factor);
    const answer = await right(factor);
    await requests();
    await loseAnswer();
    const verified = await verify(ch, answer);
    await sentTwice(`/auth/challenges/${ch.id}/verify`);
    assert.equal(verified.valid, true);
    isChallenge(verified.challenge, factor);
    await refused(() => verify(ch, answer), 'UnprocessableEntityException', 422, 'authentication_challenge_previously_verified');
  });

  test('sends one message although the first answer was lost', async () => {
    const factor = await enrollPhone();
    const { phoneNumber } = factor.sms;
    await requests();
    await loseAnswer();
    const ch = await challenge(factor, 'Your FooCorp is {{code}}.');
    await sentTwice(`/auth/factors/${factor.id}/challenge`);
    isChallenge(ch, factor);
    assert.equal((await messages(phoneNumber)).length, 1);
    assert.equal((await verify(ch, await lastCode(phoneNumber))).valid, true);
  });
} else {
  test('no idempotency key is sent, and what is lost is lost', async () => {
    const factor = await enrollApp();
    const ch = await challenge(factor);
    await requests();
    await loseAnswer();
    await assert.rejects(async () => verify(ch, await right(factor)), /fetch failed/);
    assert.deepEqual((await requests()).map((r) => r.key), ['']);
  });
}
