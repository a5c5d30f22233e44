// Drives every method of `client.videos` of the published Node client against BASE_URL and prints what came back as one
// JSON document. Usage: node videos.mjs BASE_URL KEY PICTURE CLIP
import { createReadStream, readFileSync } from 'node:fs';
import OpenAI, { toFile } from 'openai';

const [baseURL, apiKey, picture, clip] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const small = { model: 'turbo', size: '480x480', seconds: '1', fps: 10 };
const driven = new Set();
const found = {};

// Notes which methods were called, so that the test can tell whether one is missing.
const videos = new Proxy(client.videos, {
  get(target, name) {
    const value = target[name];
    if (typeof value !== 'function') return value;
    driven.add(name);
    return value.bind(target);
  },
});

async function ended(video) {
  for (const start = Date.now(); ['queued', 'in_progress'].includes(video.status); ) {
    if (Date.now() - start > 60_000) throw new Error(`${video.id} does not end`);
    await new Promise((done) => setTimeout(done, 100));
    video = await videos.retrieve(video.id);
  }
  return video;
}

async function content(id, query) {
  const answer = await videos.downloadContent(id, query);
  const bytes = Buffer.from(await answer.arrayBuffer());
  return { type: answer.headers.get('content-type'), size: bytes.length, head: bytes.subarray(0, 12).toString('latin1') };
}

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, request: error.requestID };
  }
  return null;
}

const base = (found.text = await ended(await videos.create({ prompt: 'a lake at dawn', ...small })));
found.content = {
  none: await content(base.id),
  video: await content(base.id, { variant: 'video' }),
  thumbnail: await content(base.id, { variant: 'thumbnail' }),
  spritesheet: await content(base.id, { variant: 'spritesheet' }),
};

const stream = () => createReadStream(picture);
const dataUrl = `data:image/png;base64,${readFileSync(picture).toString('base64')}`;
found.fromFile = await ended(await videos.create({ prompt: 'fog', input_reference: stream(), ...small }));
found.fromDataUrl = await ended(await videos.create({ prompt: 'fog', input_reference: { image_url: dataUrl }, ...small }));
found.remix = await ended(await videos.remix(base.id, { prompt: 'a lake at night' }));
found.edit = await ended(await videos.edit({ prompt: 'make it night', video: { id: base.id } }));
found.editUpload = await ended(
  await videos.edit({ prompt: 'make it night', video: await toFile(readFileSync(clip), 'clip.mp4'), model: 'turbo' }),
);
found.extend = await ended(await videos.extend({ prompt: 'and on', seconds: '1', video: { id: base.id } }));
found.extendUpload = await ended(
  await videos.extend({ prompt: 'and on', seconds: '1', video: createReadStream(clip) }),
);
found.character = await videos.createCharacter({ name: 'the keeper', video: createReadStream(clip) });
found.characterAgain = await videos.getCharacter(found.character.id);
found.withCharacter = await ended(
  await videos.create({ prompt: 'a walk', characters: [{ id: found.character.id }], ...small }),
);

found.listed = [];
for await (const video of videos.list({ limit: 2, order: 'asc' })) found.listed.push(video.id);
const page = await videos.list({ limit: 2, order: 'asc' });
found.page = { ids: page.data.map((video) => video.id), more: page.hasNextPage() };
found.deleted = await videos.delete(base.id);
found.gone = await refusal(() => videos.retrieve(base.id));
found.badSize = await refusal(() => videos.create({ prompt: 'x', size: '1x1' }));
found.wrongKey = await refusal(() => new OpenAI({ baseURL, apiKey: 'ldk_wrong' }).videos.list());

const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(client.videos)).filter((name) => name !== 'constructor');
console.log(JSON.stringify({ ...found, methods: methods.sort(), driven: [...driven].sort() }, null, 1));
