// Browsers: a preflight, then one event at a time with the token in the URL, and a pause for thought; many of them.
import http from 'k6/http';
import { check, sleep } from 'k6';
import { SECONDS, VUS, event, post, setup_, teardown_, thresholds } from './lib.js';

const URL = __ENV.SLUICE_URL || 'http://127.0.0.1:7181';
const ORIGIN = 'https://shop.example';

export const options = {
  scenarios: { browser: { executor: 'constant-vus', vus: VUS * 5, duration: `${SECONDS}s` } },
  thresholds,
};

export const setup = () => setup_('browser');
export default (data) => {
  if (__ITER === 0) {
    const asked = { Origin: ORIGIN, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type' };
    const answer = http.options(`${URL}/v0/events?name=${data.names[0]}`, null, { headers: asked, tags: { name: 'preflight' } });
    check(answer, { 'any origin may send': (a) => a.headers['Access-Control-Allow-Origin'] === '*' });
  }
  const headers = { Origin: ORIGIN, 'Content-Type': 'text/plain;charset=UTF-8' };
  post(data, event(), 1, { headers, tokenInUrl: true });
  sleep(0.2 + Math.random() * 0.6);
};
export const teardown = teardown_;
