// What all scenarios share: where the gateway is, data sources of their own, events, and one function that posts them.
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Counter, Rate } from 'k6/metrics';

const URL = __ENV.SLUICE_URL || 'http://127.0.0.1:7181';
const TOKEN = __ENV.SLUICE_TOKEN || (__ENV.SLUICE_TOKEN_FILE ? open(__ENV.SLUICE_TOKEN_FILE).trim() : '');

export const SECONDS = Number(__ENV.SECONDS || 60);
export const VUS = Number(__ENV.VUS || 20);

const accepted = new Counter('rows_accepted');
const quarantined = new Counter('rows_quarantined');
// Apart from http_req_failed: an overloaded gateway may say 503, and keeps nothing of such a request.
export const refused = new Rate('refused');

const SCHEMA =
  'id UInt64 `json:$.id`, ts DateTime64(3) `json:$.ts`, user String `json:$.user`, ' +
  'event LowCardinality(String) `json:$.event`, path String `json:$.path`, ' +
  'duration_ms UInt32 `json:$.duration_ms`, price Float64 `json:$.price`, is_new Bool `json:$.is_new`';
const EVENTS = ['page_view', 'click', 'add_to_cart', 'purchase', 'search', 'login'];

// What every story promises, unless it says otherwise.
export const thresholds = {
  http_req_failed: ['rate<0.001'],
  checks: ['rate>0.999'],
  rows_accepted: ['count>0'],
  refused: ['rate<0.01'],
  'http_req_duration{call:events}': ['p(99)<500'],
};

http.setResponseCallback(http.expectedStatuses({ min: 200, max: 299 }, 503));

// Makes `count` data sources; what it returns is given to every iteration.
export function setup_(prefix, count = 1) {
  const token = TOKEN || http.get(`${URL}/tokens`).json('workspace_admin_token');
  const names = [];
  for (let n = 0; n < count; n++) {
    const name = `${prefix}_${Date.now()}_${n}`;
    const form = { name, schema: SCHEMA, engine: 'MergeTree', engine_sorting_key: 'event, ts' };
    const answer = http.post(`${URL}/v0/datasources`, form, { headers: { Authorization: `Bearer ${token}` } });
    if (answer.status !== 200) throw new Error(`no data source: ${answer.status} ${answer.body}`);
    names.push(name);
  }
  return { token, names };
}

export function event() {
  return JSON.stringify({
    id: Math.floor(Math.random() * 2 ** 50),
    ts: new Date().toISOString(),
    user: `user-${Math.floor(Math.random() * 1e6)}`,
    event: EVENTS[Math.floor(Math.random() * EVENTS.length)],
    path: `/shop/category-${Math.floor(Math.random() * 100)}/item-${Math.floor(Math.random() * 1e6)}`,
    duration_ms: Math.floor(Math.random() * 20000),
    price: Math.floor(Math.random() * 1e6) / 100,
    is_new: Math.random() < 0.5,
  });
}

// Made once per virtual user: making events must not be what is measured.
const kept = {};
export function body(rows) {
  if (!kept[rows]) kept[rows] = Array.from({ length: rows }, event).join('\n');
  return kept[rows];
}

export function post(data, payload, rows, options = {}) {
  const name = data.names[Math.floor(Math.random() * data.names.length)];
  const query = `name=${name}${options.wait ? '&wait=true' : ''}${options.tokenInUrl ? `&token=${data.token}` : ''}`;
  const headers = options.tokenInUrl ? {} : { Authorization: `Bearer ${data.token}` };
  const params = { headers: Object.assign(headers, options.headers), tags: { name: '/v0/events', call: 'events' } };
  if (options.compression) params.compression = options.compression;
  const answer = http.post(`${URL}/v0/events?${query}`, payload, params);
  refused.add(answer.status === 503);
  if (answer.status === 503) {
    check(answer, { 'a refusal says when to come back': (a) => a.headers['Retry-After'] !== undefined });
    return answer;
  }
  const isTaken = answer.status === 200 || answer.status === 202;
  const said = isTaken ? answer.json() : { successful_rows: 0, quarantined_rows: 0 };
  accepted.add(said.successful_rows);
  quarantined.add(said.quarantined_rows);
  check(answer, {
    'answered 202, or 200 with wait': (a) => a.status === (options.wait ? 200 : 202),
    'every row was taken': () => said.successful_rows === rows && said.quarantined_rows === 0,
  });
  return answer;
}

// Says how many rows can be queried a moment after the load; compare with rows_accepted in the summary.
export function teardown_(data) {
  const headers = { Authorization: `Bearer ${data.token}` };
  const count = () =>
    data.names.slice(0, 10).reduce((sum, name) => {
      const answer = http.get(`${URL}/v0/sql?q=${encodeURIComponent(`SELECT count() AS n FROM ${name} FORMAT JSON`)}`, { headers });
      return sum + Number(answer.json('data')[0].n);
    }, 0);
  let before = -1;
  let rows = count();
  for (let tries = 0; tries < 30 && rows !== before; tries++) {
    before = rows;
    sleep(2);
    rows = count();
  }
  console.log(`${rows} rows can be queried in ${Math.min(10, data.names.length)} of ${data.names.length} data sources`);
}
